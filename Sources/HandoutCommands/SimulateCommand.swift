import ArgumentParser
import Glibc
import HandoutCore
import HandoutInstances
import HandoutPlacement
import HandoutPlan
import HandoutScheduler
import HandoutSimulation

/// `handout-lua simulate`: runs a graph in virtual time, by one allocator or several, without running anything.
struct SimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Run a graph in virtual time, and say how long it takes and what it costs.",
        discussion: """
            SCRIPT is a script, a scheduling instance (docs/instances.md) or a workflow trace in WfFormat 1.4 or later;
            the latter two are JSON files. A task of a script takes its estimate, or --assume-time. Times are in seconds, of
            JSON files in their own unit. The same file, seed and --evaluations give the same schedule everywhere.
            """)

    @OptionGroup var options: ScriptOptions

    @OptionGroup var clusters: ClusterFileOptions

    @Option(
        help: ArgumentHelp(
            "\(SimulationAllocators.names.joined(separator: ", ")); again to compare. Default: load-balanced, of JSON files time.",
            valueName: "name"))
    var allocator: [String] = []

    @Option(help: ArgumentHelp("When the last task must have ended, for cost.", valueName: "duration"))
    var deadline: TimeLimit?

    @Option(
        help: ArgumentHelp("Time for planning. Default: 2s, or no limit with --evaluations.", valueName: "duration"))
    var budget: TimeLimit?

    @Option(help: ArgumentHelp("Schedules that planning may try.", valueName: "n"))
    var evaluations: Int?

    @Option(
        name: .customLong("assume-time"),
        help: ArgumentHelp("Run time of tasks without an estimate.", valueName: "duration"))
    var assumedTime: Duration = Duration(nanoseconds: 1_000_000_000)

    @Option(
        name: .customLong("assume-elements"),
        help: ArgumentHelp("Elements of lists that tasks make.", valueName: "n"))
    var assumedElements: Int = 8

    @Option(name: .customLong("fail"), help: ArgumentHelp("Probability that an attempt fails.", valueName: "p"))
    var failureRate: Double = 0

    @Option(
        name: .customLong("slow"),
        help: ArgumentHelp("Probability that a worker is four times slower than it says.", valueName: "p"))
    var slowRate: Double = 0

    @Option(
        name: .customLong("lose"),
        help: ArgumentHelp("Probability, for each attempt, that its worker dies; it comes back.", valueName: "p"))
    var lossRate: Double = 0

    @Flag(
        help:
            "Print {\"allocator\",\"makespan\",\"cost\",\"utilisation\",\"bytes_moved\",\"schedule\"} as JSON; of several a list."
    )
    var json = false

    @Option(help: ArgumentHelp("Draw the schedule of the one allocator.", valueName: "file.svg"), completion: .file())
    var gantt: String?

    func validate() throws {
        if let evaluations, evaluations < 1 {
            throw ValidationError("--evaluations: expected 1 or more, got \(evaluations)")
        }
        if gantt != nil && allocator.count > 1 { throw ValidationError("--gantt: expected one allocator") }
        for (name, rate) in [("--fail", failureRate), ("--slow", slowRate), ("--lose", lossRate)]
        where !(0...1).contains(rate) {
            throw ValidationError("\(name): expected a number from 0 to 1, got \(rate)")
        }
        if !(0...10_000_000).contains(assumedElements) {
            throw ValidationError("--assume-elements: expected 0 to 10000000, got \(assumedElements)")
        }
    }

    func run() throws {
        let names = allocator.isEmpty ? [isInstance ? "time" : "load-balanced"] : allocator
        let runs = isInstance ? try instanceRuns(names) : try scriptRuns(names)
        if let gantt, let run = runs.first { try write(GanttChart(run).svg, to: gantt) }
        if json {
            let texts = runs.map { SimulationReport($0).json }
            try StandardOutput.line(names.count > 1 ? "[\(texts.joined(separator: ","))]" : texts.joined())
        } else {
            try StandardOutput.line(SimulationReport.table(runs, deadline: deadline?.seconds))
        }
        if runs.contains(where: { $0.waiting > 0 || $0.failed > 0 }) { throw CommandFailure(.failed) }
    }

    private var isInstance: Bool { options.script.hasSuffix(".json") }

    /// Planning with what is known beforehand. The default of 2 s holds only where nothing else bounds it.
    private var request: SimulationRequest {
        SimulationRequest(
            deadline: deadline?.seconds, budget: evaluations == nil ? budget?.seconds ?? 2 : budget?.seconds,
            evaluations: evaluations ?? .max, seed: options.seed)
    }

    // MARK: - Instances

    private func instanceRuns(_ names: [String]) throws -> [SimulatedRun] {
        let allocators = try names.map { name in
            guard let allocator = SimulationAllocators.named(name) else { throw unknown(name) }
            return allocator
        }
        let instance = try read()
        return try allocators.map { allocator in
            SimulatedRun(instance, try allocator.schedule(instance, request), allocator: allocator.name)
        }
    }

    private func unknown(_ name: String) -> CommandFailure {
        CommandFailure(
            .usage,
            "--allocator: expected \(SimulationAllocators.names.joined(separator: ", ")), "
                + "got '\(TextEscape.shown(name))'")
    }

    private func read() throws -> PlacementInstance {
        let file = options.script
        do {
            return try InstanceFile.read(try FileReading.bytes(of: file, limit: 1 << 30))
        } catch let failure as FileReading.Failure {
            throw CommandFailure(.environment, "\(TextEscape.shown(file)): \(failure)")
        } catch {
            throw CommandFailure(.usage, "\(TextEscape.shown(file)): \(TextEscape.shown("\(error)"))")
        }
    }

    // MARK: - Scripts

    private func scriptRuns(_ names: [String]) throws -> [SimulatedRun] {
        for name in names where SimulationAllocators.named(name) == nil { throw unknown(name) }
        let cluster = try clusters.description()
        let plan = try options.plan(json: json, capacity: cluster?.capacity).plan
        let workers = try cluster?.simulated ?? [SimulatedWorker(offer: try options.machine.worker())]
        let network = cluster?.rates ?? EstimateWorld.Network()
        var world = EstimateWorld(graph: plan.graph, network: network) { plan.functions.elementCount(UInt32($0)) }
        world.assumedTime = assumedTime.nanoseconds
        world.assumedElements = assumedElements
        var simulation = GraphSimulation(graph: plan.graph, workers: workers, world: world)
        simulation.shared = cluster?.shared ?? [:]
        if let cluster { simulation.network = cluster.placementNetwork }
        simulation.seed = options.seed
        simulation.faults.failureRate = failureRate
        simulation.faults.slowRate = slowRate
        simulation.faults.deathRate = lossRate
        return names.map { name in
            SimulatedRun(simulation, SimulationAllocators.run(name, simulation, request), allocator: name)
        }
    }

    private func write(_ text: String, to path: String) throws {
        func failure() -> CommandFailure {
            CommandFailure(.environment, "--gantt: '\(TextEscape.shown(path))': \(String(cString: strerror(errno)))")
        }
        guard let file = fopen(path, "we") else { throw failure() }
        let bytes = Array(text.utf8)
        let written = fwrite(bytes, 1, bytes.count, file)
        guard fclose(file) == 0 && written == bytes.count else { throw failure() }
    }
}

/// A duration, or a plain number in the unit of an instance's times.
struct TimeLimit: ExpressibleByArgument {
    var seconds: Double

    init?(argument: String) {
        if let number = Double(argument), number >= 0, number.isFinite {
            seconds = number
        } else if let duration = Duration(argument: argument) {
            seconds = Double(duration.nanoseconds) * 1e-9
        } else {
            return nil
        }
    }
}
