import ArgumentParser
import Glibc
import HandoutCore
import HandoutPlacement
import HandoutSimulation

/// `handout-lua simulate`: runs a graph in virtual time, by one allocator or several, without running anything.
struct SimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration.verb(
        "simulate",
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

    @OptionGroup var simulation: SimulationOptions

    @OptionGroup var faults: FaultOptions

    @Flag(
        help:
            "Print {\"allocator\",\"makespan\",\"cost\",\"utilisation\",\"bytes_moved\",\"schedule\"} as JSON; of several a list."
    )
    var json = false

    @Option(help: ArgumentHelp("Draw the schedule of the one allocator.", valueName: "file.svg"), completion: .file())
    var gantt: String?

    func validate() throws {
        if gantt != nil && allocator.count > 1 { throw ValidationError("--gantt: expected one allocator") }
    }

    func run() throws {
        let choices = try allocator.map { text throws(CommandFailure) in try AllocatorChoice(text) }
        let runs = isInstance ? try instanceRuns(choices) : try scriptRuns(choices)
        if let violation = runs.lazy.compactMap(\.violation).first {
            throw CommandFailure(.failed, "the simulation broke a rule, please report it: \(violation)")
        }
        if let gantt, let run = runs.first { try write(GanttChart(run).svg, to: gantt) }
        if json {
            let texts = runs.map { SimulationReport($0).json }
            try StandardOutput.line(runs.count > 1 ? "[\(texts.joined(separator: ","))]" : texts.joined())
        } else {
            try StandardOutput.line(SimulationReport.table(runs, deadline: simulation.deadline?.seconds))
        }
        if runs.contains(where: { $0.waiting > 0 || $0.failed > 0 }) { throw CommandFailure(.failed) }
    }

    private var isInstance: Bool { options.script.hasSuffix(".json") }

    // MARK: - Instances

    private func instanceRuns(_ choices: [AllocatorChoice]) throws -> [SimulatedRun] {
        let choices = choices.isEmpty ? [AllocatorChoice.builtIn("time", [:])] : choices
        let instance = try SimulationOptions.instance(options.script)
        return try choices.map { choice in
            let schedule = try simulation.schedule(instance, choice, seed: options.seed)
            return SimulatedRun(instance, schedule, allocator: choice.title)
        }
    }

    // MARK: - Scripts

    private func scriptRuns(_ choices: [AllocatorChoice]) throws -> [SimulatedRun] {
        let cluster = try clusters.description()
        let (plan, parameters) = try options.plan(json: json, capacity: cluster?.capacity)
        var script = try simulation.script(plan, parameters, options, cluster)
        script.graph.faults = faults.rates
        let choices = choices.isEmpty ? [script.choice] : choices
        return try choices.map { try simulation.run(script, $0) }
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
