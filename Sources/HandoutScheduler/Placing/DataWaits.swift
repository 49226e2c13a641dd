import HandoutCore

/// Rows that wait for a worker that has their data, although they fit elsewhere: delay scheduling (Zaharia and others,
/// EuroSys 2010), where nobody waits longer than the data would take to move.
struct DataWaits {
    /// By row, until when it waits; 0: it has waited, and may run anywhere.
    private(set) var until: [UInt32: UInt64] = [:]
    /// By class and worker, the class of those that wait for that worker.
    private(set) var classes: [UInt64: Int] = [:]

    var isEmpty: Bool { until.isEmpty && classes.isEmpty }

    static func key(_ requestClass: Int, _ worker: Int) -> UInt64 { UInt64(requestClass) << 32 | UInt64(worker) }

    subscript(row: UInt32) -> UInt64? { until[row] }

    mutating func wait(_ row: UInt32, until time: UInt64) { until[row] = time }
    mutating func hasWaited(_ row: UInt32) { until[row] = 0 }
    mutating func forget(_ row: UInt32) { if !until.isEmpty { until.removeValue(forKey: row) } }
    mutating func note(_ number: Int, for key: UInt64) { classes[key] = number }
}

extension SchedulerCore {
    /// Where a row goes under `locality`.
    enum DataChoice {
        case place(worker: Int, variant: Int)
        /// The worker with its data is busy, and worth waiting for.
        case wait(worker: Int, until: UInt64)
    }

    /// The worker that has most of the row's inputs, where it fits there; else the one that was chosen, or to wait.
    func nearData(
        _ row: Int, _ queue: ClassQueue, _ chosen: (worker: Int, variant: Int), _ placer: Placer, now: UInt64
    ) -> DataChoice {
        var held: [Int: UInt64] = [:]
        forEachInput(row) { input in
            if let home = placer.homes[UInt32(input)] { held[Int(home.worker), default: 0] += home.bytes }
        }
        var best = (target: chosen, bytes: held[chosen.worker] ?? 0)
        var busy: (worker: Int, bytes: UInt64)?
        for (worker, bytes) in held.sorted(by: { $0.key < $1.key }) where bytes > best.bytes {
            if let variant = queue.variant(on: worker, placer.workers, beside: placer.reservation) {
                best = ((worker, variant), bytes)
            } else if bytes > busy?.bytes ?? 0, queue.couldHave(worker), placer.workers.facts[worker].isUp {
                busy = (worker, bytes)
            }
        }
        if let busy, busy.bytes > best.bytes {
            let time = worthwhile(row, for: busy.worker, insteadOf: best.target.worker, placer, now)
            if time > now { return .wait(worker: busy.worker, until: time) }
        }
        return .place(worker: best.target.worker, variant: best.target.variant)
    }

    /// Until when it is better to wait: as long as the data would take, at most the slack.
    private func worthwhile(
        _ row: Int, for busy: Int, insteadOf other: Int, _ placer: Placer, _ now: UInt64
    ) -> UInt64 {
        guard case .locality(let slack) = placer.allocator, slack > 0 else { return 0 }
        if let until = placer.dataWaits[UInt32(row)] { return until }
        guard let transfer = placer.transfer else { return now + slack }
        func time(to worker: Int) -> UInt64 {
            var longest: UInt64 = 0
            forEachInput(row) { input in
                guard let home = placer.homes[UInt32(input)], Int(home.worker) != worker else { return }
                longest = max(longest, transfer(input, row, Int(home.worker), worker))
            }
            return longest
        }
        let there = time(to: other), here = time(to: busy)
        return now + min(slack, there > here ? there - here : 0)
    }

    /// Puts the row aside, for that worker only, until then.
    mutating func wait(_ row: Int, _ queue: ClassQueue, worker: Int, until time: UInt64, key: UInt64, _ placer: Placer)
    {
        placer.dataWaits.wait(UInt32(row), until: time)
        placer.push(row, key: key, requestClass: placer.waitingClass(queue, for: worker))
        timers.insert(TimerHeap.Entry(time: time, task: UInt32(row), attempt: attempts[row]))
    }

    /// The time of a row that waits has come: it may run anywhere, and with it those whose time comes soon, since all that
    /// wait for the worker are looked at.
    mutating func endWait(_ row: Int, _ placer: Placer, now: UInt64) {
        guard case .locality(let slack) = placer.allocator, let until = placer.dataWaits[UInt32(row)], until > 0 else {
            return
        }
        let (time, overflow) = now.addingReportingOverflow(slack / 8)
        for (key, number) in placer.dataWaits.classes.sorted(by: { $0.key < $1.key }) {
            let queue = placer.classes[number]
            guard queue.contains(UInt32(row)) else { continue }
            var rest: [ReadyRange] = []
            while let range = queue.queue.top() {
                queue.queue.dropFirst(1)
                let other = ReadyRange(key: range.key, first: range.first, count: 1)
                guard state(Int(range.first)) == RowState.ready else { continue }
                if overflow || placer.dataWaits[range.first].map({ $0 <= time }) ?? true {
                    placer.dataWaits.hasWaited(range.first)
                    placer.push(other, requestClass: Int(key >> 32))
                } else {
                    rest.append(other)
                }
            }
            for range in rest { queue.queue.push(range) }
        }
    }

    /// What tells how long it takes to bring the value of a row to another row, from worker to worker, in nanoseconds.
    package mutating func measureTransfers(
        _ transfer: @escaping (_ input: Int, _ row: Int, _ from: Int, _ to: Int) -> UInt64
    ) {
        placer?.transfer = transfer
    }
}
