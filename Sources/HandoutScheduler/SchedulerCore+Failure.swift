package import HandoutCore

extension SchedulerCore {
    /// An attempt did not succeed: the task is tried again, or what depends on it is skipped. False: stale, nothing
    /// was changed.
    ///
    /// O(1) with a retry, else O(rows that can no longer run and their references).
    @discardableResult
    package mutating func failed(
        _ task: TaskID, attempt: UInt16, slot: Int, _ failure: Failure, now: UInt64,
        into output: inout SchedulerOutput
    ) -> Bool {
        let row = task.index
        guard isRunning(row, attempt) else { return false }
        counts.running -= 1
        if isDraining {
            endWhileDraining(row, attempt, failure, now, &output)
            return true
        }
        let options = graph.options(of: TaskID(optionRow(row)))
        var record = failures[task.rawValue] ?? FailureRecord()
        let allowed = RetryPolicy.allowsRetry(failure.ended, retries: options.retries, record: &record)
        guard allowed && !failure.neverRetry else {
            giveUp(row, attempt: attempt, failure.ended, now, &output)
            endRunIfDone(now, &output)
            return true
        }
        failures[task.rawValue] = record
        var pause: UInt64 = 0
        if let asked = failure.retryAfter {
            pause = asked
        } else if failure.ended != .lost {
            // What was lost is no fault of the task.
            pause = RetryPolicy.pause(
                options: options, retry: Int(record.retriesUsed), seed: configuration.seed, task: task,
                attempt: attempt)
        }
        self.record(
            .taskFailed(task, attempt: attempt, ended: failure.ended, final: false, retryAfter: pause), now, &output)
        output.actions.append(.retry(task, attempt: attempt, after: pause))
        if pause == 0 {
            makeReady(row, key: readyKey(row), slot: -1)
        } else {
            setState(row, RowState.paused)
            let (time, overflow) = now.addingReportingOverflow(pause)
            timers.insert(TimerHeap.Entry(time: overflow ? .max : time, task: task.rawValue, attempt: attempt))
        }
        return true
    }

    /// The last failure of a row: marks what needs it and, without `keepGoing`, stops the run.
    mutating func giveUp(
        _ row: Int, attempt: UInt16, _ ended: Ended, _ now: UInt64, _ output: inout SchedulerOutput
    ) {
        let task = TaskID(row)
        failures.removeValue(forKey: task.rawValue)
        record(.taskFailed(task, attempt: attempt, ended: ended, final: true, retryAfter: 0), now, &output)
        output.actions.append(.giveUp(task, attempt: attempt, ended))
        counts.failed += 1
        endBadly(row, RowState.failed, &output)
        spread(.upstream, now, &output)
        if !configuration.keepGoing && !isDraining {
            drain(now, &output)
            output.actions.append(.stopRunning)
        }
    }

    /// An attempt that was running when the run was stopped. One that was cancelled, or went away with its worker,
    /// counts as skipped.
    private mutating func endWhileDraining(
        _ row: Int, _ attempt: UInt16, _ failure: Failure, _ now: UInt64, _ output: inout SchedulerOutput
    ) {
        if failure.ended == .cancelled || failure.ended == .lost {
            record(
                .taskFailed(TaskID(row), attempt: attempt, ended: failure.ended, final: false, retryAfter: 0), now,
                &output)
            failures.removeValue(forKey: UInt32(row))
            setState(row, RowState.waiting)
            skip(row, .cancelled, now, &output)
            spread(.cancelled, now, &output)
        } else {
            giveUp(row, attempt: attempt, failure.ended, now, &output)
        }
        endRunIfDone(now, &output)
    }

    /// Skips all that has not started. O(rows).
    mutating func drain(_ now: UInt64, _ output: inout SchedulerOutput) {
        isDraining = true
        queue.removeAll()
        unclaimedQueue.removeAll()
        timers.removeAll()
        for slot in 0..<local.count { local[slot].count = 0 }
        localCount = 0
        for row in 0..<status.count {
            // A map whose instances all run may still end well.
            if state(row) == RowState.expanded && kinds[row] == Word.mapKind { continue }
            skip(row, .cancelled, now, &output)
        }
        spread(.cancelled, now, &output)
    }

    /// Skips what `endBadly` left in the list, and what that leaves. A list and no recursion: a chain may be long.
    mutating func spread(_ reason: SkipReason, _ now: UInt64, _ output: inout SchedulerOutput) {
        while let row = lost.popLast() { skip(Int(row), reason, now, &output) }
    }

    /// Marks a row that has not started; others are left alone.
    mutating func skip(_ row: Int, _ reason: SkipReason, _ now: UInt64, _ output: inout SchedulerOutput) {
        let state = state(row)
        guard state <= RowState.paused else { return }
        if state == RowState.ready { counts.ready -= 1 }
        record(.taskSkipped(TaskID(row), reason), now, &output)
        if row >= declared || kinds[row] != Word.mapKind {
            counts.skipped += 1
        } else if blockOfOwner[UInt32(row)] == nil {
            // A map that never came to be counts as one task that never started: a run must not look whole without it.
            counts.total += 1
            counts.skipped += 1
        }
        endBadly(row, RowState.skipped, &output)
    }

    /// Ends a row without a result and lists the rows that wait for it in vain.
    private mutating func endBadly(_ row: Int, _ state: UInt8, _ output: inout SchedulerOutput) {
        setState(row, state)
        openRows -= 1
        guard row < declared else { return appendedEndedBadly(row, &output) }
        for place in Int(successorOffsets[row])..<Int(successorOffsets[row + 1]) {
            lost.append(successors[place] & SchedulerCore.rowMask)
        }
        guard kinds[row] != Word.taskKind, let index = blockOfOwner[UInt32(row)] else {
            endReferences(row, &output)
            return
        }
        let block = blocks[Int(index)]
        // Instances of a map are tasks in their own right and go on; the inner rows of a reduce serve its root only.
        guard !block.isMap else { return }
        for inner in block.first..<block.first + block.count { lost.append(inner) }
        if block.open == 0 { closeReduce(Int(index), &output) }
    }

    private mutating func appendedEndedBadly(_ row: Int, _ output: inout SchedulerOutput) {
        let index = block(of: row)
        let block = blocks[index]
        blocks[index].open -= 1
        lost.append(block.owner)
        // A reduce that streams from the map refers to the map row and is skipped with it, root and groups: without the
        // root none of the groups is of use.
        guard block.open == 1 else { return }
        if block.isMap { endReferences(Int(block.owner), &output) } else { closeReduce(index, &output) }
    }

    /// The declared row whose options a row has.
    func optionRow(_ row: Int) -> Int {
        row < declared ? row : Int(blocks[searchBlock(of: row)].owner)
    }
}
