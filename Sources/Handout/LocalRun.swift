import Glibc
package import HandoutCore
package import HandoutExecutor
package import HandoutPlan
package import HandoutScheduler
package import HandoutStrategy
import HandoutWorker
package import LuaRuntime

/// How a run is to be made.
package struct LocalRunOptions: Sendable {
    /// Threads; at least 1.
    package var slots = 1
    /// What this machine has for the tasks; nil: a core a slot.
    package var worker: WorkerOffer?
    /// What runs beside this one share with it; nil: nothing is shared.
    package var shared: SharedCapacity?
    /// How to get more cores, for messages: `-j`.
    package var coresFlag: String?
    /// Receives warnings about the strategy, and about trackers while the run goes on.
    package var warn: @Sendable (String) -> Void = { _ in }
    /// Say what the worker has, before the run and while it goes on, and are used by nobody else from now on; `worker` is
    /// what they said. They are stopped when the run is over.
    package var trackers: RunTrackers?
    /// Output names or ids of tasks: only they and what they need are run, and printed. Empty: all.
    package var targets: [String] = []
    package var keepGoing = false
    /// Bytes that an attempt without `memory` may use.
    package var taskMemory: UInt64 = 256 << 20
    /// The run directory: absolute, without links.
    package var directory = "/"
    package var planTime: UInt64 = 10_000_000_000
    /// Every task that succeeds is run once more, and its results are compared; of captured tables all that is in them.
    package var verify = false
    /// All tasks run in runner processes; else only where some task asks for it.
    package var isProcess = false
    /// Path of the program `handout-runner`; nil: there is none.
    package var runner: String?
    /// What tasks get of what they ask for. Nil: what a local run allows by itself.
    package var allowance: Allowance?
    /// Values that `handout.env` gives; logs and messages show `***` instead.
    package var secrets: [Secret] = []
    /// Every state finds the functions of tasks by running the script again, as a host does that was sent the source.
    package var rerunsScript = false
    /// Receives what tasks log: task name, level 0 debug, 1 info, 2 warning, 3 error, and text.
    package var log: @Sendable (_ task: String, _ level: Int, _ text: String) -> Void = { _, _, _ in }
    /// Receives the progress that tasks report.
    package var progress: @Sendable (_ task: String, _ fraction: Double, _ text: String) -> Void = { _, _, _ in }
    /// Receives the run's events as JSON lines, some at a time, on the thread that calls `run`. Nil: none are recorded.
    package var eventLines: (@Sendable ([UInt8]) -> Void)?
    /// Receives what happened, in order, likewise.
    var eventBatches: (@Sendable (EventBatch) -> Void)?
    var recordsEvents: Bool { eventLines != nil || eventBatches != nil }
    /// Calls a function of the embedding program for the named task; nil: there are none.
    package var call: HostCall?

    package init() {}
}

/// A failure with the name of its task.
package struct RunFailure: Sendable {
    package var name: String
    package var report: FailureReport
}

/// An output of a run.
package struct RunOutput: Sendable {
    package var name: String
    /// Nil: absent.
    package var value: EncodedValue?
    /// The task whose value it is, and where that was declared.
    package var task: String
    package var file: String?
    package var line: Int
}

/// A task whose second result was another.
package struct Unrepeatable: Sendable {
    package var task: String
    /// Where the results differ first.
    package var message: String
    /// Where the task was declared.
    package var file: String?
    package var line: Int
}

/// What came of a run.
package struct RunOutcome: Sendable {
    /// By name, in bytewise order; nil: absent.
    package var outputs: [RunOutput]
    package var failures: [RunFailure]
    package var counts: Counts
    package var seconds: Double
    /// The run was given up while an attempt was stuck in code that cannot be stopped: the process should end.
    package var isAbandoned: Bool
    package var isCancelled: Bool
    /// Tasks whose second result was another, where results were verified.
    package var unrepeatable: [Unrepeatable] = []
    package var ok: Bool { failures.allSatisfy(\.report.optional) && !isCancelled && !isAbandoned }
}

/// A run of a plan on threads of this process.
package final class LocalRun: Sendable {
    /// Names the run in logs and reports.
    package let id: String
    private let plan: Plan
    private let options: LocalRunOptions
    private let tables: RunTables
    private let coordinator: RunCoordinator
    private let pool: ThreadPool
    private let host: PlanHost
    /// Of attempts that are made to verify results; kept for what C has of it.
    private let quietHost: PlanHost?
    private let outputs: [(name: String, task: TaskID)]
    private let remarks: RemarkCollector?
    private let clock = RunClock()
    /// As it is at the start.
    private let worker: WorkerOffer

    /// - Parameter strategy: decides what runs, and is used by nobody else from now on; nil: the built-in order.
    /// - Throws: `PlanRefusal` when a target is unknown, or when there is no memory for the run.
    package init(
        plan: Plan, parameters: [GivenParameter], options: LocalRunOptions, strategy: LuaStrategy? = nil
    ) throws(PlanRefusal) {
        self.plan = plan
        self.options = options
        id = RunName.make()
        outputs = try OutputSelection(plan).select(options.targets)
        let runner = try LocalRun.runner(plan, options)
        let shared = runner == nil ? nil : SharedMemory()
        guard runner == nil || shared != nil,
            let tables = RunTables(plan: plan, rerunsScript: options.rerunsScript, shared: shared)
        else { throw LocalRun.noMemory }
        self.tables = tables
        let remarks = options.recordsEvents ? RemarkCollector() : nil
        self.remarks = remarks
        let program = ProgramStorage(
            plan: plan, parameters: parameters, directory: options.directory, run: id, worker: "local",
            memory: options.taskMemory, planTime: options.planTime, verify: options.verify,
            allowance: options.allowance, secrets: options.secrets)
        let redaction = program.redaction
        host = PlanHost(
            sources: plan.program,
            log: { [log = options.log, clock] task, level, text in
                let text = redaction.apply(String(decoding: text, as: UTF8.self))
                log(String(decoding: tables.name(of: TaskID(rawValue: task)), as: UTF8.self), level, text)
                remarks?.logged(TaskID(rawValue: task), level, text, time: clock.now)
            },
            progress: { [progress = options.progress, clock] task, fraction, text in
                let text = redaction.apply(text)
                progress(String(decoding: tables.name(of: TaskID(rawValue: task)), as: UTF8.self), fraction, text)
                remarks?.progressed(TaskID(rawValue: task), fraction, text, time: clock.now)
            },
            nameOfTask: { tables.name(of: TaskID(rawValue: $0)) }, call: options.call)
        guard
            let pool = ThreadPool(
                slots: options.slots, tables: tables, program: program, host: host, worker: "local",
                runner: runner)
        else { throw LocalRun.noMemory }
        self.pool = pool
        if options.verify {
            let quiet = PlanHost(
                sources: plan.program, log: { _, _, _ in }, nameOfTask: { tables.name(of: TaskID(rawValue: $0)) },
                call: options.call)
            guard pool.verify(host: quiet) else { throw LocalRun.noMemory }
            quietHost = quiet
        } else {
            quietHost = nil
        }
        var configuration = SchedulerConfiguration(
            slots: options.slots, keepGoing: options.keepGoing, seed: plan.seed,
            targets: options.targets.isEmpty ? [] : outputs.map(\.task), outputs: outputs.map(\.task),
            recordsEvents: options.recordsEvents)
        if let worker = options.worker { configuration.local = worker }
        if let trackers = options.trackers {
            configuration.local = trackers.worker
            configuration.isTracked = true
            configuration.guarded = trackers.guarded
        }
        worker = configuration.local
        configuration.taskMemory = options.taskMemory
        var driver: StrategyDriver?
        if let strategy, let allocator = StrategyDriver.allocator(strategy) {
            configuration.allocator = allocator
            driver = StrategyDriver(
                strategy, graph: plan.graph, run: id, seed: plan.seed, deadline: plan.graph.deadline,
                name: { row, _, _ in String(decoding: tables.name(of: TaskID(row)), as: UTF8.self) },
                warn: options.warn)
            configuration.tellsStrategy = driver?.wantsEvents ?? false
            if let remarks {
                driver?.refused = { [clock] row, worker, reason in
                    remarks.refused(TaskID(row), worker, reason ?? "", time: clock.now)
                }
            }
        }
        coordinator = RunCoordinator(
            graph: plan.graph, configuration: configuration, link: pool, worker: "local",
            most: options.trackers?.capacity, coresFlag: options.coresFlag, clock: clock,
            strategist: driver, keeper: options.trackers?.guarded.isEmpty == false ? options.trackers : nil)
        if let shared = options.shared { coordinator.share(shared, weight: plan.graph.weight, slots: options.slots) }
    }

    /// The program whose processes tasks run in; nil: they run on threads. Where one task asks for a process all run so.
    private static func runner(_ plan: Plan, _ options: LocalRunOptions) throws(PlanRefusal) -> String? {
        let asking = plan.graph.options.contains(where: \.isProcess)
        guard options.isProcess || asking else { return nil }
        if let runner = options.runner, access(runner, X_OK) == 0 { return runner }
        let missing =
            options.runner.map { "there is no program '\($0)' ('swift build' makes it)" }
            ?? "no program was named for it"
        var problem = PlanProblem(code: "isolation", message: "process isolation: " + missing)
        if !options.isProcess,
            let row = (0..<plan.graph.count).first(where: { plan.graph.options(of: TaskID($0)).isProcess })
        {
            let place = plan.place(of: TaskID(row))
            problem = PlanProblem(
                code: "isolation",
                message: "task '\(plan.graph.name(TaskID(row)))': option 'isolation': \(missing)",
                file: place.file, line: place.line)
        }
        throw PlanRefusal(problems: [problem])
    }

    private static var noMemory: PlanRefusal {
        PlanRefusal(problems: [PlanProblem(code: "memory", message: "not enough memory for the run")])
    }

    /// Runs to the end. `tick` is called every 100 ms, and once at the end, on the calling thread, with what happened
    /// since; it may call `cancel` and `stop`.
    ///
    /// - Throws: `ThreadError` when no thread could be started.
    package func run(tick: (RunSnapshot, [RunNote]) -> Void) throws(ThreadError) -> RunOutcome {
        let begun = monotonicNow()
        defer { coordinator.leaveShared() }
        coordinator.start()
        beginTracking()
        defer { options.trackers?.stop() }
        do {
            try pool.start { [coordinator] slot in
                switch coordinator.next(slot: slot) {
                case .run: .run
                case .stop: .stop
                case .leave: .leave
                }
            }
        } catch {
            coordinator.stop()
            pool.join()
            throw error
        }
        var next = begun
        var narrator = narrator
        var snapshot: RunSnapshot
        repeat {
            next += 100_000_000
            coordinator.wait(until: next)
            options.trackers?.look()
            snapshot = coordinator.snapshot()
            tick(snapshot, coordinator.drainNotes())
            passEvents(isOver: snapshot.isFinished || snapshot.isAbandoned, &narrator)
        } while !snapshot.isFinished && !snapshot.isAbandoned
        if !snapshot.isAbandoned { pool.join { coordinator.watchStrategy() } }
        return outcome(snapshot, seconds: Double(monotonicNow() - begun) / 1e9)
    }

    /// From now on trackers change the worker.
    private func beginTracking() {
        guard let trackers = options.trackers else { return }
        trackers.begin(
            RunTrackers.Outlets(
                coordinator: coordinator, name: { [tables] in String(decoding: tables.name(of: $0), as: UTF8.self) },
                changed: { [remarks, clock] in remarks?.note(.changed(Run.Event.Worker($0)), time: clock.now) },
                warned: { [remarks, clock, warn = options.warn] problem in
                    warn(problem.text)
                    let warning = Run.Event.Warning(
                        code: "tracker", message: problem.message, file: problem.file, line: problem.line)
                    remarks?.note(.warned(warning), time: clock.now)
                }),
            clock: clock)
    }

    /// What happened since the last call; all of it when the run `isOver`.
    private func passEvents(isOver: Bool, _ narrator: inout EventNarrator) {
        guard let remarks else { return }
        let drained = coordinator.drainEvents()
        let batch = EventBatch(
            events: drained.events, failures: drained.failures,
            remarks: remarks.take(until: isOver ? UInt64.max : drained.time))
        guard !batch.isEmpty else { return }
        if let receive = options.eventLines { receive(EventLines.lines(narrator.events(of: batch))) }
        options.eventBatches?(batch)
    }

    /// What makes events of this run's batches.
    var narrator: EventNarrator {
        EventNarrator(run: id, plan: plan, tables: tables, worker: Run.Event.Worker(worker))
    }

    /// Starts nothing more until `resume`; what runs goes on.
    package func pause() { coordinator.pause() }

    package func resume() { coordinator.resume() }

    /// Starts nothing more; what runs may end.
    package func cancel() { coordinator.cancel() }

    /// Ends what runs, too.
    package func stop() { coordinator.stop() }

    /// Makes a state that can run every task, and frees it. Returns the bytes that it used.
    package func measureState() -> Int { pool.measureState() }

    /// The full name of a task.
    package func name(of task: TaskID) -> String { String(decoding: tables.name(of: task), as: UTF8.self) }

    private func outcome(_ snapshot: RunSnapshot, seconds: Double) -> RunOutcome {
        let failures = coordinator.allFailures.map { RunFailure(name: name(of: $0.task), report: $0) }
        let values = outputs.map { output in
            let place = plan.place(of: tables.declaredRow(of: output.task))
            return RunOutput(
                name: output.name, value: pool.value(of: output.task), task: name(of: output.task), file: place.file,
                line: place.line)
        }
        return RunOutcome(
            outputs: values, failures: failures, counts: snapshot.counts, seconds: seconds,
            isAbandoned: snapshot.isAbandoned, isCancelled: snapshot.isCancelled,
            unrepeatable: pool.unrepeatable.map { found in
                let place = plan.place(of: tables.declaredRow(of: found.task))
                return Unrepeatable(
                    task: name(of: found.task), message: found.message, file: place.file, line: place.line)
            })
    }
}
