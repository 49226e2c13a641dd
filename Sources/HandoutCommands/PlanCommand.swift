import ArgumentParser
import HandoutCore
import HandoutPlan

/// `handout-lua plan`: where and when each task of a script would run, by what is known beforehand. Nothing is run.
struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration.verb(
        "plan",
        abstract: "Show where and when each task of a script would run.",
        discussion: """
            Nothing is run. A task takes its estimate, or --assume-time; a list that a task makes has --assume-elements.
            Times are in seconds from the start. Without --cluster the tasks run on this machine.
            """)

    @OptionGroup var options: ScriptOptions

    @OptionGroup var clusters: ClusterFileOptions

    @OptionGroup var simulation: SimulationOptions

    @Option(
        help: ArgumentHelp(
            "\(SimulationAllocators.names.joined(separator: ", ")) or a file of Lua. Default: the script's own, or load-balanced.",
            valueName: "name"))
    var allocator: String?

    @Flag(
        help:
            "Print {\"allocator\",\"makespan\",\"cost\",\"utilisation\",\"bytes_moved\",\"schedule\"} as JSON."
    )
    var json = false

    func run() throws {
        guard !options.script.hasSuffix(".json") else {
            throw CommandFailure(
                .usage,
                "\(TextEscape.shown(options.script)): plan takes scripts; simulate takes instance and trace files too")
        }
        let given = try allocator.map { text throws(CommandFailure) in try AllocatorChoice(text) }
        let cluster = try clusters.description()
        let (plan, parameters) = try options.plan(json: json, capacity: cluster?.capacity)
        let script = try simulation.script(plan, parameters, options, cluster)
        let run = try simulation.run(script, given ?? script.choice)
        if let violation = run.violation {
            throw CommandFailure(.failed, "the simulation broke a rule, please report it: \(violation)")
        }
        let report = SimulationReport(run)
        try StandardOutput.line(json ? report.json : summary(run, plan) + "\n\n" + report.schedule)
        if run.waiting > 0 { throw CommandFailure(.failed) }
    }

    /// How many tasks, on what, for how long, and what that is taken from.
    private func summary(_ run: SimulatedRun, _ plan: Plan) -> String {
        func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
        var text =
            "\(counted(run.entries.count, "task")) on \(counted(run.workers.count, "worker")) under \(run.allocator): "
            + "\(SimulationReport.shown(run.makespan)) s"
        let unknown = (0..<plan.graph.count).filter { row in
            let task = TaskID(row)
            return PlanCommand.runs.contains(plan.graph.kind(task)) && plan.graph.options(of: task).estimate == 0
        }
        if !unknown.isEmpty {
            text += "\n\(counted(unknown.count, "declaration")) without an estimate: "
            text += "\(SimulationReport.shown(Double(simulation.assumedTime.nanoseconds) / 1e9)) s a task"
        }
        if run.waiting > 0 { text += "\n\(counted(run.waiting, "task")) wait for something that no worker has" }
        return text
    }

    private static let runs: Set<TaskKind> = [.task, .map, .reduce, .when]
}
