import HandoutCore

/// Trees of reduces.
extension SchedulerCore {
    mutating func expandReduce(
        _ row: Int, _ origin: Int, _ elements: Int, mapBlock: Int?, slot: Int, _ now: UInt64,
        _ output: inout SchedulerOutput
    ) {
        setState(row, RowState.expanded)
        record(.mapExpanded(TaskID(row), elements: UInt32(elements)), now, &output)
        let arity = max(2, Int(graph.options[Int(optionIndices[origin])].arity))
        let shape = ReduceShape(count: elements, arity: arity)
        let first = status.count
        var block = Block(
            owner: UInt32(row), declared: UInt32(origin), first: UInt32(first), count: UInt32(shape.innerCount),
            open: 0, kind: .reduce, isSource: row < declared && !hasInputs(origin))
        block.shape = shape
        block.height = heightBelow(row, origin)
        if let mapBlock {
            block.isStreaming = true
            block.mapBlock = UInt32(mapBlock)
        }
        let index = addBlock(block)
        appendRows(shape.innerCount, index, state: RowState.waiting, counted: true, &output)
        let always = hasTrait(origin, RowTraits.always)
        if let mapBlock {
            links.append(StreamLink(kind: .reduce, block: UInt32(index), next: blocks[mapBlock].firstLink))
            blocks[mapBlock].firstLink = UInt32(links.count - 1)
        }
        // Elements of a list are there; of the instances of a map some may have ended before.
        let instances = mapBlock.map { Int(blocks[$0].first) }
        var inner = first
        for level in shape.levels {
            for group in 0..<level.count {
                let inputs = shape.inputs(ofGroup: group, in: level)
                wait(inner, for: inputs, instances, always, slot: slot, &output)
                inner += 1
            }
        }
        wait(row, for: shape.rootInputs, instances, always, slot: slot, &output)
    }

    /// A node of a reduce begins to wait for its inputs; those that are elements may have ended.
    private mutating func wait(
        _ row: Int, for inputs: ReduceShape.Inputs, _ instances: Int?, _ always: Bool, slot: Int,
        _ output: inout SchedulerOutput
    ) {
        var missing = inputs.count
        if inputs.areElements {
            missing = 0
            for element in inputs.first..<inputs.first + inputs.count {
                guard let instances else { break }
                let state = state(instances + element)
                if !RowState.hasEnded(state) {
                    missing += 1
                } else if !RowState.isGood(state) && !always {
                    missing += 1
                    lose(row)
                }
            }
        }
        remaining[row] = UInt32(missing)
        if missing == 0 { makeReady(row, key: readyKey(row), slot: slot, &output) }
    }

    /// The root of a reduce has ended: what it took may go; without a result, none of its tree is of use.
    mutating func reduceEnded(_ row: Int, _ output: inout SchedulerOutput) {
        guard let index = blockOfOwner[UInt32(truncatingIfNeeded: row)] else { return }
        let block = blocks[Int(index)]
        if state(row) == RowState.done { return releaseTaken(block.shape.rootInputs, by: block, &output) }
        for inner in block.first..<block.first + block.count { lose(Int(inner)) }
        if block.open == 0 { for inner in block.first..<block.first + block.count { release(Int(inner), &output) } }
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

    /// The last inner row has ended. Where the root did not succeed, it has ended before and this ends the reduce.
    mutating func reduceClosed(_ index: Int, _ output: inout SchedulerOutput) {
        let block = blocks[index]
        let state = state(Int(block.owner))
        guard RowState.hasEnded(state) && state != RowState.done else { return }
        for row in Int(block.first)..<Int(block.first + block.count) { release(row, &output) }
        endReferences(Int(block.owner), &output)
    }
}
