import HandoutCore

extension SchedulerCore {
    /// The rank of a declared row that has inputs.
    @inline(__always) func declaredKey(_ row: Int) -> UInt64 {
        priorityKeys[Int(optionIndices[row])] | UInt64(0x7FFF_FFFF - height[row])
    }

    /// The rank of any row. O(log blocks).
    func readyKey(_ row: Int) -> UInt64 {
        guard row >= declared else {
            var isSource = !hasInputs(row)
            if kinds[row] == Word.reduceKind, let block = blockOfOwner[UInt32(row)] {
                isSource = isSource && blocks[Int(block)].count == 0
            }
            return declaredKey(row) | (isSource ? SchedulerCore.sourceKey : 0)
        }
        let block = blocks[searchBlock(of: row)]
        if row >= block.framesFirst && block.templateCount > 0 {
            let origin = Int(block.templateFirst) + (row - block.framesFirst) % Int(block.templateCount)
            return priorityKeys[Int(optionIndices[origin])] | UInt64(0x7FFF_FFFF - height[origin] - block.height)
        }
        guard !block.isMap else { return instanceKey(block) }
        let isElements = block.shape.inputs(ofInner: row - Int(block.first)).areElements
        return instanceKey(block) & (isElements ? ~0 : ~SchedulerCore.sourceKey)
    }

    /// The row waits for another task, for its data or its order.
    func hasInputs(_ row: Int) -> Bool {
        for word in referenceWords(row) {
            if Word.endsInputs(word) { return false }
            if Word.isInput(word) { return true }
        }
        return false
    }

    /// The row may run. Where a slot's own completion made it so, that slot's next lease begins with it.
    @inline(__always)
    mutating func makeReady(_ row: Int, key: UInt64, slot: Int, _ output: inout SchedulerOutput) {
        guard let placer else { return makeReadyAnywhere(row, key: key, slot: slot, &output) }
        if placer.hasMeasured, asks(row, placer, &output) { return }
        setState(row, RowState.ready)
        counts.ready += 1
        pushPlaced(row, key: key, placer, &output)
    }

    /// The same where nothing has to be chosen.
    @inline(__always)
    mutating func makeReadyAnywhere(_ row: Int, key: UInt64, slot: Int, _ output: inout SchedulerOutput) {
        setState(row, RowState.ready)
        counts.ready += 1
        if isWatched { noteReady(row, &output) }
        guard slot >= 0 && slot < local.count else { return queue.push(row, key: key) }
        if local[slot].count == 0 {
            local[slot] = ReadyRange(key: key, first: UInt32(truncatingIfNeeded: row), count: 1)
            localCount += 1
        } else if !local[slot].extend(row, key) {
            displace(row, key: key, slot: slot)
        }
    }

    /// Of two ranges the better one stays with the slot.
    private mutating func displace(_ row: Int, key: UInt64, slot: Int) {
        let range = ReadyRange(key: key, first: UInt32(row), count: 1)
        if range.isBefore(local[slot]) {
            queue.push(local[slot])
            local[slot] = range
        } else {
            queue.push(row, key: key)
        }
    }

    /// Consecutive rows that became ready together, all with one set of options.
    mutating func pushReady(_ range: ReadyRange, _ output: inout SchedulerOutput) {
        let rows = range.first..<range.first + range.count
        if let placer, placer.hasOwnRequests || placer.hasNear || placer.plan != nil {
            for row in rows { pushPlaced(Int(row), key: range.key, placer, &output) }
            return
        }
        if let placer {
            placer.push(range, requestClass: requestClass(of: Int(range.first), placer))
        } else {
            queue.push(range)
        }
        guard isWatched else { return }
        for row in rows { noteReady(Int(row), &output) }
    }

    mutating func pushPlaced(_ row: Int, key: UInt64, _ placer: Placer, _ output: inout SchedulerOutput) {
        var number = requestClass(of: row, placer)
        var key = key
        if let worker = pinnedWorker(row, placer) { number = placer.pinned(number, to: worker) }
        if placer.hasMeasured, let priority = placer.measurements[UInt32(row)]?.priority {
            key = key & 0xFFFF_FFFF | SchedulerCore.priorityKey(priority)
        }
        if let entry = planned(row, placer) {
            key = UInt64(entry.order)
            if entry.notBefore > 0 {
                return placer.held.insert(row, until: entry.notBefore, key: key, requestClass: number)
            }
        }
        placer.push(row, key: key, requestClass: number)
        if isWatched { noteReady(row, &output) }
    }

    // MARK: - Leases

    /// Appends up to `limit` tasks to `lease`, to be run one after the other, and returns how many.
    ///
    /// They all claim the same cpu, once, until the slot's next `take` or `idle`. The claim of the slot's last lease
    /// is given back first. O(log ready ranges + tasks given).
    package mutating func take(
        slot: Int, limit: Int, now: UInt64, into lease: inout LeaseBuffer, output: inout SchedulerOutput
    ) -> Int {
        precondition(slot >= 0 && slot < local.count, "no such slot")
        guard !isPaused else { return 0 }
        if let placer { return takePlaced(slot, limit, now, placer, &lease, &output) }
        // Others reported without taking: what they made ready is anyone's.
        if localCount > (local[slot].count > 0 ? 1 : 0) { shareLocal(except: slot) }
        var given = 0
        while given < limit {
            let own = local[slot]
            if let top = queue.top(), own.count == 0 || top.isBefore(own) {
                let count = min(limit - given, Int(top.count))
                queue.dropFirst(count)
                given += give(top, count, slot, now, &lease, &output)
            } else if own.count > 0 {
                let count = min(limit - given, Int(own.count))
                local[slot].first += UInt32(truncatingIfNeeded: count)
                local[slot].count -= UInt32(truncatingIfNeeded: count)
                if count == Int(own.count) { localCount -= 1 }
                given += give(own, count, slot, now, &lease, &output)
            } else {
                break
            }
        }
        return given
    }

    /// The slot runs nothing: its claim is given back, and what its completions made ready is anyone's.
    package mutating func idle(slot: Int) {
        guard slot >= 0 && slot < local.count else { return }
        releaseClaim(ofSlot: slot, now: 0)
        if local[slot].count > 0 {
            queue.push(local[slot])
            local[slot].count = 0
            localCount -= 1
        }
    }

    private mutating func shareLocal(except slot: Int) {
        for other in 0..<local.count where other != slot && local[other].count > 0 {
            queue.push(local[other])
            local[other].count = 0
            localCount -= 1
        }
    }

    /// Starts the rows of a range that are still ready.
    @inline(__always)
    mutating func give(
        _ range: ReadyRange, _ count: Int, _ slot: Int, _ now: UInt64, _ lease: inout LeaseBuffer,
        _ output: inout SchedulerOutput
    ) -> Int {
        var given = 0
        for row in Int(range.first)..<Int(range.first) + count where state(row) == RowState.ready {
            give(row, slot, now, &lease, &output)
            given += 1
        }
        return given
    }

    @inline(__always)
    mutating func give(
        _ row: Int, _ slot: Int, _ now: UInt64, _ lease: inout LeaseBuffer, _ output: inout SchedulerOutput
    ) {
        let attempt = attempts[row] + 1
        attempts[row] = attempt
        setState(row, RowState.running)
        counts.ready -= 1
        counts.running += 1
        var retries = retryCounts[Int(optionIndices[declaredRow(of: row)])]
        var recovers = false
        if attempt > 1, let record = failures[UInt32(row)] {
            retries -= min(retries, record.retriesUsed)
            recovers = record.isRecovering
        }
        // Written in place: its initialiser, of another module, is a call.
        var entry = blankEntry
        entry.task = TaskID(row)
        entry.attempt = attempt
        entry.retriesLeft = retries
        entry.recovers = recovers
        lease.entries.append(entry)
        if isWatched { noteStart(row, attempt, slot, now, &output) }
    }
}
