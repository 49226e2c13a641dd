package import HandoutCore

extension SchedulerCore {
    /// Makes the sources ready and asks for the first expansions. Once, before anything else. O(rows).
    package mutating func start(now: UInt64, into output: inout SchedulerOutput) {
        precondition(!isStarted, "a run is started once")
        isStarted = true
        record(.runStarted(seed: configuration.seed), now, &output)
        for row in 0..<declared where remaining[row] == 0 && state(row) == RowState.waiting {
            if kinds[row] == Word.taskKind {
                makeReady(row, key: declaredKey(row) | SchedulerCore.sourceKey, slot: -1)
            } else {
                inputsEnded(row, slot: -1, now, &output)
            }
        }
        endRunIfDone(now, &output)
    }

    /// A task's function returned and its result is kept. False: stale, nothing was changed.
    ///
    /// Amortised O(references from and to the task).
    @discardableResult
    package mutating func finished(
        _ task: TaskID, attempt: UInt16, slot: Int, holdsMemory: Bool, nanoseconds: UInt64 = 0, bytes: UInt64 = 0,
        now: UInt64, into output: inout SchedulerOutput
    ) -> Bool {
        let row = task.index
        guard isRunning(row, attempt) else { return false }
        setState(row, RowState.done)
        if holdsMemory { status[row] |= RowFlags.holdsMemory }
        counts.running -= 1
        counts.done += 1
        openRows -= 1
        if attempt > 1 && !failures.isEmpty { failures.removeValue(forKey: task.rawValue) }
        if configuration.recordsEvents {
            output.events.append(
                RunEvent(
                    time: now,
                    kind: .taskFinished(
                        task, attempt: attempt, slot: slotNumber(slot), nanoseconds: nanoseconds, bytes: bytes)))
        }
        if row < declared {
            declaredDone(row, slot: slot, now, &output)
        } else {
            appendedDone(row, slot: slot, now, &output)
        }
        endRunIfDone(now, &output)
        return true
    }

    /// A lease gave the task back unstarted: it is ready again, with the same attempt number.
    @discardableResult
    package mutating func returned(
        _ task: TaskID, attempt: UInt16, now: UInt64, into output: inout SchedulerOutput
    ) -> Bool {
        let row = task.index
        guard isRunning(row, attempt) else { return false }
        counts.running -= 1
        attempts[row] -= 1
        if isDraining {
            setState(row, RowState.waiting)
            skip(row, .cancelled, now, &output)
            spread(.cancelled, now, &output)
            endRunIfDone(now, &output)
        } else {
            makeReady(row, key: readyKey(row), slot: -1)
        }
        return true
    }

    /// Makes ready what was paused until `now`.
    package mutating func advance(now: UInt64, into output: inout SchedulerOutput) {
        while let timer = timers.first, timer.time <= now {
            timers.removeFirst()
            let row = Int(timer.task)
            if state(row) == RowState.paused && attempts[row] == timer.attempt {
                makeReady(row, key: readyKey(row), slot: -1)
            }
        }
    }

    /// Starts nothing more: what is not running is skipped, what runs may end. O(rows).
    package mutating func cancel(now: UInt64, into output: inout SchedulerOutput) {
        guard !isDraining else { return }
        drain(now, &output)
        endRunIfDone(now, &output)
    }

    /// Takes events in their order; appends what follows from them.
    package mutating func step(
        _ events: some Sequence<SchedulerEvent>, now: UInt64, into output: inout SchedulerOutput
    ) {
        for event in events {
            switch event {
            case .started: start(now: now, into: &output)
            case .finished(let task, let attempt, let slot, let holdsMemory, let nanoseconds, let bytes):
                finished(
                    task, attempt: attempt, slot: Int(slot), holdsMemory: holdsMemory, nanoseconds: nanoseconds,
                    bytes: bytes, now: now, into: &output)
            case .failed(let task, let attempt, let slot, let failure):
                failed(task, attempt: attempt, slot: Int(slot), failure, now: now, into: &output)
            case .returned(let task, let attempt): returned(task, attempt: attempt, now: now, into: &output)
            case .expanded(let task, let elements):
                expanded(task, elements: Int(elements), now: now, into: &output)
            case .expansionFailed(let task): expansionFailed(task, now: now, into: &output)
            case .idle(let slot): idle(slot: Int(slot))
            case .timeReached: advance(now: now, into: &output)
            case .cancelled: cancel(now: now, into: &output)
            }
        }
    }

    /// The attempt is the one that runs.
    @inline(__always) func isRunning(_ row: Int, _ attempt: UInt16) -> Bool {
        row < status.count && state(row) == RowState.running && attempts[row] == attempt
    }

    @inline(__always) func slotNumber(_ slot: Int) -> UInt16 { UInt16(clamping: max(0, slot)) }

    @inline(__always)
    func record(_ kind: RunEvent.Kind, _ now: UInt64, _ output: inout SchedulerOutput) {
        if configuration.recordsEvents { output.events.append(RunEvent(time: now, kind: kind)) }
    }

    mutating func endRunIfDone(_ now: UInt64, _ output: inout SchedulerOutput) {
        guard openRows == 0 && !hasFinished else { return }
        hasFinished = true
        record(.runFinished(ok: counts.failed == 0 && counts.skipped == 0 && !isDraining), now, &output)
        output.actions.append(.finish)
    }

    // MARK: - A row is done

    @inline(__always)
    mutating func declaredDone(_ row: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        if kinds[row] == Word.reduceKind { rootDone(row, &output) }
        satisfySuccessors(row, slot: slot, now, &output)
        endReferences(row, &output)
        releaseIfUnused(row, &output)
    }

    /// Tells the rows that refer to a done row, but not the reduces that stream from a map: they knew before.
    @inline(__always)
    mutating func satisfySuccessors(_ row: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        var place = Int(successorOffsets[row])
        let end = Int(successorOffsets[row + 1])
        while place < end {
            let edge = successors[place]
            if edge & SchedulerCore.streamingEdge == 0 { satisfy(Int(edge), slot: slot, now, &output) }
            place += 1
        }
    }

    /// One input of `row` is done.
    @inline(__always)
    mutating func satisfy(_ row: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        let left = remaining[row] &- 1
        remaining[row] = left
        if left == 0 && state(row) <= RowState.expanded { inputsEnded(row, slot: slot, now, &output) }
    }

    /// All inputs of a waiting row are done.
    @inline(__always)
    mutating func inputsEnded(_ row: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        if row >= declared {
            makeReady(row, key: readyKey(row), slot: slot)
        } else if kinds[row] == Word.taskKind {
            makeReady(row, key: declaredKey(row), slot: slot)
        } else {
            expandOrRunRoot(row, slot: slot, now, &output)
        }
    }

    // MARK: - Results that may go

    /// The row has ended for good: its data inputs have one consumer less. O(its references).
    @inline(__always)
    mutating func endReferences(_ row: Int, _ output: inout SchedulerOutput) {
        for word in referenceWords(row) {
            if Word.isInput(word) {
                let input = Word.payload(word)
                let left = consumers[input] &- 1
                consumers[input] = left
                if left == 0 {
                    if kinds[input] == Word.mapKind {
                        releaseInstances(input, &output)
                    } else {
                        release(input, &output)
                    }
                }
            } else if Word.operation(word) == Word.after {
                return
            }
        }
    }

    @inline(__always)
    mutating func releaseIfUnused(_ row: Int, _ output: inout SchedulerOutput) {
        if consumers[row] == 0 { release(row, &output) }
    }

    /// Frees a result that is in memory, no output, and not yet freed.
    @inline(__always)
    mutating func release(_ row: Int, _ output: inout SchedulerOutput) {
        let flags = RowFlags.holdsMemory | RowFlags.output | RowFlags.released
        guard status[row] & flags == RowFlags.holdsMemory else { return }
        status[row] |= RowFlags.released
        output.release(row)
    }
}
