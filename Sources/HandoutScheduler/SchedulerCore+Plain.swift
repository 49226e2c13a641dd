import HandoutCore

/// The end of a declared task that is nothing more than that: most tasks of most graphs. What follows from it is the same as by
/// `rowEnded`, without its calls, of which each is a tenth of what a task costs.
extension SchedulerCore {
    @inline(__always) func isPlain(_ row: Int) -> Bool {
        row < declared && kinds[row] == Word.taskKind && traits[row] == 0
    }

    /// The row is plain and done, and nothing has to be chosen in this run.
    @inline(__always)
    mutating func plainEnded(_ row: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        openRows -= 1
        for place in Int(successorOffsets[row])..<Int(successorOffsets[row + 1]) {
            // Whatever kind of edge: it ended well, and it is no map.
            let target = Int(successors[place] & SchedulerCore.rowMask)
            let left = remaining[target] &- 1
            remaining[target] = left
            guard left == 0 && state(target) <= RowState.expanded else { continue }
            if kinds[target] == Word.taskKind && traits[target] == 0 {
                makeReadyAnywhere(target, key: declaredKey(target), slot: slot, &output)
            } else {
                declaredInputsEnded(target, target, 0, slot: slot, now, &output)
            }
        }
        for word in referenceWords(row) {
            if Word.isInput(word) {
                let input = Word.payload(word)
                let left = consumers[input] &- 1
                consumers[input] = left
                guard left == 0 else { continue }
                if isPlain(input) { release(input, &output) } else { releaseValue(input, &output) }
            } else if Word.endsData(word) {
                break
            }
        }
        if consumers[row] == 0 { release(row, &output) }
    }
}
