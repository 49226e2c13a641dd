package import HandoutCore

extension SchedulerCore {
    /// Makes the sources ready and asks for the first expansions. Once, before anything else. O(rows).
    package mutating func start(now: UInt64, into output: inout SchedulerOutput) {
        precondition(!isStarted, "a run is started once")
        isStarted = true
        moment = now
        placer?.now = now
        record(.runStarted(seed: configuration.seed), now, &output)
        if isPaused { record(.runPaused, now, &output) }
        placer?.hearStart()
        for row in 0..<graph.ownCount where remaining[row] == 0 && state(row) == RowState.waiting {
            if kinds[row] == Word.taskKind && traits[row] == 0 {
                makeReady(row, key: declaredKey(row) | SchedulerCore.sourceKey, slot: -1, &output)
            } else {
                declaredInputsEnded(row, row, 0, slot: -1, now, &output)
            }
        }
        settle(now, &output)
    }

    /// A task's function returned and its result is kept. False: stale, nothing was changed.
    ///
    /// Amortised O(references from and to the task).
    @discardableResult
    package mutating func finished(
        _ task: TaskID, attempt: UInt16, slot: Int, holdsMemory: Bool, isFalsy: Bool = false, nanoseconds: UInt64 = 0,
        bytes: UInt64 = 0, now: UInt64, into output: inout SchedulerOutput
    ) -> Bool {
        let row = task.index
        guard isRunning(row, attempt) else { return false }
        moment = now
        setState(row, RowState.done)
        if holdsMemory { status[row] |= RowFlags.holdsMemory }
        if isFalsy { status[row] |= RowFlags.falsy }
        counts.running -= 1
        counts.done += 1
        if placer != nil { ended(row, slot: slot, nanoseconds: nanoseconds, bytes: bytes, now: now) }
        if attempt > 1 && !failures.isEmpty { failures.removeValue(forKey: task.rawValue) }
        if isWatched {
            note(
                .taskFinished(
                    task, attempt: attempt, slot: slotNumber(slot), nanoseconds: nanoseconds, bytes: bytes), now,
                &output)
        }
        if row >= declared {
            openRows -= 1
            appendedEnded(row, slot: slot, now, &output)
        } else if isPlain(row) && placer == nil {
            plainEnded(row, slot: slot, now, &output)
        } else {
            rowEnded(row, slot: slot, now, &output)
        }
        settle(now, &output)
        return true
    }

    /// A lease gave the task back unstarted: it is ready again, with the same attempt number.
    @discardableResult
    package mutating func returned(
        _ task: TaskID, attempt: UInt16, now: UInt64, into output: inout SchedulerOutput
    ) -> Bool {
        let row = task.index
        guard isRunning(row, attempt) else { return false }
        moment = now
        placer?.now = now
        counts.running -= 1
        attempts[row] -= 1
        releaseClaim(of: row, nanoseconds: nil, now: now)
        if isDraining {
            setState(row, RowState.waiting)
            skip(row, .cancelled, now, &output)
            settle(now, &output)
        } else {
            makeReady(row, key: readyKey(row), slot: -1, &output)
        }
        return true
    }

    /// Makes ready what was paused until `now`.
    package mutating func advance(now: UInt64, into output: inout SchedulerOutput) {
        moment = now
        placer?.now = now
        while let timer = timers.first, timer.time <= now {
            timers.removeFirst()
            let row = Int(timer.task)
            if state(row) == RowState.paused && attempts[row] == timer.attempt {
                makeReady(row, key: readyKey(row), slot: -1, &output)
            } else if let placer, state(row) == RowState.ready {
                endWait(row, placer, now: now)
            }
        }
    }

    /// Starts nothing more: what is not running is skipped, what runs may end. O(rows).
    package mutating func cancel(now: UInt64, into output: inout SchedulerOutput) {
        guard !isDraining else { return }
        drain(now, &output)
        settle(now, &output)
    }

    /// Starts nothing more until `resume`: what runs goes on, and what ends is counted. Again: nothing.
    package mutating func pause(now: UInt64, into output: inout SchedulerOutput) {
        guard !isPaused && !isDraining && openRows > 0 else { return }
        isPaused = true
        placer?.forgetRound()
        if isStarted { record(.runPaused, now, &output) }
    }

    package mutating func resume(now: UInt64, into output: inout SchedulerOutput) {
        guard isPaused else { return }
        isPaused = false
        if isStarted && !hasFinished { record(.runResumed, now, &output) }
    }

    /// Takes events in their order; appends what follows from them.
    package mutating func step(
        _ events: some Sequence<SchedulerEvent>, now: UInt64, into output: inout SchedulerOutput
    ) {
        for event in events {
            switch event {
            case .started: start(now: now, into: &output)
            case .finished(let task, let attempt, let slot, let holdsMemory, let isFalsy, let nanoseconds, let bytes):
                finished(
                    task, attempt: attempt, slot: Int(slot), holdsMemory: holdsMemory, isFalsy: isFalsy,
                    nanoseconds: nanoseconds, bytes: bytes, now: now, into: &output)
            case .failed(let task, let attempt, let slot, let failure):
                failed(task, attempt: attempt, slot: Int(slot), failure, now: now, into: &output)
            case .returned(let task, let attempt): returned(task, attempt: attempt, now: now, into: &output)
            case .expanded(let task, let elements):
                expanded(task, elements: Int(elements), now: now, into: &output)
            case .expansionFailed(let task): expansionFailed(task, now: now, into: &output)
            case .measured(let task, let attempt): measured(task, attempt: attempt, nil, into: &output)
            case .unmeasured(let task, let attempt, let failure):
                unmeasured(task, attempt: attempt, failure, now: now, into: &output)
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
        if isWatched { note(kind, now, &output) }
    }

    /// Ends the rows that end without a lease, and the run when it is over.
    @inline(__always)
    mutating func settle(_ now: UInt64, _ output: inout SchedulerOutput) {
        if !endings.isEmpty { endPending(now, &output) }
        guard openRows == 0 && !hasFinished else { return }
        hasFinished = true
        record(.runFinished(ok: !hasFailed && !isDraining), now, &output)
        output.actions.append(.finish)
    }

    // MARK: - A row has ended

    /// The row's last state is set: tells what waits for it, and lets go of what it referred to.
    @inline(__always)
    mutating func rowEnded(_ row: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        openRows -= 1
        if row < declared {
            declaredEnded(row, row, 0, slot: slot, now, &output)
        } else {
            appendedEnded(row, slot: slot, now, &output)
        }
    }

    /// The row is declared, or is made of the declared row `origin` in a graph whose rows begin `shift` further on.
    @inline(__always)
    mutating func declaredEnded(
        _ row: Int, _ origin: Int, _ shift: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput
    ) {
        let good = RowState.isGood(state(row))
        if kinds[origin] == Word.reduceKind { reduceEnded(row, &output) }
        tellSuccessors(row, origin, shift, good, slot: slot, now, &output)
        if letsGo(row, origin) { endReferences(row, &output) }
        releaseIfUnused(row, &output)
    }

    /// Having ended, the row needs nothing any more that it refers to.
    @inline(__always)
    private func letsGo(_ row: Int, _ origin: Int) -> Bool {
        let kind = kinds[origin]
        if kind == Word.taskKind { return traits[origin] & RowTraits.pseudo == 0 || state(row) != RowState.done }
        guard kind != Word.whenKind else { return true }
        if let index = blockOfOwner[UInt32(truncatingIfNeeded: row)] {
            return blocks[Int(index)].open == 0 && traits[origin] & (RowTraits.lazy | RowTraits.pseudo) == 0
        }
        return traits[origin] & RowTraits.pseudo == 0 || state(row) != RowState.done
    }

    @inline(__always)
    private mutating func tellSuccessors(
        _ row: Int, _ origin: Int, _ shift: Int, _ good: Bool, slot: Int, _ now: UInt64,
        _ output: inout SchedulerOutput
    ) {
        var place = Int(successorOffsets[origin])
        let end = Int(successorOffsets[origin + 1])
        guard place < end else { return }
        // Rows that follow a map instance by instance knew when it got its instances.
        let knew = kinds[origin] != Word.taskKind && blockOfOwner[UInt32(truncatingIfNeeded: row)] != nil
        while place < end {
            let edge = successors[place]
            let target = Int(edge & SchedulerCore.rowMask) + shift
            if edge & ~SchedulerCore.rowMask == 0 {
                deliver(good, to: target, slot: slot, now, &output)
            } else if edge & SchedulerCore.anywayEdge != 0 {
                satisfy(target, slot: slot, now, &output)
            } else if !knew {
                deliver(good, to: target, slot: slot, now, &output)
            }
            place += 1
        }
    }

    /// One input of `row` has ended.
    @inline(__always)
    mutating func deliver(_ good: Bool, to row: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        if good || hasAlways && !isDraining && hasTrait(declaredRow(of: row), RowTraits.always) {
            satisfy(row, slot: slot, now, &output)
        } else {
            lose(row)
        }
    }

    /// One input of `row` is there.
    @inline(__always)
    mutating func satisfy(_ row: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        let left = remaining[row] &- 1
        remaining[row] = left
        if left == 0 && state(row) <= RowState.expanded { inputsEnded(row, slot: slot, now, &output) }
    }

    /// All inputs of a row that has not started are there.
    @inline(__always)
    mutating func inputsEnded(_ row: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        if row < declared {
            if kinds[row] == Word.taskKind && traits[row] == 0 {
                makeReady(row, key: declaredKey(row), slot: slot, &output)
            } else {
                declaredInputsEnded(row, row, 0, slot: slot, now, &output)
            }
        } else {
            appendedInputsEnded(row, slot: slot, now, &output)
        }
    }

    mutating func declaredInputsEnded(
        _ row: Int, _ origin: Int, _ shift: Int, slot: Int, _ now: UInt64, _ output: inout SchedulerOutput
    ) {
        // The tree of a reduce has run: its conditions were looked at before it was made.
        if state(row) == RowState.expanded { return makeReady(row, key: readyKey(row), slot: slot, &output) }
        if hasTrait(origin, RowTraits.conditional), !meetsConditions(origin, shift) {
            return end(row, .absent)
        }
        if isGated(origin), let base = base(of: origin).map({ $0 + shift }), !RowState.isGood(state(base)),
            kinds[origin] == Word.inputKind || blockOfOwner[UInt32(truncatingIfNeeded: base)] == nil
        {
            return end(row, .upstream)
        }
        switch kinds[origin] {
        case Word.taskKind, Word.whenKind:
            if hasTrait(origin, RowTraits.pseudo) {
                end(row, .done)
            } else {
                makeReady(row, key: readyKey(row), slot: slot, &output)
            }
        case Word.mapKind, Word.reduceKind: expandOrAsk(row, origin, shift, slot: slot, now, &output)
        case Word.selectorKind:
            if lacksInstances(of: origin, shift) { end(row, .upstream) } else { ask(row, &output) }
        case Word.selectKind:
            if hasTrait(origin, RowTraits.needsTruth) || picksInstance(origin) {
                ask(row, &output)
            } else {
                end(row, .done)
            }
        case Word.inputKind:
            if hasTrait(origin, RowTraits.needsTruth) { ask(row, &output) } else { end(row, .done) }
        default: end(row, .done)
        }
    }

    /// Whether all `when` are truthy and all `unless` are not, of those that are the same for all instances.
    private func meetsConditions(_ origin: Int, _ shift: Int) -> Bool {
        var section: UInt32 = 0
        for word in referenceWords(origin) {
            if Word.endsInputs(word) { break }
            if Word.endsData(word) {
                section = Word.operation(word)
            } else if section >= Word.when && Word.operation(word) == 0 {
                if isTrue(Word.payload(word) + shift) != (section == Word.when) { return false }
            }
        }
        return true
    }

    /// The row has a value, and it is neither nil nor false.
    func isTrue(_ row: Int) -> Bool {
        let state = state(row)
        if state == RowState.done { return status[row] & RowFlags.falsy == 0 }
        guard state == RowState.skipped else { return false }
        // A map in which something failed has the values of its other instances, and so has what stands for it.
        let (origin, shift) = originOfFrameRow(row)
        if kinds[origin] == Word.inputKind, let base = base(of: origin) {
            return meetsGates(origin, shift) && isTrue(base + shift)
        }
        return blockOfOwner[UInt32(truncatingIfNeeded: row)] != nil && kinds[origin] == Word.mapKind
    }

    /// All that comes after the data of a row has ended well.
    func meetsGates(_ origin: Int, _ shift: Int) -> Bool {
        var isData = true
        for word in referenceWords(origin) {
            if Word.endsInputs(word) { break }
            if Word.endsData(word) { isData = false }
            if !isData && Word.operation(word) == 0 && !RowState.isGood(state(Word.payload(word) + shift)) {
                return false
            }
        }
        return true
    }

    /// The elements that a selector picks parts of failed before there was any.
    private func lacksInstances(of selector: Int, _ shift: Int) -> Bool {
        guard !hasTrait(selector, RowTraits.always) else { return false }
        for word in referenceWords(selector) where Word.operation(word) == Word.own {
            let base = Word.payload(word) + shift
            return !RowState.isGood(state(base)) && blockOfOwner[UInt32(truncatingIfNeeded: base)] == nil
        }
        return false
    }

    private func picksInstance(_ origin: Int) -> Bool {
        for word in referenceWords(origin) where Word.operation(word) == 0 {
            return kinds[Word.payload(word)] == Word.mapKind
        }
        return false
    }

    private mutating func ask(_ row: Int, _ output: inout SchedulerOutput) {
        setState(row, RowState.expanding)
        output.actions.append(.expand(TaskID(row)))
    }

    // MARK: - Results that may go

    /// The row needs what it refers to no more: its data inputs have one consumer less. O(its references).
    @inline(__always)
    mutating func endReferences(_ row: Int, _ output: inout SchedulerOutput) {
        let (origin, shift) = row < declared ? (row, 0) : originOfFrameRow(row)
        for word in referenceWords(origin) {
            if Word.isInput(word) {
                let input = Word.payload(word) + shift
                let left = consumers[input] &- 1
                consumers[input] = left
                if left == 0 { releaseValue(input, &output) }
            } else if Word.endsData(word) {
                return
            }
        }
    }

    @inline(__always)
    mutating func releaseIfUnused(_ row: Int, _ output: inout SchedulerOutput) {
        if consumers[row] == 0 { releaseValue(row, &output) }
    }

    /// No one refers to the row any more. Nothing happens while it has not ended: this is asked again when it does.
    @inline(__always)
    mutating func releaseValue(_ row: Int, _ output: inout SchedulerOutput) {
        if status[row] & RowFlags.holdsMemory != 0 { return release(row, &output) }
        let origin = row < declared ? row : declaredRow(of: row)
        if kinds[origin] == Word.taskKind && traits[origin] == 0 { return }
        releaseIndirect(row, origin, &output)
    }

    private mutating func releaseIndirect(_ row: Int, _ origin: Int, _ output: inout SchedulerOutput) {
        guard status[row] & (RowFlags.output | RowFlags.released) == 0 else { return }
        if kinds[origin] == Word.mapKind || kinds[origin] == Word.selectorKind {
            if let index = blockOfOwner[UInt32(truncatingIfNeeded: row)] { releaseInstances(Int(index), &output) }
            return
        }
        guard hasTrait(origin, RowTraits.pseudo), state(row) == RowState.done else { return }
        status[row] |= RowFlags.released
        endReferences(row, &output)
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
