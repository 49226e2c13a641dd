import HandoutCore

/// Instances of maps, inner nodes of reduces, and rows of graphs that maps instantiate.
extension SchedulerCore {
    mutating func appendedEnded(_ row: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        let index = block(of: row)
        blocks[index].open -= 1
        let isPlainMap =
            blocks[index].kind == .map && blocks[index].firstLink == Block.none && blocks[index].mapBlock == Block.none
        if isPlainMap { return plainInstanceEnded(row, index, slot: slot, now, &output) }
        let block = blocks[index]
        if row >= block.framesFirst && block.templateCount > 0 {
            frameRowEnded(row, block, slot: slot, now, &output)
        } else if block.isMap {
            instanceEnded(row, index, block, slot: slot, now, &output)
        } else {
            innerEnded(row, block, slot: slot, now, &output)
        }
        if blocks[index].open == 0 { ownerEnded(index, slot: slot, now, &output) }
    }

    /// An instance that nothing follows one by one; without a copy of the block, as this is most of what large runs do.
    @inline(__always)
    private mutating func plainInstanceEnded(
        _ row: Int, _ index: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput
    ) {
        if !RowState.isGood(state(row)) {
            blocks[index].isBad = true
            if state(row) == RowState.failed { blocks[index].hasFailed = true }
        }
        let owner = Int(blocks[index].owner)
        if consumers[owner] == 0 && status[owner] & RowFlags.output == 0 { release(row, &output) }
        if blocks[index].open == 0 { ownerEnded(index, slot: slot, now, &output) }
    }

    private mutating func innerEnded(
        _ row: Int, _ block: Block, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput
    ) {
        let place = row - Int(block.first)
        let good = RowState.isGood(state(row))
        if good { releaseTaken(by: row, block, &output) }
        let parent = block.shape.parent(ofInner: place)
        // One that failed takes the whole tree with it, `always` or not: it is no input from outside.
        if good {
            satisfy(parent.map { Int(block.first) + $0 } ?? Int(block.owner), slot: slot, now, &output)
        } else {
            lose(Int(block.owner))
        }
    }

    private mutating func releaseTaken(by row: Int, _ block: Block, _ output: inout SchedulerOutput) {
        let inputs = block.shape.inputs(ofInner: row - Int(block.first))
        var base = Int(block.first)
        if inputs.areElements {
            guard block.isStreaming && blocks[Int(block.mapBlock)].releasesEarly else { return }
            base = Int(blocks[Int(block.mapBlock)].first)
        }
        for taken in base + inputs.first..<base + inputs.first + inputs.count { release(taken, &output) }
    }

    private mutating func instanceEnded(
        _ row: Int, _ index: Int, _ block: Block, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput
    ) {
        let owner = Int(block.owner)
        let place = row - Int(block.first)
        let good = RowState.isGood(state(row))
        if !good {
            blocks[index].isBad = true
            if state(row) == RowState.failed { blocks[index].hasFailed = true }
        }
        if consumers[owner] == 0 && status[owner] & RowFlags.output == 0 { release(row, &output) }
        // The element that an instance of a map over a map was given goes where nothing else needs it.
        if block.mapBlock != Block.none && blocks[Int(block.mapBlock)].releasesEarly {
            release(Int(blocks[Int(block.mapBlock)].first) + place, &output)
        }
        var next = block.firstLink
        while next != Block.none {
            let link = links[Int(next)]
            follow(link, row, place, good, slot: slot, now, &output)
            next = link.next
        }
    }

    private mutating func follow(
        _ link: StreamLink, _ row: Int, _ place: Int, _ good: Bool, slot: Int, _ now: UInt64,
        _ output: inout SchedulerOutput
    ) {
        switch link.kind {
        case .identity: deliver(good, to: Int(blocks[Int(link.block)].first) + place, slot: slot, now, &output)
        case .reduce: deliver(good, to: takerOfElement(place, reduce: Int(link.block)), slot: slot, now, &output)
        case .picks:
            let block = blocks[Int(link.block)]
            let number = Int(block.picks)
            let places = Int(pickSets[number].reverseOffsets[place])..<Int(pickSets[number].reverseOffsets[place + 1])
            for position in places {
                let target = Int(block.first) + Int(pickSets[number].reverse[position])
                deliver(good, to: target, slot: slot, now, &output)
            }
        case .select:
            if Int(link.row) == row && state(Int(link.block)) == RowState.expanded { endLike(Int(link.block), row) }
        }
    }

    /// The row of a streaming reduce that takes an element.
    @inline(__always)
    func takerOfElement(_ element: Int, reduce: Int) -> Int {
        let block = blocks[reduce]
        return block.shape.group(ofElement: element).map { Int(block.first) + $0 } ?? Int(block.owner)
    }

    private mutating func frameRowEnded(
        _ row: Int, _ block: Block, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput
    ) {
        let place = (row - block.framesFirst) % Int(block.templateCount)
        let origin = Int(block.templateFirst) + place
        declaredEnded(row, origin, row - origin, slot: slot, now, &output)
        guard outputCounts[origin] > 0 else { return }
        let instance = Int(block.first) + (row - block.framesFirst) / Int(block.templateCount)
        let good = RowState.isGood(state(row))
        for _ in 0..<outputCounts[origin] {
            if good { satisfy(instance, slot: slot, now, &output) } else { lose(instance) }
        }
    }

    // MARK: - All inputs are there

    mutating func appendedInputsEnded(_ row: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        let index = block(of: row)
        let block = blocks[index]
        if row >= block.framesFirst && block.templateCount > 0 {
            let (origin, shift) = originOfFrameRow(row)
            // The rows of a graph that has not begun wait for it.
            let instance = Int(block.first) + (row - block.framesFirst) / Int(block.templateCount)
            guard state(instance) != RowState.waiting else { return }
            return declaredInputsEnded(row, origin, shift, slot: slot, now, &output)
        }
        guard block.isMap else { return makeReady(row, key: readyKey(row), slot: slot, &output) }
        if block.kind == .graphs && state(row) == RowState.expanded {
            return end(row, graphIsTrue(row, block) ? .done : .falsy)
        }
        if hasTrait(Int(block.declared), RowTraits.conditionalInstances), !meetsOwnConditions(row, block) {
            return end(row, .absent)
        }
        switch block.kind {
        case .selector: endSelector(row, block)
        case .graphs: begin(row, block, slot: slot, now, &output)
        case .map, .reduce:
            if hasTrait(Int(block.declared), RowTraits.pseudo) {
                end(row, .done)
            } else {
                makeReady(row, key: readyKey(row), slot: slot, &output)
            }
        }
    }

    /// Whether the conditions that are another one for each instance are met.
    private func meetsOwnConditions(_ row: Int, _ block: Block) -> Bool {
        let place = row - Int(block.first)
        let shift = Int(block.owner) - Int(block.declared)
        var section: UInt32 = 0
        for word in referenceWords(Int(block.declared)) {
            if Word.endsInputs(word) { break }
            if Word.endsData(word) {
                section = Word.operation(word)
            } else if section >= Word.when && Word.operation(word) == Word.own {
                // A selector that has no instances picked nothing: what it picked from has failed.
                let index = blockOfOwner[UInt32(truncatingIfNeeded: Word.payload(word) + shift)]
                let isMet = index.map { isTrue(Int(blocks[Int($0)].first) + place) } ?? false
                if isMet != (section == Word.when) { return false }
            }
        }
        return true
    }

    /// All that an instance of a selector picked has ended well.
    private mutating func endSelector(_ row: Int, _ block: Block) {
        let place = row - Int(block.first)
        let set = Int(block.picks)
        // Without a verdict it is a part of an element, and nobody asks whether that is true.
        guard place < pickSets[set].verdicts.count else { return end(row, .done) }
        let verdict = pickSets[set].verdicts[place]
        let first = Int(pickSets[set].offsets[place]), last = Int(pickSets[set].offsets[place + 1])
        switch verdict {
        case .list: end(row, .done)
        case .falsy: end(row, .falsy)
        case .truthy: if last > first { endLike(row, Int(pickSets[set].rows[first])) } else { end(row, .done) }
        case .absent: end(row, .missing)
        }
    }

    /// An instance's graph begins.
    private mutating func begin(
        _ row: Int, _ block: Block, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput
    ) {
        setState(row, RowState.expanded)
        let size = Int(block.templateCount)
        let first = block.framesFirst + (row - Int(block.first)) * size
        var outputs: UInt32 = 0
        for place in 0..<size { outputs += outputCounts[Int(block.templateFirst) + place] }
        remaining[row] = outputs
        if outputs == 0 { end(row, .done) }
        for place in 0..<size where remaining[first + place] == 0 && state(first + place) == RowState.waiting {
            let origin = Int(block.templateFirst) + place
            declaredInputsEnded(first + place, origin, first - Int(block.templateFirst), slot: slot, now, &output)
        }
    }

    /// The value of an instance of a graph: that of its one output, else a table.
    private func graphIsTrue(_ row: Int, _ block: Block) -> Bool {
        let size = Int(block.templateCount)
        let first = block.framesFirst + (row - Int(block.first)) * size
        var only = -1, outputs: UInt32 = 0
        for place in 0..<size where outputCounts[Int(block.templateFirst) + place] > 0 {
            outputs += outputCounts[Int(block.templateFirst) + place]
            only = first + place
        }
        return outputs != 1 || isTrue(only)
    }

    /// Of an instance that does not begin, the graph ends as it does.
    mutating func endGraph(of row: Int, _ ending: Ending) {
        let block = blocks[block(of: row)]
        guard block.kind == .graphs, row < block.framesFirst else { return }
        let size = Int(block.templateCount)
        let first = block.framesFirst + (row - Int(block.first)) * size
        for place in 0..<size { end(first + place, ending) }
    }

    /// The rank of an instance of a map.
    func instanceKey(_ block: Block) -> UInt64 {
        let origin = Int(block.declared)
        return priorityKeys[Int(optionIndices[origin])] | UInt64(0x7FFF_FFFF - block.height)
            | (block.isSource ? SchedulerCore.sourceKey : 0)
    }
}
