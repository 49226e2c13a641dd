import Handout
import HandoutCore
import HandoutPlan
import HandoutScheduler

/// Explains tasks of a run by its events and its plan.
struct LiveExplainer {
    let log: EventLog
    let plan: Plan
    let graph: GraphColumns
    /// This machine, as the run had it.
    let worker: WorkerOffer
    /// The moment that was asked for, in seconds; nil: none.
    let at: Double?
    /// A strategy in Lua decides.
    let hasStrategy: Bool
    let rows: RowNames

    /// - Throws: `CommandFailure` (usage) when the file is of another script.
    init(
        _ log: EventLog, _ plan: Plan, script: String, worker: WorkerOffer, at: Double?, hasStrategy: Bool
    ) throws(CommandFailure) {
        self.log = log
        self.plan = plan
        graph = plan.graph
        self.worker = worker
        self.at = at
        self.hasStrategy = hasStrategy
        rows = RowNames(plan.graph)
        let script = TextEscape.shown(script)
        if let name = log.graph, name != graph.name {
            throw log.failure(
                "it is of graph '\(TextEscape.shown(name))', and \(script) makes graph '\(TextEscape.shown(graph.name))': "
                    + "expected the script and parameters of that run")
        }
        for name in log.names where rows.row(name) == nil {
            let line = log.entries[name]?.line ?? 0
            throw log.failure(
                "line \(line): \(script) has no task '\(TextEscape.shown(name))': expected the script and parameters of that run"
            )
        }
    }

    /// Nil: there is no such task, nor can there come one.
    func explanation(of name: String) -> TaskExplanation? {
        guard let row = rows.row(name) else { return nil }
        var explanation = TaskExplanation(task: name)
        explanation.at = at
        explanation.declared = plan.shownPlace(of: TaskID(row))
        if let entry = log.entries[name] {
            explanation.attempts = entry.attempts
            explanation.state = state(entry)
        }
        let time = "\(ShownNumber.text(log.time)) s"
        if log.hasEnded {
            explanation.notes = ["the run ended at \(time)"]
        } else if at == nil {
            explanation.notes = ["as of \(time), the last event"]
        }
        if let instances = instances(name, row) {
            gather(instances, &explanation)
            return explanation
        }
        if explanation.state == .waiting {
            guard settle(&explanation, name, row) else { return nil }
        } else if !explanation.attempts.isEmpty {
            lookBack(&explanation, name, row)
        }
        if explanation.state == .skipped { explanation.reason = skipReason(name, row) }
        if log.hasEnded && (explanation.state == .waiting || explanation.state == .ready) {
            explanation.state = .excluded
            explanation.reason = "the run has ended without it: nothing that was asked for needs it"
            explanation.waitsFor = []
            explanation.waits = []
        }
        return explanation
    }

    /// A map is what its instances are.
    private func gather(_ instances: TaskExplanation.Instances, _ explanation: inout TaskExplanation) {
        explanation.instances = instances
        let ended = instances.done + instances.failed + instances.skipped
        explanation.state =
            ended < instances.count
            ? .expanded : instances.failed > 0 ? .failed : instances.skipped > 0 ? .skipped : .done
    }

    /// When it had become ready, and what was short until its first attempt.
    private func lookBack(_ explanation: inout TaskExplanation, _ name: String, _ row: Int) {
        guard let first = explanation.attempts.first else { return }
        let ready = readiness(name, row)
        explanation.ready = ready
        var wait = TaskExplanation.Wait(from: ready.time, until: first.start)
        wait.obstacles = obstacles(row, during: ready.time...max(ready.time, first.start))
        // What starts at once does so a moment later.
        if first.start - ready.time > (wait.obstacles.isEmpty ? 1 : 0.001) { explanation.waits = [wait] }
    }

    private func readiness(_ name: String, _ row: Int) -> TaskExplanation.Ready {
        let last = inputs(name, row).compactMap { input in log.entries[input]?.ended.map { (name: input, time: $0) } }
            .max { $0.time < $1.time }
        return TaskExplanation.Ready(time: last?.time ?? 0, last: last?.name)
    }

    func state(_ entry: EventLog.Entry) -> TaskExplanation.State {
        if entry.skipped != nil { return .skipped }
        if entry.hasFailed { return .failed }
        if entry.isFinished { return .done }
        if entry.isRunning { return .running }
        return (entry.attempts.last?.retryAt).map { $0 > log.time } ?? false ? .paused : .waiting
    }

    // MARK: - Not begun

    /// What it waits for: inputs, or what is short. False: an element that its map has not.
    private func settle(_ explanation: inout TaskExplanation, _ name: String, _ row: Int) -> Bool {
        let key = rows.key(name)
        if let key, let owner = rows.owner(name) {
            guard let count = log.elements[owner] else {
                explanation.state = log.entries[owner]?.skipped != nil ? .skipped : .unmade
                if explanation.state == .unmade {
                    explanation.reason = "the list that '\(TextEscape.shown(owner))' runs over is not known yet"
                    explanation.waitsFor = openInputs(owner, row)
                }
                return true
            }
            // The keys of a table are in no event: only numbers can be looked at.
            if let number = Int(key), number < 1 || number > count { return false }
        }
        explanation.waitsFor = openInputs(name, row)
        guard explanation.waitsFor.isEmpty else { return true }
        explanation.state = .ready
        let ready = readiness(name, row)
        explanation.ready = ready
        let retry = explanation.attempts.last?.retryAt ?? 0
        var wait = TaskExplanation.Wait(from: max(ready.time, retry))
        wait.obstacles = obstacles(row, during: nil)
        explanation.waits = [wait]
        if wait.obstacles.isEmpty && !log.hasEnded {
            explanation.notes.append(
                "nothing that it asks for is short: it may have started since"
                    + (hasStrategy ? ", or the strategy leaves it for later" : ""))
        }
        explanation.notes += runningNotes()
        return true
    }

    private func runningNotes() -> [String] {
        let running = log.running.sorted { (started($0) ?? 0, $0) < (started($1) ?? 0, $1) }
        guard !running.isEmpty else { return [] }
        let names = running.prefix(6).map { name in
            let since = started(name).map { " since \(ShownNumber.text($0)) s" } ?? ""
            return "\(name) on \(log.entries[name]?.attempts.last?.worker ?? "local")\(since)"
        }
        let more = running.count > 6 ? " and \(running.count - 6) more" : ""
        return ["running: \(names.joined(separator: ", "))\(more)"]
    }

    private func started(_ name: String) -> Double? { log.entries[name]?.attempts.last?.start }
}
