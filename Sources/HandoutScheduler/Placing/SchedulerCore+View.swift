package import HandoutCore

/// A class of ready tasks, as strategies see it.
package struct ReadyClass: Sendable {
    package var number: Int
    package var request: TaskRequest
    /// Its next task.
    package var row: Int
    /// Ready tasks.
    package var count: Int
}

/// A worker, as strategies see it.
package struct WorkerStanding: Sendable {
    package var offer: WorkerOffer
    package var isUp: Bool
    package var running: Int
    /// Nanoseconds of the run's clock since when nothing runs; nil: something does.
    package var idleSince: UInt64?
    /// Times that it was lost.
    package var lost: Int
    /// Counts changes of what it has, is and holds.
    package var version: UInt32
}

/// A task, as strategies see it.
package struct RowFacts: Sendable {
    package var declared: Int
    /// Which instance of a map, or node of a reduce; nil: declared.
    package var element: Int?
    /// From 1, of the attempt that comes.
    package var attempt: Int
    package var retriesLeft: Int
    package var priority: Int
    /// Rows that refer to it.
    package var consumers: Int
    /// Nanoseconds of the run's clock at which it became ready; nil: not kept.
    package var readySince: UInt64?
}

extension SchedulerCore {
    /// Resources by index; pools among them.
    package var resourceNames: [String] { placer?.requests.names ?? [] }

    package var workerCount: Int { placer?.workers.count ?? 0 }

    package func workerFacts(_ worker: Int) -> WorkerStanding? {
        guard let placer, worker < placer.workers.count else { return nil }
        let facts = placer.workers.facts[worker]
        return WorkerStanding(
            offer: facts.offer, isUp: facts.isUp, running: facts.running,
            idleSince: facts.running == 0 ? facts.idleSince : nil, lost: facts.lost, version: facts.version)
    }

    /// Workers that changed since `cursor` was last given; nil: any of them may have.
    package func changedWorkers(since cursor: inout (epoch: Int, place: Int)) -> [Int]? {
        guard let table = placer?.workers else { return [] }
        defer { cursor = (table.changesEpoch, table.changes.count) }
        guard cursor.epoch == table.changesEpoch, cursor.place <= table.changes.count else { return nil }
        return table.changes[cursor.place...].map(Int.init)
    }

    package func total(_ worker: Int, _ resource: Int) -> UInt64 { placer?.workers.total(worker, resource) ?? 0 }
    package func free(_ worker: Int, _ resource: Int) -> UInt64 { placer?.workers.free(worker, resource) ?? 0 }

    /// Classes that have something ready, in the order of their first tasks.
    package func readyClasses() -> [ReadyClass] {
        guard let placer else { return [] }
        return inOrder(placer).map { queue, head in
            ReadyClass(number: queue.number, request: queue.request, row: Int(head.first), count: readyCount(queue))
        }
    }

    private func readyCount(_ queue: ClassQueue) -> Int {
        var count = 0
        queue.queue.forEach { count += Int($0.count) }
        return count
    }

    package func classRequest(_ number: Int) -> TaskRequest? {
        placer.flatMap { number < $0.classes.count ? $0.classes[number].request : nil }
    }

    /// Ready tasks of a class in order, at most so many. O(most log most).
    package func readyTasks(inClass number: Int, atMost most: Int) -> [Int] {
        guard let placer, number < placer.classes.count else { return [] }
        return readyRows(placer.classes[number], atMost: most).map { Int($0.row) }
    }

    /// Ready tasks of all classes in order, at most so many, each with the number of its class. O(classes × most log most).
    package func readyTasks(atMost most: Int) -> [(row: Int, requestClass: Int)] {
        guard let placer else { return [] }
        let heads = inOrder(placer)
        var rows: [(row: UInt32, key: UInt64, requestClass: Int)] = []
        for (queue, _) in heads {
            rows += readyRows(queue, atMost: most).map { ($0.row, $0.key, queue.number) }
        }
        if heads.count > 1 { rows.sort { $0.key == $1.key ? $0.row < $1.row : $0.key < $1.key } }
        return rows.prefix(most).map { (Int($0.row), $0.requestClass) }
    }

    private func readyRows(_ queue: ClassQueue, atMost most: Int) -> [(row: UInt32, key: UInt64)] {
        var rows: [(row: UInt32, key: UInt64)] = []
        queue.queue.forEachInOrder { range in
            for row in range.first..<range.first + range.count where state(Int(row)) == RowState.ready {
                if rows.count == most { return false }
                rows.append((row, range.key))
            }
            return rows.count < most
        }
        return rows
    }

    package func rowFacts(_ row: Int) -> RowFacts {
        let (declared, element) = planPlace(of: row)
        let options = graph.options(of: TaskID(declaredRow(of: row)))
        var used = 0
        if let record = failures[UInt32(row)] { used = Int(record.retriesUsed) }
        return RowFacts(
            declared: declared, element: element, attempt: Int(attempts[row]) + 1,
            retriesLeft: max(0, Int(options.retries) - used),
            priority: Int(placer?.measurements[UInt32(row)]?.priority ?? options.priority),
            consumers: Int(consumers[row]), readySince: placer?.readySince[UInt32(row)])
    }

    /// The class that a ready task is in.
    package func classNumber(of row: Int) -> Int? { placer.map { requestClass(of: row, $0) } }

    /// How many of a class fit on a worker now, and by which variant the next.
    package func fits(_ number: Int, on worker: Int) -> (count: Int, variant: Int)? {
        guard let placer, number < placer.classes.count, worker < placer.workers.count else { return nil }
        placer.classes[number].look(at: worker, placer.workers)
        guard let variant = placer.classes[number].variant(on: worker, placer.workers, beside: nil)
        else { return nil }
        let amounts = placer.classes[number].request.variants[variant].amounts
        let most = amounts.map { placer.workers.free(worker, Int($0.resource)) / $0.amount }.min() ?? UInt64(Int32.max)
        return (Int(min(most, UInt64(Int32.max))), variant)
    }

    /// Bytes of the row's inputs on a worker, or nil: on all of them.
    package func inputBytes(_ row: Int, on worker: Int?) -> UInt64 {
        guard let placer else { return 0 }
        var bytes: UInt64 = 0
        forEachInput(row) { input in
            guard let home = placer.homes[UInt32(input)] else { return }
            if worker.map({ Int32($0) == home.worker }) ?? true { bytes += home.bytes }
        }
        return bytes
    }

    // MARK: - Rounds of a strategy

    /// A strategy that decides by rounds is to be asked: something is ready, something has changed, and it does not wait.
    package func wantsRound(now: UInt64) -> Bool {
        guard let placer, placer.allocator == .rounds, counts.ready > 0, !isDraining, !isPaused else { return false }
        guard placer.approved.isEmpty, !placer.isAsked else { return false }
        let stamp = placer.stamp(ready: counts.ready)
        return stamp != placer.roundStamp || now >= placer.waitsUntil && placer.waitsUntil > 0
    }

    /// A strategy is asked for a round about what there is now.
    package func beginRound() {
        guard let placer else { return }
        placer.roundStamp = placer.stamp(ready: counts.ready)
    }

    /// A strategy is asked from now on, until that is taken back: nothing is decided in its place, and no other round begins.
    package func strategyIsAsked(_ isAsked: Bool) { placer?.isAsked = isAsked }

    /// What a strategy chose, as far as it still fits; what does not is dropped. `wait`: it is not to be asked before then
    /// unless something changes.
    package mutating func place(
        chosen: [(row: Int, worker: Int, variant: Int?)], waitUntil: UInt64, now: UInt64,
        into placements: inout [Placement], output: inout SchedulerOutput
    ) {
        guard let placer else { return }
        placer.waits(until: waitUntil, now: now)
        guard placer.hasWorkers else {
            guard !isPaused else { return placer.forgetRound() }
            // Slots take them. Of what has changed since the round began it is asked again.
            placer.approved = chosen.reversed().filter { $0.worker == 0 }.map { (UInt32($0.row), $0.variant) }
            if !placer.approved.isEmpty { placer.waitsSince = nil }
            return
        }
        let before = placements.count
        var lease = LeaseBuffer()
        for choice in chosen {
            guard choice.row < status.count, state(choice.row) == RowState.ready, choice.worker < placer.workers.count
            else { continue }
            let queue = placer.classes[requestClass(of: choice.row, placer)]
            queue.look(at: choice.worker, placer.workers)
            guard let variant = fitting(choice.variant, queue, choice.worker, placer) else { continue }
            if let record = placer.record {
                noteDecision(record, choice.row, queue, (choice.worker, variant), placer, isNamed: true)
            }
            placer.claim(choice.row, queue, choice.worker, variant, now: now)
            lease.clear()
            give(choice.row, choice.worker, now, &lease, &output)
            if let entry = lease.entries.first {
                placements.append(Placement(entry: entry, worker: choice.worker, variant: variant))
            }
        }
        if placements.count > before { placer.waitsSince = nil }
        placer.roundStamp = placer.stamp(ready: counts.ready)
    }

    func fitting(_ wanted: Int?, _ queue: ClassQueue, _ worker: Int, _ placer: Placer) -> Int? {
        guard let first = queue.variant(on: worker, placer.workers, beside: nil) else { return nil }
        guard let wanted else { return first }
        guard wanted >= 0, wanted < queue.request.variants.count else { return nil }
        return placer.workers.fits(queue.request.variants[wanted].amounts, on: worker) ? wanted : nil
    }

    /// Nanoseconds of the run's clock until which a strategy waits; 0: it does not.
    package var strategyWaitsUntil: UInt64 { placer?.waitsUntil ?? 0 }

    /// The strategy's answer was none: this round is decided by `load-balanced`.
    package mutating func decideOneRound() { placer?.decidesOneRound = true }

    /// The strategy is off for the rest of the run.
    package mutating func turnStrategyOff() {
        guard let placer else { return }
        placer.allocator = .loadBalanced
        placer.hears = false
        placer.heard = []
        placer.forgetScores()
    }

    /// What the strategy said before no longer holds.
    package mutating func forgetScores() { placer?.forgetScores() }
}
