import ArgumentParser
import HandoutCore
import HandoutPlan
import HandoutScheduler
import HandoutSimulation

/// `handout-lua explain`: why a task of a simulated or real run waits, was placed where it was, or ran again.
struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration.verb(
        "explain",
        abstract: "Say why a task waits, was placed where it was, ran again or never ran.",
        discussion: """
            Without --events the graph is run in virtual time, as simulate does with the same options. With --events the answer is
            about the run that writes or wrote that file, as far as it has come; SCRIPT and its parameters are those of the run.
            Tasks are named as in schedules and events: id, id[3], id[key].
            """)

    @OptionGroup var options: ScriptOptions

    @Argument(help: "The tasks to explain.")
    var tasks: [String]

    @Option(
        help: ArgumentHelp("Explain the run whose events are in this file.", valueName: "file"), completion: .file())
    var events: String?

    @Option(help: ArgumentHelp("The moment to explain. Default: all of the task's life.", valueName: "time"))
    var at: TimeLimit?

    @OptionGroup var clusters: ClusterFileOptions

    @Option(
        help: ArgumentHelp(
            "\(SimulationAllocators.names.joined(separator: ", ")) or a file of Lua. Default: the script's own, or load-balanced; of JSON files time.",
            valueName: "name"))
    var allocator: String?

    @OptionGroup var simulation: SimulationOptions

    @OptionGroup var faults: FaultOptions

    @Flag(help: "Print the facts as one JSON object a task; of several tasks a list.")
    var json = false

    func run() throws {
        let given = try allocator.map { text throws(CommandFailure) in try AllocatorChoice(text) }
        let explanations: [TaskExplanation]
        if let events {
            explanations = try live(events, given)
        } else if options.script.hasSuffix(".json") {
            explanations = try instance(given ?? .builtIn("time", [:]))
        } else {
            explanations = try script(given)
        }
        if json {
            let texts = explanations.map(\.json)
            try StandardOutput.line(texts.count == 1 ? texts[0] : "[\(texts.joined(separator: ","))]")
        } else {
            try StandardOutput.line(explanations.map(\.text).joined(separator: "\n\n"))
        }
    }

    private var until: UInt64? { at.map { UInt64(min($0.seconds * 1e9, 1e18)) } }

    // MARK: - Simulated runs

    private func script(_ given: AllocatorChoice?) throws -> [TaskExplanation] {
        let cluster = try clusters.description()
        let (plan, parameters) = try options.plan(json: json, capacity: cluster?.capacity)
        let graph = plan.graph
        var script = try simulation.script(plan, parameters, options, cluster)
        script.graph.faults = faults.rates
        let choice = given ?? script.choice
        let record = DecisionRecord(allocator: choice.title, until: until) { GraphSimulation.name(graph, $0, $1) }
        try watch(graph, record)
        script.graph.record = record
        let run = try simulation.run(script, choice)
        if let violation = run.violation {
            throw CommandFailure(.failed, "the simulation broke a rule, please report it: \(violation)")
        }
        return try explanations(record, graph) { plan.shownPlace(of: TaskID($0)) }
    }

    private func instance(_ choice: AllocatorChoice) throws -> [TaskExplanation] {
        let instance = try SimulationOptions.instance(options.script)
        let graph = InstanceGraph(instance).graph
        let record = DecisionRecord(allocator: choice.title, until: until) { row, _ in graph.name(TaskID(row)) }
        try watch(graph, record)
        let schedule = try simulation.schedule(instance, choice, seed: options.seed, record: record)
        if record.isUsed { return try explanations(record, graph) { _ in nil }.map(ScheduleExplainer.withoutSets) }
        let explainer = ScheduleExplainer(instance, schedule, allocator: choice.title, at: at?.seconds)
        return record.watches.map { explainer.explanation(of: graph.name(TaskID($0.declared))) }
    }

    // MARK: - Real runs

    private func live(_ events: String, _ given: AllocatorChoice?) throws -> [TaskExplanation] {
        let log = try EventLog(events, until: at?.seconds)
        // What the run's machine had is not asked of this one.
        let (plan, _) = try options.plan(json: json, capacity: Capacity())
        let explainer = try LiveExplainer(
            log, plan, script: options.script, worker: try options.machine.worker(), at: at?.seconds,
            hasStrategy: (given ?? AllocatorChoice(plan))?.isInLua ?? false)
        return try tasks.map { task in
            guard let explanation = explainer.explanation(of: task) else {
                guard TaskAddress.find(task, in: plan.graph) != nil, let owner = explainer.rows.owner(task),
                    let count = log.elements[owner]
                else { throw unknown(task, plan.graph) }
                throw CommandFailure(
                    .usage,
                    "\(shown(task)): '\(TextEscape.shown(owner))' has \(ShownNumber.counted(count, "instance"))")
            }
            return explanation
        }
    }

    // MARK: - Tasks

    private func watch(_ graph: GraphColumns, _ record: DecisionRecord) throws(CommandFailure) {
        for task in tasks {
            guard let address = TaskAddress.find(task, in: graph) else { throw unknown(task, graph) }
            if let key = address.key, address.element == nil {
                throw CommandFailure(
                    .usage,
                    "\(shown(task)): instances of simulated runs are numbered from 1, got '\(TextEscape.shown(key))'")
            }
            record.watch(declared: address.declared, element: address.element)
        }
    }

    private func explanations(
        _ record: DecisionRecord, _ graph: GraphColumns, place: (Int) -> String?
    ) throws(CommandFailure) -> [TaskExplanation] {
        var explanations: [TaskExplanation] = []
        for (task, watch) in zip(tasks, record.watches) {
            if let count = watch.isBeyond {
                throw CommandFailure(
                    .usage,
                    "\(shown(task)): '\(TextEscape.shown(graph.name(TaskID(watch.declared))))' has "
                        + "\(ShownNumber.counted(count, "instance"))")
            }
            var explanation = watch.explanation
            explanation.declared = place(watch.declared)
            explanations.append(explanation)
        }
        return explanations
    }

    /// Without the task's own name: it is the object of what follows.
    func shown(_ task: String) -> String { "explain: task '\(TextEscape.shown(task))'" }

    /// No task has that name: the nearest that there is.
    func unknown(_ task: String, _ graph: GraphColumns) -> CommandFailure {
        let names = (0..<graph.count).lazy.map { TaskID($0) }.filter { !graph.kind($0).isHidden }.prefix(100_000)
            .map { graph.name($0) }
        var word = task, rest = ""
        if task.last == "]", let open = task.lastIndex(of: "[") {
            word = String(task[..<open])
            rest = String(task[open...])
        }
        let hint = NearestName.find(word, among: Array(names)).map {
            " (did you mean '\(TextEscape.shown($0 + rest))'?)"
        }
        return CommandFailure(
            .usage, "\(shown(task)): graph '\(TextEscape.shown(graph.name))' has no such task\(hint ?? "")")
    }
}

extension Plan {
    /// `file:line` of a declared row.
    func shownPlace(of task: TaskID) -> String? {
        let (file, line) = place(of: task)
        return file.map { line > 0 ? "\($0):\(line)" : $0 }
    }
}
