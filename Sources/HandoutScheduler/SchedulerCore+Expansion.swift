package import HandoutCore

extension SchedulerCore {
    /// The executor counted the elements that a map or reduce runs over. False: stale, nothing was changed.
    ///
    /// A list that would take the run to 2^28 rows or more fails like one that is no list. O(elements).
    @discardableResult
    package mutating func expanded(
        _ task: TaskID, elements: Int, now: UInt64, into output: inout SchedulerOutput
    ) -> Bool {
        let row = task.index
        guard row < declared, state(row) == RowState.expanding else { return false }
        guard elements >= 0 && hasRoom(elements) else {
            return expansionFailed(task, now: now, into: &output)
        }
        if kinds[row] == Word.mapKind {
            expandMap(row, elements, now, &output)
        } else {
            expandReduce(row, elements, mapBlock: nil, slot: -1, now, &output)
        }
        endRunIfDone(now, &output)
        return true
    }

    /// What a map or reduce runs over is no list: it fails, finally. False: stale, nothing was changed.
    @discardableResult
    package mutating func expansionFailed(
        _ task: TaskID, now: UInt64, into output: inout SchedulerOutput
    ) -> Bool {
        let row = task.index
        guard row < declared, state(row) == RowState.expanding else { return false }
        // A map row counts as no task, but a run in which it failed must not look whole.
        if kinds[row] == Word.mapKind { counts.total += 1 }
        giveUp(row, attempt: 0, .result, now, &output)
        endRunIfDone(now, &output)
        return true
    }

    /// All that a map or reduce waits for is there: its elements, or all inputs of a reduce's root.
    mutating func expandOrRunRoot(_ row: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        if state(row) == RowState.expanded {
            makeReady(row, key: readyKey(row), slot: slot)
        } else if kinds[row] == Word.reduceKind, let over = overRow(row),
            kinds[over] == Word.mapKind, let block = blockOfOwner[UInt32(over)]
        {
            // The map knows how many: no need to ask.
            guard hasRoom(Int(blocks[Int(block)].count)) else { return giveUp(row, attempt: 0, .result, now, &output) }
            expandReduce(row, Int(blocks[Int(block)].count), mapBlock: Int(block), slot: slot, now, &output)
        } else {
            setState(row, RowState.expanding)
            output.actions.append(.expand(TaskID(row)))
        }
    }

    /// The run stays below 2^28 rows. A reduce has fewer inner rows than elements.
    private func hasRoom(_ elements: Int) -> Bool { elements < Reference.limit - status.count }

    // MARK: - Maps

    private mutating func expandMap(_ row: Int, _ elements: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        setState(row, RowState.expanded)
        record(.mapExpanded(TaskID(row), elements: UInt32(elements)), now, &output)
        let isSource = !hasInputs(row)
        let first = appendRows(elements, of: row, state: RowState.ready, &output)
        let block = Block(
            owner: UInt32(row), first: UInt32(first), count: UInt32(elements), open: UInt32(elements), isMap: true,
            releasesEarly: isReducedOnly(row), isSource: isSource, shape: ReduceShape(count: 0, arity: 2))
        let index = addBlock(block)
        if elements > 0 {
            counts.ready += elements
            let key = declaredKey(row) | (isSource ? SchedulerCore.sourceKey : 0)
            pushReady(ReadyRange(key: key, first: UInt32(first), count: UInt32(elements)))
        }
        for place in Int(successorOffsets[row])..<Int(successorOffsets[row + 1]) {
            let edge = successors[place]
            guard edge & SchedulerCore.streamingEdge != 0 else { continue }
            satisfy(Int(edge & SchedulerCore.rowMask), slot: -1, now, &output)
        }
        if elements == 0 { mapEnded(index, slot: -1, now, &output) }
    }

    /// The only data consumer of the map is one reduce over it, and it is no output.
    private func isReducedOnly(_ row: Int) -> Bool {
        guard consumers[row] == 1, status[row] & RowFlags.output == 0 else { return false }
        for place in Int(successorOffsets[row])..<Int(successorOffsets[row + 1])
        where successors[place] & SchedulerCore.streamingEdge != 0 {
            return true
        }
        return false
    }

    /// All instances have ended.
    mutating func mapEnded(_ block: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        let row = Int(blocks[block].owner)
        if state(row) == RowState.expanded {
            setState(row, RowState.done)
            openRows -= 1
            satisfySuccessors(row, slot: slot, now, &output)
        }
        endReferences(row, &output)
    }

    /// No consumer of the map is left. O(instances).
    mutating func releaseInstances(_ row: Int, _ output: inout SchedulerOutput) {
        guard status[row] & RowFlags.output == 0, let index = blockOfOwner[UInt32(row)] else { return }
        let block = blocks[Int(index)]
        for instance in Int(block.first)..<Int(block.first + block.count) { release(instance, &output) }
    }

    // MARK: - Reduces

    private mutating func expandReduce(
        _ row: Int, _ elements: Int, mapBlock: Int?, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput
    ) {
        setState(row, RowState.expanded)
        record(.mapExpanded(TaskID(row), elements: UInt32(elements)), now, &output)
        let arity = max(2, Int(graph.options[Int(optionIndices[row])].arity))
        let shape = ReduceShape(count: elements, arity: arity)
        let first = appendRows(shape.innerCount, of: row, state: RowState.waiting, &output)
        var block = Block(
            owner: UInt32(row), first: UInt32(first), count: UInt32(shape.innerCount),
            open: UInt32(shape.innerCount), isMap: false, isSource: !hasInputs(row), shape: shape)
        if let mapBlock {
            block.isStreaming = true
            block.mapBlock = UInt32(mapBlock)
            block.nextReduce = blocks[mapBlock].nextReduce
        }
        let index = addBlock(block)
        if let mapBlock { blocks[mapBlock].nextReduce = UInt32(index) }

        // Elements of a list are there; of the instances of a map some may have ended before.
        let instances = mapBlock.map { Int(blocks[$0].first) }
        var inner = first
        for level in shape.levels {
            for group in 0..<level.count {
                let inputs = shape.inputs(ofGroup: group, in: level)
                let missing = inputs.areElements ? missingElements(inputs, instances) : inputs.count
                remaining[inner] = UInt32(missing)
                if missing == 0 { makeReady(inner, key: readyKey(inner), slot: slot) }
                inner += 1
            }
        }
        let inputs = shape.rootInputs
        let missing = inputs.areElements ? missingElements(inputs, instances) : inputs.count
        remaining[row] = UInt32(missing)
        if missing == 0 { makeReady(row, key: readyKey(row), slot: slot) }
    }

    private func missingElements(_ inputs: ReduceShape.Inputs, _ instances: Int?) -> Int {
        guard let instances else { return 0 }
        var missing = 0
        for element in inputs.first..<inputs.first + inputs.count
        where state(instances + element) != RowState.done {
            missing += 1
        }
        return missing
    }

    /// The root of a reduce is done: what it took may go.
    mutating func rootDone(_ row: Int, _ output: inout SchedulerOutput) {
        guard let index = blockOfOwner[UInt32(row)] else { return }
        releaseTaken(blocks[Int(index)].shape.rootInputs, by: blocks[Int(index)], &output)
    }

    private mutating func releaseTaken(
        _ inputs: ReduceShape.Inputs, by block: Block, _ output: inout SchedulerOutput
    ) {
        let base: Int
        if !inputs.areElements {
            base = Int(block.first)
        } else if block.isStreaming && blocks[Int(block.mapBlock)].releasesEarly {
            base = Int(blocks[Int(block.mapBlock)].first)
        } else {
            return
        }
        for row in base + inputs.first..<base + inputs.first + inputs.count { release(row, &output) }
    }

    // MARK: - Appended rows

    private mutating func appendRows(
        _ count: Int, of row: Int, state: UInt8, _ output: inout SchedulerOutput
    ) -> Int {
        let first = status.count
        status.append(repeating: state, count: count)
        remaining.append(repeating: 0, count: count)
        attempts.append(repeating: 0, count: count)
        counts.total += count
        openRows += count
        output.actions.append(.rows(TaskID(row), first: TaskID(first), count: count))
        return first
    }

    private mutating func addBlock(_ block: Block) -> Int {
        blocks.append(block)
        blockOfOwner[block.owner] = UInt32(blocks.count - 1)
        return blocks.count - 1
    }

    /// The block of an appended row. O(log blocks), O(1) for rows of the block asked for last.
    @inline(__always)
    mutating func block(of row: Int) -> Int {
        let last = blocks[lastBlock]
        if row >= Int(last.first) && row < Int(last.first) + Int(last.count) { return lastBlock }
        lastBlock = searchBlock(of: row)
        return lastBlock
    }

    /// The last block that begins at or before the row: empty blocks begin where the next one does.
    func searchBlock(of row: Int) -> Int {
        var low = 0
        var high = blocks.count
        while high - low > 1 {
            let middle = (low + high) >> 1
            if Int(blocks[middle].first) <= row { low = middle } else { high = middle }
        }
        return low
    }

    /// An instance or an inner row is done.
    mutating func appendedDone(_ row: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        let index = block(of: row)
        let block = blocks[index]
        let place = row - Int(block.first)
        blocks[index].open -= 1
        if block.isMap {
            let owner = Int(block.owner)
            if consumers[owner] == 0 && status[owner] & RowFlags.output == 0 { release(row, &output) }
            var reduce = block.nextReduce
            while reduce != Block.none {
                let target = takerOfElement(place, reduce: Int(reduce))
                satisfy(target, slot: slot, now, &output)
                reduce = blocks[Int(reduce)].nextReduce
            }
            if block.open == 1 { mapEnded(index, slot: slot, now, &output) }
        } else {
            releaseTaken(block.shape.inputs(ofInner: place), by: block, &output)
            let parent = block.shape.parent(ofInner: place)
            satisfy(parent.map { Int(block.first) + $0 } ?? Int(block.owner), slot: slot, now, &output)
            if block.open == 1 { closeReduce(index, &output) }
        }
    }

    /// The row of a streaming reduce that takes an element.
    @inline(__always)
    func takerOfElement(_ element: Int, reduce: Int) -> Int {
        let block = blocks[reduce]
        return block.shape.group(ofElement: element).map { Int(block.first) + $0 } ?? Int(block.owner)
    }

    /// The last inner row has ended. Where the root did not succeed, it has ended before and this ends the reduce.
    mutating func closeReduce(_ index: Int, _ output: inout SchedulerOutput) {
        let block = blocks[index]
        guard state(Int(block.owner)) > RowState.done else { return }
        for row in Int(block.first)..<Int(block.first + block.count) { release(row, &output) }
        endReferences(Int(block.owner), &output)
    }
}
