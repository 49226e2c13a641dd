import HandoutCore

/// What watched rows wait for, and why they were never run.
extension SchedulerCore {
    /// Takes down how every watched row stands at last.
    func conclude(_ record: DecisionRecord) {
        record.isUsed = true
        for (number, watch) in record.watches.enumerated() {
            guard let row = watch.row else {
                concludeUnmade(record, number, watch.declared)
                continue
            }
            var explanation = watch.explanation
            explanation.state = shownState(row)
            if let index = blockOfOwner[UInt32(row)] {
                explanation.instances = instances(of: blocks[Int(index)], record)
            }
            switch explanation.state {
            case .waiting, .expanded: explanation.waitsFor = openInputs(of: row, record)
            case .skipped: explanation.reason = skipReason(row, record)
            case .absent where explanation.attempts.isEmpty: explanation.reason = unmetCondition(row, record)
            case .excluded: explanation.reason = excludedReason(row)
            default: break
            }
            record.change(number) { $0.explanation = explanation }
        }
    }

    private func concludeUnmade(_ record: DecisionRecord, _ number: Int, _ declared: Int) {
        var explanation = record.watches[number].explanation
        explanation.state = .unmade
        if declared < graph.ownCount {
            let owner = shownState(declared)
            let name = record.name((declared, nil))
            if RowState.hasEnded(state(declared)) {
                explanation.state = owner == .done ? .unmade : owner
                explanation.reason = skipReason(declared, record) ?? unmetCondition(declared, record)
            } else {
                explanation.reason = "the list that '\(name)' runs over is not known yet"
                explanation.waitsFor = openInputs(of: declared, record)
            }
        } else {
            explanation.reason = "the graph that it belongs to has not been made an instance of"
        }
        record.change(number) { $0.explanation = explanation }
    }

    private func shownState(_ row: Int) -> TaskExplanation.State {
        switch state(row) {
        case RowState.expanded: .expanded
        case RowState.ready, RowState.measuring: .ready
        case RowState.paused: .paused
        case RowState.running: .running
        case RowState.done: .done
        case RowState.failed: .failed
        case RowState.skipped: .skipped
        case RowState.excluded: .excluded
        case RowState.absent: .absent
        default: .waiting
        }
    }

    private func excludedReason(_ row: Int) -> String? {
        row < graph.ownCount
            ? "nothing that was asked for needs it" : "its graph is run by its instances only: ask for one of them"
    }

    private func instances(of block: Block, _ record: DecisionRecord) -> TaskExplanation.Instances {
        var instances = TaskExplanation.Instances(count: Int(block.count))
        var example: (row: Int, rank: Int, time: Double)?
        for row in Int(block.first)..<block.framesFirst {
            let state = shownState(row)
            switch state {
            case .done, .absent: instances.done += 1
            case .running: instances.running += 1
            case .failed: instances.failed += 1
            case .skipped: instances.skipped += 1
            default: break
            }
            // One that failed says most, then one that waits, then the one that ended last.
            let rank = state == .failed ? 3 : state == .ready ? 2 : state == .running ? 1 : 0
            let time = record.endTime(row) ?? 0
            if example.map({ (rank, time) > ($0.rank, $0.time) }) ?? true { example = (row, rank, time) }
        }
        instances.example = example.map { record.name(planPlace(of: $0.row)) }
        return instances
    }

    // MARK: - Inputs

    /// Most rows that are looked through for one answer.
    private static let mostLooks = 200_000

    /// Rows that the row waits for, or waited for: in place of those that the system makes, what they stand for.
    private func forEachShownInput(_ row: Int, _ body: (Int) -> Void) {
        var open = [row]
        var seen: Set<Int> = []
        while let next = open.popLast(), seen.count < SchedulerCore.mostLooks {
            forEachInput(next) { input in
                guard input != row, seen.insert(input).inserted else { return }
                if graph.kind(TaskID(declaredRow(of: input))).isHidden { open.append(input) } else { body(input) }
            }
        }
    }

    /// The one of the row's inputs that ended last.
    func lastInput(_ row: Int, _ record: DecisionRecord) -> String? {
        var last: (row: Int, time: Double)?
        forEachShownInput(row) { input in
            guard let time = record.endTime(input) else { return }
            if last.map({ (time, input) > ($0.time, $0.row) }) ?? true { last = (input, time) }
        }
        return last.map { record.name(planPlace(of: $0.row)) }
    }

    /// Inputs that have not ended, and what of theirs, however far, could go on now.
    private func openInputs(of row: Int, _ record: DecisionRecord) -> [TaskExplanation.Input] {
        var direct: [Int] = [], indirect: [Int] = []
        var seen: Set<Int> = [row]
        forEachShownInput(row) { input in
            if !RowState.hasEnded(state(input)), seen.insert(input).inserted { direct.append(input) }
        }
        var next = 0
        var queue = direct
        while next < queue.count, seen.count < SchedulerCore.mostLooks {
            let row = queue[next]
            next += 1
            guard state(row) <= RowState.expanding else { continue }
            forEachShownInput(row) { input in
                guard !RowState.hasEnded(state(input)), seen.insert(input).inserted else { return }
                queue.append(input)
                if state(input) > RowState.expanding { indirect.append(input) }
            }
        }
        return direct.map { shown($0, record, isIndirect: false) }
            + indirect.map { shown($0, record, isIndirect: true) }
    }

    private func shown(_ row: Int, _ record: DecisionRecord, isIndirect: Bool) -> TaskExplanation.Input {
        let state = shownState(row)
        var input = TaskExplanation.Input(record.name(planPlace(of: row)), state, isIndirect: isIndirect)
        guard state == .running else { return input }
        input.since = record.startTime(row)
        input.worker = record.worker(row).flatMap { placer?.workers.facts[$0].offer.capacity.name }
        return input
    }

    // MARK: - Skipped

    private func skipReason(_ row: Int, _ record: DecisionRecord) -> String? {
        let failed = failedAbove(row)
        if !failed.isEmpty {
            let names = failed.prefix(4).map { "'\(TextEscape.shown(record.name(planPlace(of: $0))))'" }
            let more = failed.count > 4 ? " and \(failed.count - 4) more" : ""
            return "skipped, because \(names.joined(separator: ", "))\(more), which it needs, failed"
        }
        if let unmet = unmetCondition(row, record) { return unmet }
        guard let first = record.firstFailure else { return nil }
        return
            "skipped, because the run was stopped when '\(TextEscape.shown(record.name(planPlace(of: Int(first)))))' failed"
    }

    /// Rows that failed, of those that the row needs, however far.
    private func failedAbove(_ row: Int) -> [Int] {
        var failed: [Int] = []
        var seen: Set<Int> = [row]
        var open = [row]
        while let next = open.popLast(), seen.count < SchedulerCore.mostLooks {
            forEachInput(next) { input in
                guard seen.insert(input).inserted else { return }
                if state(input) == RowState.failed { failed.append(input) }
                if state(input) == RowState.failed || state(input) == RowState.skipped { open.append(input) }
            }
        }
        // Of a map that failed, what failed in it.
        let owners = failed.filter { blockOfOwner[UInt32($0)] == nil }
        return (owners.isEmpty ? failed : owners).sorted()
    }

    /// Which condition of the row was not met; nil: it has none that is known to be.
    private func unmetCondition(_ row: Int, _ record: DecisionRecord) -> String? {
        let (origin, shift) = originOfFrameRow(row)
        var section: UInt32 = 0
        for word in referenceWords(origin) {
            if Word.endsInputs(word) { return nil }
            if Word.operation(word) == Word.when || Word.operation(word) == Word.unless {
                section = Word.operation(word)
                continue
            }
            guard section != 0, Word.operation(word) == 0 else { continue }
            let input = Word.payload(word) + shift
            let name = TextEscape.shown(record.name(planPlace(of: input)))
            if state(input) == RowState.absent { return "skipped, because '\(name)', a condition, is absent" }
            guard state(input) == RowState.done else { continue }
            let isFalsy = status[input] & RowFlags.falsy != 0
            if section == Word.when && isFalsy { return "skipped, because 'when' asks for '\(name)', which is false" }
            if section == Word.unless && !isFalsy { return "skipped, because of 'unless': '\(name)' is true" }
        }
        return nil
    }
}
