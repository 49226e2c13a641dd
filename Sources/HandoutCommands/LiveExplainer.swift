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
        // Of what starts at once the events are a moment apart.
        guard first.start - ready.time > 0.001 else { return }
        var wait = TaskExplanation.Wait(from: ready.time, until: first.start)
        wait.obstacles = obstacles(row, at: (ready.time + first.start) / 2)
        explanation.waits = [wait]
    }

    private func readiness(_ name: String, _ row: Int) -> TaskExplanation.Ready {
        let last = inputs(name, row).compactMap { input in log.entries[input]?.ended.map { (name: input, time: $0) } }
            .max { $0.time < $1.time }
        return TaskExplanation.Ready(time: last?.time ?? 0, last: last?.name)
    }

    private func state(_ entry: EventLog.Entry) -> TaskExplanation.State {
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
        wait.obstacles = obstacles(row, at: nil)
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

    // MARK: - Inputs, by name

    /// The names of what a task needs, as far as they are known: of a map its instances.
    private func inputs(_ name: String, _ row: Int) -> [String] {
        var found: [String] = []
        var seen: Set<Int> = []
        var open = [(row: row, isOwn: true)]
        let prefix = rows.framePrefix(name)
        while let next = open.popLast() {
            for word in graph.references(of: TaskID(next.row)) {
                let reference = Reference(word: word)
                if reference.operation == .near || reference.operation == .function { break }
                guard let operation = reference.operation, [.task, .over, .own].contains(operation) else { continue }
                let input = reference.payload
                guard seen.insert(input).inserted else { continue }
                if graph.kind(TaskID(input)).isHidden {
                    open.append((input, next.isOwn && operation != .task))
                    continue
                }
                let own = prefix + graph.name(TaskID(input))
                let isStreaming = operation == .over && next.isOwn && graph.kind(TaskID(input)) == .map
                if isStreaming, let key = rows.key(name), rows.kind(name) == .map {
                    found.append("\(own)[\(key)]")
                } else {
                    found += expanded(own, TaskID(input))
                }
            }
        }
        return found
    }

    /// A map as its instances, where they are known.
    private func expanded(_ name: String, _ row: TaskID) -> [String] {
        guard graph.kind(row) == .map, let count = log.elements[name] else { return [name] }
        // Instances whose keys are no numbers are known when they are in an event only.
        let known = log.instances(of: name)
        let numbered = (1...max(1, count)).prefix(count).map { "\(name)[\($0)]" }
        return known.allSatisfy { Int(rows.key($0) ?? "") != nil } ? numbered : known
    }

    private func hasEnded(_ name: String) -> Bool {
        if let entry = log.entries[name] { return entry.ended != nil }
        guard let row = rows.row(name), rows.key(name) == nil else { return false }
        switch graph.kind(TaskID(row)) {
        case .input: return true
        case .map:
            guard let count = log.elements[name] else { return false }
            return log.instances(of: name).filter { log.entries[$0]?.ended != nil }.count >= count
        default: return graph.options(of: TaskID(row)).isInline && inputs(name, row).allSatisfy(hasEnded)
        }
    }

    /// What has not ended of that, and what runs of theirs, however far.
    private func openInputs(_ name: String, _ row: Int) -> [TaskExplanation.Input] {
        let direct = inputs(name, row).filter { !hasEnded($0) }
        var seen = Set(direct + [name])
        var queue = direct, next = 0
        var indirect: [String] = []
        while next < queue.count && seen.count < 100_000 {
            let input = queue[next]
            next += 1
            guard !(log.entries[input]?.isRunning ?? false), let row = rows.row(input) else { continue }
            for deeper in inputs(input, row) where !hasEnded(deeper) && seen.insert(deeper).inserted {
                queue.append(deeper)
                if log.entries[deeper] != nil { indirect.append(deeper) }
            }
        }
        return direct.map { shown($0, isIndirect: false) } + indirect.map { shown($0, isIndirect: true) }
    }

    private func shown(_ name: String, isIndirect: Bool) -> TaskExplanation.Input {
        guard let entry = log.entries[name] else {
            let isReady = rows.row(name).map { inputs(name, $0).allSatisfy(hasEnded) } ?? false
            let isMap = log.elements[name] != nil
            return TaskExplanation.Input(name, isMap ? .expanded : isReady ? .ready : .waiting, isIndirect: isIndirect)
        }
        var input = TaskExplanation.Input(name, state(entry), isIndirect: isIndirect)
        guard input.state == .running, let attempt = entry.attempts.last else { return input }
        input.since = attempt.start
        input.worker = attempt.worker
        return input
    }

    // MARK: - Skipped, and maps

    private func skipReason(_ name: String, _ row: Int) -> String? {
        let reason = log.entries[name]?.skipped ?? rows.owner(name).flatMap { log.entries[$0]?.skipped } ?? ""
        switch reason {
        case "when": return "skipped, because a condition was not met (\(conditions(row)))"
        case "upstream":
            let failed = failedAbove(name, row)
            guard !failed.isEmpty else { return "skipped, because something that it needs failed" }
            let names = failed.prefix(4).map { "'\(TextEscape.shown($0))'" }.joined(separator: ", ")
            return "skipped, because \(names)\(failed.count > 4 ? " and \(failed.count - 4) more" : ""), "
                + "which it needs, failed"
        default:
            let first = log.names.filter { log.entries[$0]?.hasFailed ?? false }
                .min { (log.entries[$0]?.ended ?? 0, $0) < (log.entries[$1]?.ended ?? 0, $1) }
            return first.map { "skipped, because the run was stopped when '\(TextEscape.shown($0))' failed" }
                ?? "skipped, because the run was stopped"
        }
    }

    private func conditions(_ row: Int) -> String {
        var parts: [String] = []
        var section: Reference.Operation?
        for word in graph.references(of: TaskID(row)) {
            let reference = Reference(word: word)
            switch reference.operation {
            case .when?, .unless?: section = reference.operation
            case .near?, .function?: section = nil
            case .task? where section != nil:
                let name = TextEscape.shown(graph.name(TaskID(reference.payload)))
                parts.append(section == .when ? "when '\(name)'" : "unless '\(name)'")
            default: break
            }
        }
        return parts.isEmpty ? "of the graph that it belongs to" : parts.joined(separator: ", ")
    }

    private func failedAbove(_ name: String, _ row: Int) -> [String] {
        var failed: [String] = []
        var seen: Set<String> = [name]
        var open = [(name, row)]
        while let (name, row) = open.popLast(), seen.count < 100_000 {
            for input in inputs(name, row) where seen.insert(input).inserted {
                guard let entry = log.entries[input] else { continue }
                if entry.hasFailed { failed.append(input) }
                if entry.skipped != nil, let row = rows.row(input) { open.append((input, row)) }
            }
        }
        return failed.sorted()
    }

    private func instances(_ name: String, _ row: Int) -> TaskExplanation.Instances? {
        guard let count = log.elements[name], graph.kind(TaskID(row)) == .map else { return nil }
        var instances = TaskExplanation.Instances(count: count)
        for instance in log.instances(of: name) {
            guard let entry = log.entries[instance] else { continue }
            switch state(entry) {
            case .done: instances.done += 1
            case .running: instances.running += 1
            case .failed: instances.failed += 1
            case .skipped: instances.skipped += 1
            default: continue
            }
            if instances.example == nil || entry.hasFailed || entry.isRunning { instances.example = instance }
        }
        return instances
    }
}
