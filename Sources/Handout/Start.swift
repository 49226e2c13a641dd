import Glibc
import HandoutCore
import HandoutPlan
import HandoutScheduler
import HandoutStrategy
import LuaRuntime
import Synchronization

/// Plans a program and starts to run it: `try await Handout.start(program)`.
///
/// Returns when the script has returned its graph, every problem was looked for, and the first tasks are about to run. The
/// script, its tasks and what waits for them are on threads of the run's own; Swift's are never blocked.
///
/// - Parameters:
///   - host: functions of this program that tasks may call, where `options.allow` names them.
/// - Throws: `ScriptError` with every problem of the script; `RunError` when the directory is not there, the deadline signal
///   is another, or the system has no threads; `CancellationError` when the calling task was cancelled meanwhile.
public func start(
    _ program: Program, options: RunOptions = RunOptions(), host: HostFunctions = HostFunctions()
) async throws -> Run {
    try Task.checkCancellation()
    let starter = try RunStarter(program, options, host)
    let planned = Promise<Result<Run, ScriptError>>()
    do {
        // The thread of the run: it plans, then waits for the run's end.
        let thread = try NativeThread {
            let result = Result { () throws(ScriptError) in try starter.plan() }
            planned.keep(result)
            if case .success(let run) = result { run.perform() }
        }
        thread.detach()
    } catch {
        throw RunError(noThread: error)
    }
    let run = try await planned.value.get()
    if Task.isCancelled {
        run.cancel(.now)
        throw CancellationError()
    }
    return run
}

/// What a run is made from, checked.
private struct RunStarter: Sendable {
    private let program: Program
    private let options: RunOptions
    private let host: HostFunctions
    private let threads: Int
    private let directory: String

    init(_ program: Program, _ options: RunOptions, _ host: HostFunctions) throws(RunError) {
        self.program = program
        self.options = options
        self.host = host
        threads = max(1, min(1024, options.workers.threads ?? ProcessFacts.cores))
        directory = try RunStarter.resolved(options.directory)
        let number: Int32
        switch options.deadlineSignal {
        case nil: return
        case .off: number = 0
        case .number(let signal): number = signal
        }
        if !ProcessFacts.useDeadlineSignal(number) {
            throw RunError(code: .signal, message: "another deadline signal is in use in this process already")
        }
    }

    private static func resolved(_ directory: String) throws(RunError) -> String {
        guard let path = realpath(directory, nil) else {
            throw RunError(code: .directory, message: "directory '\(directory)': \(String(cString: strerror(errno)))")
        }
        defer { free(path) }
        return String(cString: path)
    }

    func plan() throws(ScriptError) -> Run {
        var limits = PlanLimits()
        limits.time = options.limits.planningTime.nanoseconds
        limits.memory = UInt64(max(0, options.limits.planningMemory))
        let trackers = try startTrackers()
        limits.capacity = Capacity(workers: [trackers?.capacity ?? worker.capacity])
        var planner = Planner(limits: limits, seed: options.seed, print: options.print)
        if options.allow.contains(.readDirectory) || options.allow.contains(.everything) {
            planner.directory = directory
        }
        do {
            let plan = try planner.plan(program.sources.renewed(), parameters: program.given, inputs: program.inputs)
            return try run(of: plan, trackers)
        } catch {
            trackers?.stop()
            throw ScriptError(error)
        }
    }

    /// This machine, without what trackers say.
    private var worker: WorkerOffer {
        let memory = options.workers.shared?.memory ?? ProcessFacts.memory
        return WorkerOffer(
            capacity: WorkerCapacity(name: "local", totals: ["cpu": UInt64(threads) * 10_000, "memory": memory]))
    }

    private func startTrackers() throws(ScriptError) -> RunTrackers? {
        guard options.monitorsMemory || !options.trackers.isEmpty else { return nil }
        let files = options.trackers.map { $0.sources.renewed() }
        do throws(PlanRefusal) {
            return try RunTrackers(
                files: files, monitor: options.monitorsMemory ? SystemMonitor() : nil,
                allowance: allowance(keeping: files.flatMap(\.paths)), directory: directory, worker: worker,
                log: { [print = options.print] _, text in print(text) })
        } catch {
            throw ScriptError(error)
        }
    }

    /// What tasks get; nothing that was not named. `sources` are never written.
    private func allowance(keeping sources: [String]) -> Allowance {
        var allowance = Allowance(directory: directory)
        allowance.readsRunDirectory = false
        allowance.writesRunDirectory = false
        allowance.kept = sources
        for permission in options.allow {
            switch permission.kind {
            case .grant(let kind, let name): allowance.allow(kind, name)
            case .readDirectory: allowance.readsRunDirectory = true
            case .everything:
                allowance.all = true
                allowance.readsRunDirectory = true
            }
        }
        return allowance
    }

    private func run(of plan: Plan, _ trackers: RunTrackers?) throws(PlanRefusal) -> Run {
        let allowance = allowance(keeping: plan.program.paths)
        let secrets = options.secrets.map { Secret(name: $0.key, value: Array($0.value.utf8)) }
        let missing = plan.requests(beyond: allowance, secrets: secrets)
        if !missing.isEmpty {
            throw PlanRefusal(
                problems: missing.map { request in
                    PlanProblem(
                        code: "grant", message: request.message + ", which this run does not allow", file: request.file,
                        line: request.line)
                })
        }
        let calls = HostCalls(host)
        let channel = EventChannel()
        var local = LocalRunOptions()
        local.slots = threads
        local.shared = options.workers.shared?.capacity
        local.targets = options.targets
        local.keepGoing = options.keepGoing
        local.taskMemory = UInt64(max(0, options.limits.taskMemory))
        local.directory = directory
        local.planTime = options.limits.planningTime.nanoseconds
        local.isProcess = options.isolation.isProcess
        local.runner = options.isolation.runner
        local.allowance = allowance
        local.trackers = trackers
        local.secrets = secrets
        local.call = { _, name, arguments in calls.call(name, arguments) }
        if options.recordsEvents { local.eventBatches = { channel.send($0) } }
        let run = try LocalRun(plan: plan, parameters: program.given, options: local)
        channel.open(run.narrator)
        return Run(run, name: plan.graph.name, calls: calls, channel: channel)
    }
}
