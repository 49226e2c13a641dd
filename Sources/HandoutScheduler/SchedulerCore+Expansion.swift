package import HandoutCore

extension SchedulerCore {
    /// The executor counted the elements that a map or reduce runs over. False: stale, nothing was changed.
    @discardableResult
    package mutating func expanded(
        _ task: TaskID, elements: Int, now: UInt64, into output: inout SchedulerOutput
    ) -> Bool {
        expanded(task, Expansion(elements: elements), now: now, into: &output)
    }

    /// The executor found what a row runs over, picks, or is. False: stale, nothing was changed.
    ///
    /// A list that would take the run to 2^28 rows or more fails like one that is no list. O(elements).
    @discardableResult
    package mutating func expanded(
        _ task: TaskID, _ expansion: Expansion, now: UInt64, into output: inout SchedulerOutput
    ) -> Bool {
        let row = task.index
        guard row < status.count, state(row) == RowState.expanding else { return false }
        placer?.now = now
        let (origin, shift) = row < declared ? (row, 0) : originOfFrameRow(row)
        if row < declared { placer?.progress?.elements[row] = expansion.elements }
        switch kinds[origin] {
        case Word.selectKind, Word.inputKind: answered(row, origin, shift, expansion)
        default:
            guard expansion.elements >= 0 && hasRoom(expansion.elements, origin) else {
                return expansionFailed(task, now: now, into: &output)
            }
            if kinds[origin] == Word.reduceKind {
                expandReduce(row, origin, expansion.elements, mapBlock: nil, slot: -1, now, &output)
            } else {
                expandMap(row, origin, shift, expansion, now, &output)
            }
        }
        settle(now, &output)
        return true
    }

    /// What a map or reduce runs over is no list: it fails, finally. False: stale, nothing was changed.
    @discardableResult
    package mutating func expansionFailed(
        _ task: TaskID, now: UInt64, into output: inout SchedulerOutput
    ) -> Bool {
        let row = task.index
        guard row < status.count, state(row) == RowState.expanding else { return false }
        // A map row counts as no task, but a run in which it failed must not look whole.
        if !isCounted(declaredRow(of: row)) { counts.total += 1 }
        giveUp(row, attempt: 0, .result, now, &output)
        settle(now, &output)
        return true
    }

    /// All that a map or reduce waits for is there.
    mutating func expandOrAsk(
        _ row: Int, _ origin: Int, _ shift: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput
    ) {
        guard let over = overRow(origin), kinds[over] == Word.mapKind,
            let index = blockOfOwner[UInt32(truncatingIfNeeded: over + shift)]
        else {
            setState(row, RowState.expanding)
            output.actions.append(.expand(TaskID(row)))
            return
        }
        // The map knows how many: no need to ask.
        let elements = Int(blocks[Int(index)].count)
        setState(row, RowState.expanding)
        guard hasRoom(elements, origin) else {
            if !isCounted(origin) { counts.total += 1 }
            return giveUp(row, attempt: 0, .result, now, &output)
        }
        if kinds[origin] == Word.reduceKind {
            expandReduce(row, origin, elements, mapBlock: Int(index), slot: slot, now, &output)
        } else {
            expandMap(row, origin, shift, Expansion(elements: elements), now, &output)
        }
    }

    /// The run stays below 2^28 rows. A reduce has fewer inner rows than elements.
    private func hasRoom(_ elements: Int, _ origin: Int) -> Bool {
        let size = 1 + (template(of: origin)?.rows.count ?? 0)
        let (rows, overflow) = elements.multipliedReportingOverflow(by: size)
        return !overflow && rows < Reference.limit - status.count
    }

    /// The graph that a declared map instantiates.
    func template(of origin: Int) -> GraphTemplate? {
        guard graph.templates.count > 1, kinds[origin] == Word.mapKind else { return nil }
        for word in referenceWords(origin) where Word.operation(word) == Word.graph {
            return graph.templates[Word.payload(word)]
        }
        return nil
    }

    // MARK: - Selections and inputs

    /// What a select or an input is.
    private mutating func answered(_ row: Int, _ origin: Int, _ shift: Int, _ expansion: Expansion) {
        setState(row, RowState.waiting)
        if let picked = expansion.picks.first {
            let picked = Int(picked)
            if RowState.hasEnded(state(picked)) { return endLike(row, picked) }
            remaining[row] = 1
            let index = block(of: picked)
            links.append(
                StreamLink(kind: .select, block: UInt32(row), next: blocks[index].firstLink, row: UInt32(picked)))
            blocks[index].firstLink = UInt32(links.count - 1)
            setState(row, RowState.expanded)
            return
        }
        switch expansion.verdicts.first ?? .absent {
        case .truthy, .list: end(row, .done)
        case .falsy: end(row, .falsy)
        case .absent: end(row, .missing)
        }
    }

    /// A row that stands for another one ends as that one did.
    mutating func endLike(_ row: Int, _ other: Int) {
        switch state(other) {
        case RowState.done: end(row, status[other] & RowFlags.falsy == 0 ? .done : .falsy)
        case RowState.absent: end(row, .missing)
        default: end(row, .upstream)
        }
    }

    // MARK: - Maps

    private mutating func expandMap(
        _ row: Int, _ origin: Int, _ shift: Int, _ expansion: Expansion, _ now: UInt64,
        _ output: inout SchedulerOutput
    ) {
        let elements = expansion.elements
        let sources = streams(of: origin, shift)
        // They run over the same list, which a runner process may have made twice, and not the same.
        guard sources.allSatisfy({ Int(blocks[$0].count) == elements }) else {
            if !isCounted(origin) { counts.total += 1 }
            return giveUp(row, attempt: 0, .result, now, &output)
        }
        setState(row, RowState.expanded)
        if kinds[origin] == Word.mapKind { record(.mapExpanded(TaskID(row), elements: UInt32(elements)), now, &output) }
        let isSource = row < declared && !hasInputs(origin)
        let template = template(of: origin)
        let isReady =
            sources.isEmpty && template == nil && kinds[origin] == Word.mapKind
            && traits[origin] & (RowTraits.pseudo | RowTraits.conditionalInstances) == 0
            && !isMeasured(declared: origin)
        let first = status.count
        var block = Block(
            owner: UInt32(row), declared: UInt32(origin), first: UInt32(first), count: UInt32(elements), open: 0,
            kind: kinds[origin] == Word.selectorKind ? .selector : template == nil ? .map : .graphs, isSource: isSource)
        block.height = heightBelow(row, origin)
        block.releasesEarly = template == nil && isFollowedOnly(row, origin)
        if let template {
            block.templateFirst = UInt32(template.rows.lowerBound)
            block.templateCount = UInt32(template.rows.count)
        }
        let index = addBlock(block)
        appendRows(
            elements, index, state: isReady ? RowState.ready : RowState.waiting,
            counted: block.kind == .map && !hasTrait(origin, RowTraits.pseudo), &output)
        if isReady && elements > 0 {
            counts.ready += elements
            let key = instanceKey(blocks[index])
            pushReady(ReadyRange(key: key, first: UInt32(first), count: UInt32(elements)), &output)
        }
        // What follows the map instance by instance can have its own rows now.
        tellFollowers(origin, shift, now, &output)
        if block.kind == .selector { connectPicks(index, expansion) }
        if !isReady { connectInstances(index, sources, slot: -1, now, &output) }
        if elements == 0 { end(row, .done) }
    }

    private mutating func tellFollowers(_ origin: Int, _ shift: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        for place in Int(successorOffsets[origin])..<Int(successorOffsets[origin + 1]) {
            let edge = successors[place]
            guard edge & SchedulerCore.streamingEdge != 0 else { continue }
            satisfy(Int(edge & SchedulerCore.rowMask) + shift, slot: -1, now, &output)
        }
    }

    /// The blocks that the instances of a map, or of a selector of selected elements, follow one by one, each once.
    func streams(of origin: Int, _ shift: Int) -> [Int] {
        var found: [Int] = []
        let kind = kinds[origin]
        guard kind == Word.mapKind || kind == Word.selectorKind else { return found }
        for word in referenceWords(origin) {
            if Word.endsInputs(word) { break }
            let isFollowed =
                kind == Word.mapKind
                ? Word.isInput(word) && isStreamingEdge(origin, word) : Word.operation(word) == Word.own
            guard isFollowed,
                let index = blockOfOwner[UInt32(truncatingIfNeeded: Word.payload(word) + shift)]
            else { continue }
            if !found.contains(Int(index)) { found.append(Int(index)) }
        }
        return found
    }

    /// Lets each instance wait for those that it follows, and starts those that wait for nothing.
    private mutating func connectInstances(
        _ index: Int, _ sources: [Int], slot: Int, _ now: UInt64, _ output: inout SchedulerOutput
    ) {
        for source in sources {
            links.append(StreamLink(kind: .identity, block: UInt32(index), next: blocks[source].firstLink))
            blocks[source].firstLink = UInt32(links.count - 1)
        }
        let first = Int(blocks[index].first)
        let origin = Int(blocks[index].declared)
        if blocks[index].kind == .map, let over = overRow(origin), kinds[over] == Word.mapKind {
            let shift = Int(blocks[index].owner) - origin
            blocks[index].mapBlock = blockOfOwner[UInt32(truncatingIfNeeded: over + shift)] ?? Block.none
        }
        let always = hasTrait(origin, RowTraits.always)
        for element in 0..<Int(blocks[index].count) {
            var missing = remaining[first + element]
            var isLost = false
            for source in sources {
                let state = state(Int(blocks[source].first) + element)
                if !RowState.hasEnded(state) {
                    missing += 1
                } else if !RowState.isGood(state) && !always {
                    // It waits for that one too, so that nothing can start it before it is marked.
                    missing += 1
                    isLost = true
                }
            }
            remaining[first + element] = missing
            if isLost {
                lose(first + element)
            } else if missing == 0 {
                appendedInputsEnded(first + element, slot: slot, now, &output)
            }
        }
    }

    private mutating func connectPicks(_ index: Int, _ expansion: Expansion) {
        let first = Int(blocks[index].first)
        let count = Int(blocks[index].count)
        var set = PickSet(
            offsets: expansion.pickOffsets, rows: expansion.picks, reverseOffsets: [], reverse: [],
            verdicts: expansion.verdicts)
        if set.offsets.count != count + 1 { set.offsets = Array(repeating: 0, count: count + 1) }
        blocks[index].picks = UInt32(pickSets.count)
        guard let some = set.rows.first else {
            pickSets.append(set)
            return
        }
        let source = block(of: Int(some))
        let base = Int(blocks[source].first)
        let always = hasTrait(Int(blocks[index].declared), RowTraits.always)
        var widths = [UInt32](repeating: 0, count: Int(blocks[source].count) + 1)
        for row in set.rows { widths[Int(row) - base + 1] += 1 }
        for place in 1..<widths.count { widths[place] += widths[place - 1] }
        set.reverseOffsets = widths
        set.reverse = Array(repeating: 0, count: set.rows.count)
        for element in 0..<count {
            var missing: UInt32 = 0
            for place in Int(set.offsets[element])..<Int(set.offsets[element + 1]) {
                let picked = Int(set.rows[place])
                set.reverse[Int(widths[picked - base])] = UInt32(element)
                widths[picked - base] += 1
                let state = state(picked)
                if !RowState.hasEnded(state) {
                    missing += 1
                } else if !RowState.isGood(state) && !always {
                    missing += 1
                    lose(first + element)
                }
            }
            remaining[first + element] = missing
        }
        pickSets.append(set)
        links.append(
            StreamLink(kind: .picks, block: UInt32(index), next: blocks[source].firstLink))
        blocks[source].firstLink = UInt32(links.count - 1)
    }

    /// The only data consumer of the map is one reduce or map over it, and it is no output.
    private func isFollowedOnly(_ row: Int, _ origin: Int) -> Bool {
        guard consumers[row] == 1, status[row] & RowFlags.output == 0, kinds[origin] == Word.mapKind,
            !hasTrait(origin, RowTraits.pseudo)
        else { return false }
        for place in Int(successorOffsets[origin])..<Int(successorOffsets[origin + 1])
        where successors[place] & SchedulerCore.streamingEdge != 0 {
            let follower = Int(successors[place] & SchedulerCore.rowMask)
            if overRow(follower) == origin && kinds[follower] <= Word.reduceKind
                && traits[follower] & RowTraits.lazy == 0
            {
                return true
            }
        }
        return false
    }

    /// All appended rows have ended.
    mutating func ownerEnded(_ index: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        let block = blocks[index]
        let row = Int(block.owner)
        guard block.isMap else { return reduceClosed(index, &output) }
        guard state(row) == RowState.expanded else { return }
        setState(row, block.isBad ? RowState.skipped : RowState.done)
        if block.isBad && hasAlways { output.actions.append(.missing(TaskID(row), failed: block.hasFailed)) }
        rowEnded(row, slot: slot, now, &output)
    }

    /// No consumer of the map is left. O(instances).
    mutating func releaseInstances(_ index: Int, _ output: inout SchedulerOutput) {
        let block = blocks[index]
        let owner = Int(block.owner)
        if block.kind == .map {
            for instance in Int(block.first)..<Int(block.first + block.count) { release(instance, &output) }
        }
        guard hasTrait(Int(block.declared), RowTraits.lazy), block.open == 0, RowState.hasEnded(state(owner)) else {
            return
        }
        status[owner] |= RowFlags.released
        if block.kind == .graphs { releaseGraphs(block, &output) }
        endReferences(owner, &output)
    }

    /// The instances of a map over a graph need the outputs of their graphs no more.
    private mutating func releaseGraphs(_ block: Block, _ output: inout SchedulerOutput) {
        let size = Int(block.templateCount)
        for place in 0..<size where outputCounts[Int(block.templateFirst) + place] > 0 {
            let times = outputCounts[Int(block.templateFirst) + place]
            for instance in 0..<Int(block.count) {
                let row = block.framesFirst + instance * size + place
                consumers[row] &-= times
                if consumers[row] == 0 { releaseValue(row, &output) }
            }
        }
    }

    // MARK: - Appended rows

    /// Appends the rows of a block that was just added: instances or inner rows in that state, then rows of graphs.
    mutating func appendRows(
        _ count: Int, _ index: Int, state: UInt8, counted: Bool, _ output: inout SchedulerOutput
    ) {
        let block = blocks[index]
        let first = status.count
        status.append(repeating: state, count: count)
        remaining.append(repeating: 0, count: count)
        attempts.append(repeating: 0, count: count)
        consumers.append(repeating: 0, count: count)
        if counted { counts.total += count }
        let size = Int(block.templateCount)
        if size > 0 { appendGraphs(count, block) }
        blocks[index].open = UInt32(count * (1 + size))
        openRows += count * (1 + size)
        output.actions.append(.rows(TaskID(Int(block.owner)), first: TaskID(first), count: count * (1 + size)))
    }

    private mutating func appendGraphs(_ count: Int, _ block: Block) {
        let first = Int(block.templateFirst), size = Int(block.templateCount)
        var counted = 0
        for origin in first..<first + size where isCounted(origin) { counted += 1 }
        counts.total += counted * count
        for _ in 0..<count {
            status.append(repeating: RowState.waiting, count: size)
            attempts.append(repeating: 0, count: size)
            for origin in first..<first + size {
                remaining.append(inputCounts[origin])
                consumers.append(consumerCounts[origin])
            }
        }
    }

    mutating func addBlock(_ block: Block) -> Int {
        blocks.append(block)
        blockOfOwner[block.owner] = UInt32(blocks.count - 1)
        return blocks.count - 1
    }

    /// The block of an appended row. O(log blocks), O(1) for rows of the block asked for last.
    @inline(__always)
    mutating func block(of row: Int) -> Int {
        let last = blocks[lastBlock]
        if row >= Int(last.first) && row < Int(last.first) + last.rowCount { return lastBlock }
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

    /// The declared row that a row is, is made of, or is a part of.
    func declaredRow(of row: Int) -> Int {
        guard row >= declared else { return row }
        let block = blocks[searchBlock(of: row)]
        guard row >= block.framesFirst else { return Int(block.declared) }
        return Int(block.templateFirst) + (row - block.framesFirst) % Int(block.templateCount)
    }

    /// For a row of an instantiated graph, or a declared one: its declared row, and how far its graph is from that.
    func originOfFrameRow(_ row: Int) -> (origin: Int, shift: Int) {
        guard row >= declared else { return (row, 0) }
        let block = blocks[searchBlock(of: row)]
        guard row >= block.framesFirst, block.templateCount > 0 else {
            return (Int(block.declared), Int(block.owner) - Int(block.declared))
        }
        let origin = Int(block.templateFirst) + (row - block.framesFirst) % Int(block.templateCount)
        return (origin, row - origin)
    }

    /// Rows on the longest path from an owner's instances to an end.
    func heightBelow(_ row: Int, _ origin: Int) -> UInt32 {
        guard row >= declared else { return height[origin] }
        return height[origin] + blocks[searchBlock(of: row)].height
    }
}
