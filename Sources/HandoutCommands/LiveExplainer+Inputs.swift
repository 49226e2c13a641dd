import HandoutCore
import HandoutPlan

/// What tasks of a run need, by name, and what of it has not ended.
extension LiveExplainer {
    /// The names of what a task needs, as far as they are known: of a map its instances.
    func inputs(_ name: String, _ row: Int) -> [String] {
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
    func openInputs(_ name: String, _ row: Int) -> [TaskExplanation.Input] {
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
}
