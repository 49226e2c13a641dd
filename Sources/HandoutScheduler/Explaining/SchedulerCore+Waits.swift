import HandoutCore

/// Why watched rows wait, looked at when everything that fits has been placed.
extension SchedulerCore {
    /// Takes down what has changed for the rows that are watched. O(workers) for each that is ready.
    mutating func look(_ record: DecisionRecord, now: UInt64) {
        for (number, watch) in record.watches.enumerated() {
            if let row = watch.row { look(record, number, row, now) }
        }
    }

    /// Finds the rows of what is watched, as soon as they are there. O(1) where none was appended.
    func findRows(_ record: DecisionRecord) {
        guard record.blocksSeen < blocks.count else { return }
        for index in record.blocksSeen..<blocks.count {
            let block = blocks[index]
            for (number, watch) in record.watches.enumerated() where watch.row == nil {
                guard let element = watch.element else { continue }
                let place = watch.declared - Int(block.templateFirst)
                let isInTemplate = block.templateCount > 0 && place >= 0 && place < Int(block.templateCount)
                guard isInTemplate || Int(block.declared) == watch.declared else { continue }
                guard element < Int(block.count) else {
                    record.change(number) { $0.isBeyond = Int(block.count) }
                    continue
                }
                let row =
                    isInTemplate
                    ? block.framesFirst + element * Int(block.templateCount) + place : Int(block.first) + element
                record.found(row, for: number)
            }
        }
        record.blocksSeen = blocks.count
    }

    private mutating func look(_ record: DecisionRecord, _ number: Int, _ row: Int, _ now: UInt64) {
        let state = state(row), before = record.watches[number].state
        let time = DecisionRecord.seconds(now)
        let hasBegun = state == RowState.ready || state == RowState.running || state == RowState.measuring
        if hasBegun && before != RowState.ready && record.watches[number].explanation.ready == nil {
            let last = lastInput(row, record)
            record.change(number) { $0.explanation.ready = TaskExplanation.Ready(time: time, last: last) }
        }
        record.change(number) { $0.state = state }
        guard state == RowState.ready, let placer else {
            record.change(number) { $0.explanation.endWait(time, &$0.stamp) }
            return
        }
        let queue = waitingClass(of: row, placer)
        let stamp = stamp(record, row, queue, placer)
        guard stamp != record.watches[number].stamp else {
            // Who holds what changes all the time: where one moment is asked about, it is that moment's.
            if record.until != nil { describe(record, number, row, queue, placer) }
            return
        }
        record.change(number) {
            $0.explanation.endWait(time, &$0.stamp)
            $0.stamp = stamp
            $0.explanation.waits.append(TaskExplanation.Wait(from: time))
        }
        describe(record, number, row, queue, placer)
    }

    /// The class in whose queue a ready row is.
    private func waitingClass(of row: Int, _ placer: Placer) -> ClassQueue {
        var number = requestClass(of: row, placer)
        if let worker = pinnedWorker(row, placer) { number = placer.knownPinned(number, to: worker) ?? number }
        return placer.classes[number]
    }

    private func stamp(_ record: DecisionRecord, _ row: Int, _ queue: ClassQueue, _ placer: Placer) -> Int {
        var hasher = Hasher()
        for worker in 0..<placer.workers.count {
            for obstacle in obstacles(record, row, queue, worker, placer) {
                hasher.combine(obstacle.kind)
                hasher.combine(obstacle.resource)
                hasher.combine(obstacle.name)
            }
            hasher.combine(worker)
        }
        return hasher.finalize()
    }

    // MARK: - In words

    /// Describes the last wait as it is now.
    private func describe(
        _ record: DecisionRecord, _ number: Int, _ row: Int, _ queue: ClassQueue, _ placer: Placer
    ) {
        var found: [TaskExplanation.Obstacle] = []
        for worker in 0..<placer.workers.count {
            let name = placer.workers.facts[worker].offer.capacity.name
            for obstacle in obstacles(record, row, queue, worker, placer) {
                add(obstacle, of: name, isPool: isPool(obstacle, placer), to: &found)
            }
        }
        for (name, at) in record.later where placer.workers.number(of: name) == nil {
            var obstacle = TaskExplanation.Obstacle(.absent)
            obstacle.time = DecisionRecord.seconds(at)
            add(obstacle, of: name, isPool: false, to: &found)
        }
        for place in found.indices where found[place].kind == .short || found[place].kind == .fragmented {
            found[place].holders = holders(of: found[place], record, placer)
        }
        let ahead = ahead(of: row, placer)
        record.change(number) { watch in
            guard let last = watch.explanation.waits.indices.last else { return }
            watch.explanation.waits[last].obstacles = found
            watch.explanation.waits[last].ahead = ahead?.count ?? 0
            watch.explanation.waits[last].first = ahead.map { record.name(planPlace(of: $0.first)) }
            watch.explanation.waits[last].rank = ahead.map { rank(of: $0.first, before: row, placer) }
        }
    }

    private func isPool(_ obstacle: TaskExplanation.Obstacle, _ placer: Placer) -> Bool {
        guard let resource = obstacle.resource.flatMap({ placer.requests.find($0) }) else { return false }
        return placer.workers.isPool[Int(resource)]
    }

    /// Workers that are alike are said together.
    func add(
        _ obstacle: TaskExplanation.Obstacle, of worker: String, isPool: Bool,
        to found: inout [TaskExplanation.Obstacle]
    ) {
        let known = found.firstIndex { other in
            other.isAlike(obstacle) && other.free == obstacle.free && other.total == obstacle.total
        }
        if let known {
            if !isPool { found[known].workers.append(worker) }
        } else {
            found.append(obstacle)
            if !isPool { found[found.count - 1].workers = [worker] }
        }
    }

    private static let mostHolders = 64

    private func holders(
        of obstacle: TaskExplanation.Obstacle, _ record: DecisionRecord, _ placer: Placer
    ) -> [String] {
        guard let resource = obstacle.resource.flatMap({ placer.requests.find($0) }) else { return [] }
        let workers = Set(obstacle.workers.compactMap { placer.workers.number(of: $0) })
        return placer.claims.filter { _, claim in
            guard workers.isEmpty || workers.contains(Int(claim.worker)) else { return false }
            let variant = placer.classes[Int(claim.requestClass)].request.variants[Int(claim.variant)]
            return variant.amounts.contains { $0.resource == resource }
        }.keys.sorted().prefix(SchedulerCore.mostHolders).map { record.name(planPlace(of: Int($0))) }
    }

    // MARK: - Ranks

    func firstReady(_ queue: ClassQueue) -> Int? {
        var best: ReadyRange?
        queue.queue.forEach { range in
            if state(Int(range.first)) == RowState.ready, best.map({ range.isBefore($0) }) ?? true { best = range }
        }
        return best.map { Int($0.first) }
    }

    /// Ready rows that rank before it, and the first of them.
    private func ahead(of row: Int, _ placer: Placer) -> (count: Int, first: Int)? {
        guard let own = rangeKey(of: row, placer) else { return nil }
        var count = 0
        var first: ReadyRange?
        forEachReady(placer) { range in
            guard range.key < own || range.key == own && Int(range.first) < row else { return }
            let last = range.key == own ? min(row, Int(range.first) + Int(range.count)) : Int(range.first + range.count)
            let ready = (Int(range.first)..<last).filter { state($0) == RowState.ready }
            guard let start = ready.first else { return }
            count += ready.count
            let part = ReadyRange(key: range.key, first: UInt32(start), count: 1)
            if first.map({ part.isBefore($0) }) ?? true { first = part }
        }
        return first.map { (count, Int($0.first)) }
    }

    private func forEachReady(_ placer: Placer, _ body: (ReadyRange) -> Void) {
        for number in placer.active { placer.classes[number].queue.forEach(body) }
    }

    private func rangeKey(of row: Int, _ placer: Placer) -> UInt64? {
        var key: UInt64?
        forEachReady(placer) { range in
            if Int(range.first) <= row && row < Int(range.first) + Int(range.count) { key = range.key }
        }
        return key
    }

    /// What puts one ready row before another.
    private func rank(of first: Int, before row: Int, _ placer: Placer) -> String {
        if planned(row, placer) != nil { return "the plan has it so" }
        let theirs = rowFacts(first).priority, own = rowFacts(row).priority
        if theirs != own { return "priority \(theirs), this one has \(own)" }
        guard let ahead = rangeKey(of: first, placer), let behind = rangeKey(of: row, placer), ahead != behind else {
            return "of the same rank, declared before"
        }
        let isSource = behind & SchedulerCore.sourceKey != 0, theirsIsSource = ahead & SchedulerCore.sourceKey != 0
        if isSource && !theirsIsSource { return "work already begun goes before new sources" }
        return "more work comes after it"
    }
}

extension TaskExplanation {
    /// The task no longer waits as it did.
    fileprivate mutating func endWait(_ time: Double, _ stamp: inout Int) {
        stamp = 0
        if let last = waits.indices.last, waits[last].until == nil { waits[last].until = time }
    }
}
