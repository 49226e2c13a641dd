import HandoutCore

extension SchedulerCore {
    /// Counts inputs, consumers, heights and targets, and turns the references round.
    mutating func connect() {
        describeRows()
        // Rows refer to earlier rows only, so one pass from the end knows all consumers of a row when it gets there.
        var edges = 0
        let own = graph.ownCount
        for row in stride(from: declared - 1, through: 0, by: -1) {
            let isOwn = row < own
            if isOwn {
                if state(row) == RowState.excluded { continue }
                openRows += 1
                if isCounted(row) { counts.total += 1 }
            }
            let above = height[row] + 1
            var isData: UInt32 = 1
            var inputs: UInt32 = 0
            for word in referenceWords(row) {
                if Word.operation(word) == 0 || Word.isInput(word) {
                    let input = Word.payload(word)
                    precondition(input < row, "a row refers to a row that is not before it")
                    if height[input] < above { height[input] = above }
                    consumerCounts[input] += isData
                    successorOffsets[input + 1] += 1
                    if isOwn { status[input] = status[input] & ~RowState.mask | RowState.waiting }
                    inputs += 1
                } else if Word.endsInputs(word) {
                    break
                } else if Word.endsData(word) {
                    isData = 0
                }
            }
            inputCounts[row] = inputs
            if isOwn { remaining[row] = inputs }
            edges += Int(inputs)
        }
        for template in graph.templates.dropFirst() {
            for output in template.outputs {
                outputCounts[output.task.index] += 1
                consumerCounts[output.task.index] += 1
            }
        }
        consumers.base.update(from: consumerCounts.base, count: own)
        turnRound(edges)
    }

    private mutating func turnRound(_ edges: Int) {
        let offsets = successorOffsets.base
        var start: UInt32 = 0
        for row in 1..<successorOffsets.count {
            let width = offsets[row]
            offsets[row] = start
            start &+= width
        }
        successors = Slab(repeating: 0, count: edges)
        // Each entry moves from the start of its row's part to its end, which is where the next part starts.
        let inputs = inputCounts.base
        for row in 0..<declared where inputs[row] > 0 {
            var section: UInt32 = 0
            let isPlain = isPlain(row)
            for word in referenceWords(row) {
                if Word.operation(word) != 0 {
                    if Word.endsInputs(word) { break }
                    if Word.endsData(word) { section = Word.operation(word) }
                    guard Word.isInput(word) else { continue }
                }
                let input = Word.payload(word)
                let place = Int(offsets[input + 1])
                offsets[input + 1] += 1
                successors[place] = UInt32(truncatingIfNeeded: row)
                if !isPlain { successors[place] |= edgeKind(row, word, isData: section == 0) }
            }
        }
    }

    private func edgeKind(_ row: Int, _ word: UInt32, isData: Bool) -> UInt32 {
        if isStreamingEdge(row, word) { return SchedulerCore.streamingEdge }
        if kinds[row] == Word.selectorKind {
            // Instances whose elements failed are skipped one by one.
            let isElements = Word.operation(word) == Word.over && kinds[Word.payload(word)] == Word.mapKind
            return isElements || Word.operation(word) == Word.own ? SchedulerCore.anywayEdge : 0
        }
        // Whether there is a value to stand for is said by the conditions first.
        return isData && isGated(row) ? SchedulerCore.anywayEdge : 0
    }

    /// What each declared row is beside its kind. Only where any is more than a plain task, map or reduce.
    private mutating func describeRows() {
        let options = graph.options
        var isPlain = graph.templates.count == 1
        for option in options where option.always || option.optional || option.isInline || option.recovers {
            isPlain = false
        }
        if isPlain {
            // Row by row the boundaries would cost more than the words.
            let words = UnsafeBufferPointer(start: references, count: Int(referenceOffsets[declared]))
            isPlain =
                UnsafeBufferPointer(start: kinds, count: declared).allSatisfy { $0 <= Word.reduceKind }
                && words.allSatisfy { Word.operation($0) != Word.when && Word.operation($0) != Word.unless }
        }
        if isPlain { return }
        for row in 0..<declared {
            var trait: UInt8 = 0
            let option = options[Int(optionIndices[row])]
            if option.always { trait |= RowTraits.always }
            if option.optional { trait |= RowTraits.optional }
            if option.recovers { trait |= RowTraits.recovers }
            // Until something is found that needs the value itself. Conditions and reduces are computed once: whatever
            // needs them gets the same.
            let isInline = option.isInline && (kinds[row] == Word.taskKind || kinds[row] == Word.mapKind)
            if isInline || kinds[row] >= Word.inputKind { trait |= RowTraits.pseudo }
            if kinds[row] == Word.selectorKind { trait |= RowTraits.lazy }
            if option.always { hasAlways = true }
            traits[row] = trait
        }
        for row in 0..<declared { describeReferences(row) }
        if hasAlways { spreadAlways() }
        for template in graph.templates.dropFirst() {
            for output in template.outputs { needsValue(output.task.index) }
        }
        for row in 0..<declared where options[Int(optionIndices[row])].isInline {
            if status[row] & RowFlags.output != 0 { traits[row] &= ~RowTraits.pseudo }
            if hasTrait(row, RowTraits.pseudo) && kinds[row] == Word.mapKind { traits[row] |= RowTraits.lazy }
        }
    }

    /// Notes what the references of a row ask of the rows that they name.
    private mutating func describeReferences(_ row: Int) {
        let kind = kinds[row]
        var section: UInt32 = 0
        var isGraphs = false
        for word in referenceWords(row) {
            let operation = Word.operation(word)
            if operation == Word.graph {
                traits[row] |= RowTraits.lazy
                isGraphs = true
            }
            if Word.endsData(word) { section = operation }
            if Word.endsInputs(word) { break }
            guard Word.isInput(word) else { continue }
            let input = Word.payload(word)
            if section == Word.when || section == Word.unless {
                traits[input] |= RowTraits.needsTruth
                traits[row] |= operation == Word.own ? RowTraits.conditionalInstances : RowTraits.conditional
                needsValue(input)
            } else if operation == Word.over || kind >= Word.selectKind || isGraphs {
                needsValue(input)
            }
        }
    }

    /// What the instances of a map with `always` pick is found in any case, and waited for in any case.
    private mutating func spreadAlways() {
        for row in stride(from: declared - 1, through: 0, by: -1) where hasTrait(row, RowTraits.always) {
            guard kinds[row] == Word.mapKind || kinds[row] == Word.selectorKind else { continue }
            for word in referenceWords(row) where Word.operation(word) == Word.own {
                traits[Word.payload(word)] |= RowTraits.always
            }
        }
    }

    /// The value itself is asked for: an inline row cannot be computed where it is used.
    private mutating func needsValue(_ row: Int) {
        if kinds[row] <= Word.whenKind { traits[row] &= ~RowTraits.pseudo }
    }

    /// The declared row stands for a task that is counted: it runs a function of its own, once a row.
    @inline(__always) func isCounted(_ declared: Int) -> Bool {
        let kind = kinds[declared]
        return kind != Word.mapKind && kind <= Word.whenKind && traits[declared] & RowTraits.pseudo == 0
    }
}
