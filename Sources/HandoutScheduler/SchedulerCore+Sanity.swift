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

    private func isDone(_ row: Int) -> Bool { state(row) == RowState.done }

    private func countsProblem() -> String? {
        var expected = Counts()
        var open = 0
        for row in 0..<status.count {
            let state = state(row)
            if state == RowState.excluded { continue }
            if state < RowState.done { open += 1 }
            let isMap = row < declared && kinds[row] == Word.mapKind
            let neverWas = state == RowState.skipped && blockOfOwner[UInt32(row)] == nil
            guard !isMap || state == RowState.failed || neverWas else { continue }
            expected.total += 1
            switch state {
            case RowState.done: expected.done += 1
            case RowState.failed: expected.failed += 1
            case RowState.skipped: expected.skipped += 1
            case RowState.running: expected.running += 1
            case RowState.ready: expected.ready += 1
            default: break
            }
        }
        if expected != counts { return "counts are \(counts), rows say \(expected)" }
        if open != openRows { return "\(openRows) open rows counted, there are \(open)" }
        for index in 0..<blocks.count {
            let block = blocks[index]
            var unended = 0
            for row in Int(block.first)..<Int(block.first + block.count) where state(row) < RowState.done {
                unended += 1
            }
            if unended != Int(block.open) {
                return "block of #\(block.owner) counts \(block.open) open rows, there are \(unended)"
            }
        }
        return nil
    }

    // MARK: - Inputs

    private func inputsProblem() -> String? {
        for row in 0..<status.count {
            let state = state(row)
            if state == RowState.excluded || state == RowState.skipped { continue }
            let missing = missingInputs(row)
            if state == RowState.waiting || state == RowState.expanded {
                let isMap = row < declared && kinds[row] == Word.mapKind
                if Int(remaining[row]) != missing {
                    return "#\(row) waits for \(remaining[row]), should for \(missing)"
                }
                if missing == 0 && isStarted && !isMap { return "#\(row) has all inputs and is not ready" }
            } else if missing > 0 {
                return "#\(row) in state \(state) has \(missing) inputs that are not done"
            }
            if state == RowState.running && attempts[row] == 0 { return "#\(row) runs without an attempt" }
        }
        return nil
    }

    /// Inputs that are not done, straight from the graph and the shapes of the reduces.
    private func missingInputs(_ row: Int) -> Int {
        guard row < declared else {
            let block = blocks[searchBlock(of: row)]
            guard !block.isMap else { return 0 }
            return missingInTree(block.shape.inputs(ofInner: row - Int(block.first)), block)
        }
        if kinds[row] == Word.reduceKind, let index = blockOfOwner[UInt32(row)] {
            let block = blocks[Int(index)]
            return missingInTree(block.shape.rootInputs, block)
        }
        var missing = 0
        for word in referenceWords(row) {
            let reference = Reference(word: word)
            guard reference.isTask || reference.isOver else { continue }
            let input = reference.payload
            if isStreamingEdge(row, word) {
                if blockOfOwner[UInt32(input)] == nil { missing += 1 }
            } else if !isDone(input) {
                missing += 1
            }
        }
        return missing
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
        for row in base + inputs.first..<base + inputs.first + inputs.count where !isDone(row) { missing += 1 }
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
        unclaimedQueue.forEach(mark)
        var shared = 0
        for slot in 0..<local.count {
            mark(local[slot])
            if local[slot].count > 0 { shared += 1 }
        }
        if shared != localCount { return "\(localCount) slots with rows of their own counted, there are \(shared)" }
        for row in 0..<status.count where state(row) == RowState.ready && seen[row] != 1 {
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

    /// The row needs its inputs no more: it and all rows that it appended have ended.
    private func hasEndedForGood(_ row: Int) -> Bool {
        guard state(row) >= RowState.done else { return false }
        guard let index = blockOfOwner[UInt32(row)] else { return true }
        return blocks[Int(index)].open == 0
    }

    private func consumersProblem() -> String? {
        var expected = [UInt32](repeating: 0, count: declared)
        for row in 0..<declared where state(row) != RowState.excluded && !hasEndedForGood(row) {
            for word in referenceWords(row) {
                let reference = Reference(word: word)
                if reference.operation == .after { break }
                if reference.isTask || reference.isOver { expected[reference.payload] += 1 }
            }
        }
        for row in 0..<declared where state(row) != RowState.excluded && expected[row] != consumers[row] {
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
        guard row >= declared else {
            let isFree = consumers[row] == 0 && status[row] & RowFlags.output == 0
            return (isFree, isFree)
        }
        let block = blocks[searchBlock(of: row)]
        let place = row - Int(block.first)
        let owner = Int(block.owner)
        guard block.isMap else {
            let taker = block.shape.parent(ofInner: place).map { Int(block.first) + $0 } ?? owner
            let isFree = isDone(taker) || hasEndedForGood(owner)
            return (isFree, isFree)
        }
        if status[owner] & RowFlags.output != 0 { return (false, false) }
        if consumers[owner] == 0 { return (true, true) }
        guard block.releasesEarly, block.nextReduce != Block.none else { return (false, false) }
        let isFree = isDone(takerOfElement(place, reduce: Int(block.nextReduce)))
        return (isFree, isFree)
    }

    private func claimsProblem() -> String? {
        var sum: UInt64 = 0
        for slot in 0..<claims.count { sum += claims[slot] }
        if sum != claimed { return "\(claimed) of cpu counted as claimed, leases claim \(sum)" }
        return sum > configuration.cpu ? "\(sum) of cpu claimed of \(configuration.cpu)" : nil
    }
}
