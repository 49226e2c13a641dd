import HandoutCore

extension SchedulerCore {
    /// Stops the program where the state contradicts itself. For tests. O(rows and references).
    package func sanityCheck() {
        if let problem = sanityProblem() { preconditionFailure("scheduler state: \(problem)") }
    }

    /// The first contradiction in the state, computed anew from the graph; nil: none. O(rows and references).
    package func sanityProblem() -> String? {
        countsProblem() ?? inputsProblem() ?? readyProblem() ?? consumersProblem() ?? claimsProblem()
    }

    private func hasEnded(_ row: Int) -> Bool { RowState.hasEnded(state(row)) }

    private func countsProblem() -> String? {
        var expected = Counts()
        var open = 0
        for row in 0..<status.count {
            let state = state(row)
            if state == RowState.excluded { continue }
            if state < RowState.done { open += 1 }
            let origin = declaredRow(of: row)
            guard isCountedRow(row, origin) || isUnbornMap(row, origin) else { continue }
            expected.total += 1
            switch state {
            case RowState.done: expected.done += 1
            case RowState.failed: expected.failed += 1
            case RowState.skipped: expected.skipped += 1
            case RowState.running: expected.running += 1
            case RowState.ready: expected.ready += 1
            case RowState.absent: expected.skipped += 1  // or failed: told apart below
            default: break
            }
        }
        let ended = expected.failed + expected.skipped == counts.failed + counts.skipped
        expected.failed = counts.failed
        expected.skipped = counts.skipped
        if expected != counts || !ended { return "counts are \(counts), rows say \(expected)" }
        if open != openRows { return "\(openRows) open rows counted, there are \(open)" }
        for index in 0..<blocks.count {
            let block = blocks[index]
            var unended = 0
            for row in Int(block.first)..<Int(block.first) + block.rowCount where state(row) < RowState.done {
                unended += 1
            }
            if unended != Int(block.open) {
                return "block of #\(block.owner) counts \(block.open) open rows, there are \(unended)"
            }
        }
        return endings.isEmpty ? nil : "\(endings.count) rows are listed to end"
    }

    /// A map that ended before it had instances counts as a task.
    private func isUnbornMap(_ row: Int, _ origin: Int) -> Bool {
        guard kinds[origin] == Word.mapKind || kinds[origin] == Word.selectorKind else { return false }
        guard isOwnRow(row), blockOfOwner[UInt32(row)] == nil, hasEnded(row) else { return false }
        return kinds[origin] == Word.mapKind || state(row) == RowState.failed
    }

    /// The row is declared, or one of an instantiated graph: no instance and no inner node.
    private func isOwnRow(_ row: Int) -> Bool {
        guard row >= declared else { return true }
        let block = blocks[searchBlock(of: row)]
        return block.templateCount > 0 && row >= block.framesFirst
    }

    /// The row belongs to a graph that has not begun.
    private func isAsleep(_ row: Int) -> Bool {
        guard row >= declared else { return !isStarted }
        let block = blocks[searchBlock(of: row)]
        guard block.templateCount > 0 && row >= block.framesFirst else { return false }
        return state(Int(block.first) + (row - block.framesFirst) / Int(block.templateCount)) == RowState.waiting
    }

    // MARK: - Inputs

    private func inputsProblem() -> String? {
        for row in 0..<status.count {
            let state = state(row)
            if state >= RowState.failed { continue }
            let isOwn = isOwnRow(row)
            if state == RowState.expanded && kinds[declaredRow(of: row)] != Word.reduceKind { continue }
            let missing = isOwn ? missingInputs(row) : missingOfPart(row)
            if state == RowState.waiting || state == RowState.expanded {
                if Int(remaining[row]) != missing {
                    return "#\(row) waits for \(remaining[row]), should for \(missing)"
                }
                if missing == 0 && !isAsleep(row) { return "#\(row) has all inputs and is not ready" }
            } else if missing > 0 {
                return "#\(row) in state \(state) has \(missing) inputs that have not ended"
            }
            if state == RowState.measuring && !isMeasured(TaskID(row)) {
                return "#\(row) is measured and has no functions"
            }
            if state == RowState.running && attempts[row] == 0 { return "#\(row) runs without an attempt" }
        }
        return nil
    }

    /// Inputs of a row of a graph that have not ended, straight from the references and the shapes of the reduces.
    private func missingInputs(_ row: Int) -> Int {
        let (origin, shift) = originOfFrameRow(row)
        if kinds[origin] == Word.reduceKind, let index = blockOfOwner[UInt32(row)] {
            let block = blocks[Int(index)]
            return missingInTree(block.shape.rootInputs, block)
        }
        var missing = 0
        for word in referenceWords(origin) {
            if Word.endsInputs(word) { break }
            guard Word.isInput(word) else { continue }
            let input = Word.payload(word) + shift
            if isStreamingEdge(origin, word) {
                if blockOfOwner[UInt32(input)] == nil && !hasEnded(input) { missing += 1 }
            } else if !hasEnded(input) {
                missing += 1
            }
        }
        return missing
    }

    /// What an instance or an inner node waits for.
    private func missingOfPart(_ row: Int) -> Int {
        let block = blocks[searchBlock(of: row)]
        let place = row - Int(block.first)
        switch block.kind {
        case .reduce: return missingInTree(block.shape.inputs(ofInner: place), block)
        case .selector:
            let set = pickSets[Int(block.picks)]
            return set.rows[Int(set.offsets[place])..<Int(set.offsets[place + 1])].filter { !hasEnded(Int($0)) }.count
                + missingOfStreams(block, place)
        case .map, .graphs: return missingOfStreams(block, place)
        }
    }

    private func missingOfStreams(_ block: Block, _ place: Int) -> Int {
        streams(of: Int(block.declared), Int(block.owner) - Int(block.declared))
            .filter { !hasEnded(Int(blocks[$0].first) + place) }.count
    }

    private func missingInTree(_ inputs: ReduceShape.Inputs, _ block: Block) -> Int {
        let base: Int
        if !inputs.areElements {
            base = Int(block.first)
        } else if block.isStreaming {
            base = Int(blocks[Int(block.mapBlock)].first)
        } else {
            return 0
        }
        var missing = 0
        for row in base + inputs.first..<base + inputs.first + inputs.count where !hasEnded(row) { missing += 1 }
        return missing
    }

    // MARK: - What is ready

    private func readyProblem() -> String? {
        var seen = [UInt8](repeating: 0, count: status.count)
        func mark(_ range: ReadyRange) {
            for row in Int(range.first)..<Int(range.first) + Int(range.count) where state(row) == RowState.ready {
                seen[row] += 1
            }
        }
        queue.forEach(mark)
        for requestClass in placer?.classes ?? [] { requestClass.queue.forEach(mark) }
        for entry in placer?.held.entries ?? [] { mark(ReadyRange(key: entry.key, first: UInt32(entry.row), count: 1)) }
        var shared = 0
        for slot in 0..<local.count {
            mark(local[slot])
            if local[slot].count > 0 { shared += 1 }
        }
        if shared != localCount { return "\(localCount) slots with rows of their own counted, there are \(shared)" }
        for row in 0..<status.count
        where state(row) == RowState.ready && (placer?.allocator == .rounds ? seen[row] == 0 : seen[row] != 1) {
            return "#\(row) is ready and queued \(seen[row]) times"
        }
        var pausedRows = Set<UInt32>()
        timers.forEach { if $0.attempt == attempts[Int($0.task)] { pausedRows.insert($0.task) } }
        for row in 0..<status.count where state(row) == RowState.paused && !pausedRows.contains(UInt32(row)) {
            return "#\(row) is paused without a timer"
        }
        return nil
    }

    // MARK: - Results and claims

    /// The row refers to nothing any more.
    private func hasLetGo(_ row: Int) -> Bool {
        guard hasEnded(row) else { return false }
        let origin = declaredRow(of: row)
        if let index = blockOfOwner[UInt32(row)] {
            if hasTrait(origin, RowTraits.lazy) { return status[row] & RowFlags.released != 0 }
            return blocks[Int(index)].open == 0
        }
        if hasTrait(origin, RowTraits.pseudo) && state(row) == RowState.done {
            return status[row] & RowFlags.released != 0
        }
        return true
    }

    private func consumersProblem() -> String? {
        var expected = [UInt32](repeating: 0, count: status.count)
        for row in 0..<status.count where state(row) != RowState.excluded && isOwnRow(row) && !hasLetGo(row) {
            let (origin, shift) = originOfFrameRow(row)
            for word in referenceWords(origin) {
                if Word.endsData(word) { break }
                if Word.isInput(word) { expected[Word.payload(word) + shift] += 1 }
            }
        }
        for index in 0..<blocks.count where blocks[index].kind == .graphs {
            let block = blocks[index]
            if status[Int(block.owner)] & RowFlags.released != 0 { continue }
            for row in block.framesFirst..<block.framesFirst + Int(block.count) * Int(block.templateCount) {
                expected[row] += outputCounts[declaredRow(of: row)]
            }
        }
        for row in 0..<status.count where state(row) != RowState.excluded && expected[row] != consumers[row] {
            return "#\(row) counts \(consumers[row]) consumers, there are \(expected[row])"
        }
        for row in 0..<status.count where status[row] & RowFlags.holdsMemory != 0 {
            let isReleased = status[row] & RowFlags.released != 0
            let (mayGo, mustGo) = releaseRule(row)
            if isReleased && !mayGo { return "#\(row) was released while it is needed" }
            if !isReleased && mustGo { return "#\(row) is held and needed by no one" }
        }
        return nil
    }

    /// Whether the result of a done row may be free, and whether it must.
    private func releaseRule(_ row: Int) -> (may: Bool, must: Bool) {
        guard !isOwnRow(row) else {
            let isFree = consumers[row] == 0 && status[row] & RowFlags.output == 0
            return (isFree, isFree)
        }
        let block = blocks[searchBlock(of: row)]
        let place = row - Int(block.first)
        let owner = Int(block.owner)
        guard block.isMap else {
            let taker = block.shape.parent(ofInner: place).map { Int(block.first) + $0 } ?? owner
            let isFree = RowState.isGood(state(taker)) || hasLetGo(owner)
            return (isFree, isFree)
        }
        if status[owner] & RowFlags.output != 0 { return (false, false) }
        if consumers[owner] == 0 { return (true, true) }
        return (block.releasesEarly, false)
    }

    private func claimsProblem() -> String? {
        guard let placer else { return nil }
        // A total may have gone down below what is claimed.
        if !configuration.isTracked, let problem = placer.workers.overcommitment() { return problem }
        guard placer.hasWorkers else { return nil }
        if placer.claims.count != counts.running {
            return "\(placer.claims.count) claims, \(counts.running) attempts run"
        }
        for (row, _) in placer.claims where state(Int(row)) != RowState.running {
            return "#\(row) claims and does not run"
        }
        return nil
    }
}
