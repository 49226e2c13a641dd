package import HandoutCore

/// How a row ends without a lease.
enum Ending: UInt8 {
    /// It has a value, and that is neither nil nor false.
    case done
    case falsy
    /// A condition was not met.
    case absent
    /// It stands for something that is not there.
    case missing
    /// What it needs did not succeed.
    case upstream
    /// The run was stopped first.
    case cancelled
}

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
        placer?.now = now
        counts.running -= 1
        releaseClaim(of: row, nanoseconds: nil, now: now)
        if isDraining {
            endWhileDraining(row, attempt, failure, now, &output)
            settle(now, &output)
        } else {
            attemptFailed(row, attempt, failure, now, &output)
        }
        return true
    }

    /// The attempt holds nothing any more. What follows from its failure.
    mutating func attemptFailed(
        _ row: Int, _ attempt: UInt16, _ failure: Failure, _ now: UInt64, _ output: inout SchedulerOutput
    ) {
        let task = TaskID(row)
        let origin = declaredRow(of: row)
        let options = graph.options(of: TaskID(origin))
        var record = failures[task.rawValue] ?? FailureRecord()
        let allowed = RetryPolicy.allowsRetry(
            failure.ended, retries: options.retries, mayGetMore: options.measuresMemory, record: &record)
        // The function that makes a substitute has one attempt, and further ones only where a worker was lost.
        let mayAgain = record.isRecovering ? failure.ended == .lost && allowed : allowed && !failure.neverRetry
        guard mayAgain else {
            if hasTrait(origin, RowTraits.recovers) && !record.isRecovering && failure.ended != .cancelled {
                record.isRecovering = true
                record.lostInARow = 0
                failures[task.rawValue] = record
                self.record(
                    .taskFailed(task, attempt: attempt, ended: failure.ended, final: false, retryAfter: 0), now, &output
                )
                output.actions.append(.recover(task, attempt: attempt))
                makeReady(row, key: readyKey(row), slot: -1, &output)
                return
            }
            giveUp(row, attempt: attempt, failure.ended, now, &output)
            settle(now, &output)
            return
        }
        failures[task.rawValue] = record
        retry(row, attempt, failure, options, record, now, &output)
    }

    private mutating func retry(
        _ row: Int, _ attempt: UInt16, _ failure: Failure, _ options: TaskOptions, _ record: FailureRecord,
        _ now: UInt64, _ output: inout SchedulerOutput
    ) {
        let task = TaskID(row)
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
            makeReady(row, key: readyKey(row), slot: -1, &output)
        } else {
            setState(row, RowState.paused)
            let (time, overflow) = now.addingReportingOverflow(pause)
            timers.insert(TimerHeap.Entry(time: overflow ? .max : time, task: task.rawValue, attempt: attempt))
        }
    }

    /// The last failure of a row: marks what needs it and, without `keepGoing`, stops the run. One that is optional is
    /// absent from then on.
    mutating func giveUp(
        _ row: Int, attempt: UInt16, _ ended: Ended, _ now: UInt64, _ output: inout SchedulerOutput
    ) {
        let task = TaskID(row)
        let isOptional = hasTrait(declaredRow(of: row), RowTraits.optional)
        failures.removeValue(forKey: task.rawValue)
        placer?.forgetMeasurement(row)
        record(.taskFailed(task, attempt: attempt, ended: ended, final: true, retryAfter: 0), now, &output)
        output.actions.append(.giveUp(task, attempt: attempt, ended))
        counts.failed += 1
        setState(row, isOptional ? RowState.absent : RowState.failed)
        if isOptional || hasAlways { output.actions.append(.missing(task, failed: true)) }
        if !isOptional { hasFailed = true }
        rowEnded(row, slot: -1, now, &output)
        if !endings.isEmpty { endPending(now, &output) }
        if !isOptional && !configuration.keepGoing && !isDraining {
            drain(now, &output)
            output.actions.append(.stopRunning)
        }
    }

    /// An attempt that was running when the run was stopped. One that was cancelled, or went away with its worker,
    /// counts as skipped.
    private mutating func endWhileDraining(
        _ row: Int, _ attempt: UInt16, _ failure: Failure, _ now: UInt64, _ output: inout SchedulerOutput
    ) {
        // One that would have been tried again is no failure of the task's.
        let options = graph.options(of: TaskID(declaredRow(of: row)))
        var record = failures[UInt32(row)] ?? FailureRecord()
        let wouldGoOn =
            !record.isRecovering && !failure.neverRetry
            && RetryPolicy.allowsRetry(
                failure.ended, retries: options.retries, mayGetMore: options.measuresMemory, record: &record)
            || options.recovers && !record.isRecovering
        guard failure.ended == .cancelled || failure.ended == .lost || wouldGoOn else {
            return giveUp(row, attempt: attempt, failure.ended, now, &output)
        }
        self.record(
            .taskFailed(TaskID(row), attempt: attempt, ended: failure.ended, final: false, retryAfter: 0), now,
            &output)
        failures.removeValue(forKey: UInt32(row))
        setState(row, RowState.waiting)
        skip(row, .cancelled, now, &output)
    }

    /// Skips all that has not started. O(rows).
    mutating func drain(_ now: UInt64, _ output: inout SchedulerOutput) {
        isDraining = true
        queue.removeAll()
        placer?.removeAllReady()
        timers.removeAll()
        for slot in 0..<local.count { local[slot].count = 0 }
        localCount = 0
        for row in 0..<status.count {
            // A map whose instances all run may still end well.
            if state(row) == RowState.expanded && kinds[declaredRow(of: row)] == Word.mapKind { continue }
            skip(row, .cancelled, now, &output)
        }
        endPending(now, &output)
    }

    /// The task's failure makes it absent.
    package func isOptional(_ task: TaskID) -> Bool { hasTrait(declaredRow(of: task.index), RowTraits.optional) }

    // MARK: - Endings without a lease

    /// Lists the row to end so, when what goes on is through. A list and no recursion: a chain may be long.
    @inline(__always)
    mutating func end(_ row: Int, _ ending: Ending) {
        endings.append(UInt64(ending.rawValue) << 32 | UInt64(UInt32(truncatingIfNeeded: row)))
    }

    /// What the row needs has not succeeded.
    @inline(__always)
    mutating func lose(_ row: Int) { end(row, isDraining ? .cancelled : .upstream) }

    mutating func endPending(_ now: UInt64, _ output: inout SchedulerOutput) {
        while let word = endings.popLast() {
            let row = Int(word & 0xFFFF_FFFF)
            guard state(row) <= RowState.paused, let ending = Ending(rawValue: UInt8(word >> 32)) else { continue }
            switch ending {
            case .done, .falsy:
                if ending == .falsy { status[row] |= RowFlags.falsy }
                setState(row, RowState.done)
                rowEnded(row, slot: -1, now, &output)
            case .missing:
                setState(row, RowState.absent)
                rowEnded(row, slot: -1, now, &output)
            case .absent: skip(row, .when, now, &output)
            case .upstream: skip(row, .upstream, now, &output)
            case .cancelled: skip(row, .cancelled, now, &output)
            }
        }
    }

    /// Marks a row that has not started; others are left alone.
    mutating func skip(_ row: Int, _ reason: SkipReason, _ now: UInt64, _ output: inout SchedulerOutput) {
        let state = state(row)
        guard state <= RowState.paused else { return }
        if state == RowState.ready { counts.ready -= 1 }
        let origin = declaredRow(of: row)
        if isCountedRow(row, origin) {
            record(.taskSkipped(TaskID(row), reason), now, &output)
            counts.skipped += 1
        } else if isOwner(row, origin), blockOfOwner[UInt32(truncatingIfNeeded: row)] == nil {
            // A map that never came to be counts as one task that never started: a run must not look whole without it.
            record(.taskSkipped(TaskID(row), reason), now, &output)
            counts.total += 1
            counts.skipped += 1
        }
        let hasBegun = state == RowState.expanded
        var after = reason == .when ? RowState.absent : RowState.skipped
        var failed = false
        if row >= declared {
            if !hasBegun {
                endGraph(of: row, reason == .when ? .absent : reason == .upstream ? .upstream : .cancelled)
            } else if reason == .upstream && hasTrait(origin, RowTraits.optional) {
                // An instance of a graph in which something failed.
                after = RowState.absent
                failed = true
            }
        }
        setState(row, after)
        // Rows that stand for others say of themselves what those say, unless something stands between.
        let isBarred = reason == .upstream && isGated(origin) && !meetsGates(origin, row - origin)
        let isToBeTold = after == RowState.absent || hasAlways || isGraphInstance(row) || isBarred
        if isToBeTold && (kinds[origin] < Word.inputKind || reason == .when || isBarred) {
            output.actions.append(.missing(TaskID(row), failed: failed))
        }
        rowEnded(row, slot: -1, now, &output)
    }

    /// The row counts as a task.
    func isCountedRow(_ row: Int, _ origin: Int) -> Bool {
        guard row >= declared else { return isCounted(row) }
        let block = blocks[searchBlock(of: row)]
        if row >= block.framesFirst && block.templateCount > 0 { return isCounted(origin) }
        return block.kind == .reduce || block.kind == .map && traits[origin] & RowTraits.pseudo == 0
    }

    /// The row gathers the outputs of a graph: without them it has no value, whoever asks.
    private func isGraphInstance(_ row: Int) -> Bool {
        guard row >= declared else { return false }
        let block = blocks[searchBlock(of: row)]
        return block.kind == .graphs && row < block.framesFirst
    }

    /// The row is a map itself, declared or in a graph, and no instance.
    private func isOwner(_ row: Int, _ origin: Int) -> Bool {
        guard kinds[origin] == Word.mapKind else { return false }
        guard row >= declared else { return true }
        let block = blocks[searchBlock(of: row)]
        return row >= block.framesFirst && block.templateCount > 0
    }
}
