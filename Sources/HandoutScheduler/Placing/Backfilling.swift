import HandoutCore

/// EASY backfilling (Lifka 1995): what ranks behind the first that does not fit may have the room that is kept for it, where
/// it is expected to give it back before the first could use it.
extension SchedulerCore {
    /// Nanoseconds that an attempt of the row is expected to take on the worker: by the estimate of its variant or its
    /// options, else as long as tasks of its name took in this run; nil: neither is known.
    func expectedTime(_ row: Int, _ variant: Int, _ queue: ClassQueue, on worker: Int, _ placer: Placer) -> Double? {
        let own = queue.request.variants[variant].estimate
        let declared = declaredRow(of: row)
        let estimate = own > 0 ? own : graph.options[Int(optionIndices[declared])].estimate
        guard let time = estimate > 0 ? Double(estimate) : placer.nameTimes[declared] else { return nil }
        return time / placer.workers.facts[worker].offer.speed
    }

    /// The row's attempt, begun now on the worker, is expected to end before what room is kept for could begin.
    func endsInTime(
        _ row: Int, _ variant: Int, _ queue: ClassQueue, on worker: Int, _ placer: Placer, now: UInt64
    ) -> Bool {
        guard let time = expectedTime(row, variant, queue, on: worker, placer),
            let fitsAt = reservedFits(placer, now: now), fitsAt > now
        else { return false }
        return time <= Double(fitsAt - now)
    }

    /// When the class that room is kept for is expected to fit, in nanoseconds of the run's clock; nil: nobody knows.
    ///
    /// It never moves to later while the room stays kept, so that no overrun of what took it lets more take it. O(1), and
    /// O(claims) after a change of the worker or of the pools.
    private func reservedFits(_ placer: Placer, now: UInt64) -> UInt64? {
        guard let held = placer.reservation else { return nil }
        let stamp = placer.stamp(of: held)
        if held.stamp == stamp { return held.fitsAt }
        let queue = placer.classes[held.requestClass]
        var fitsAt: UInt64?
        if let variant = queue.request.variants.first(where: {
            placer.workers.couldEverFit($0.amounts, on: held.worker)
        }) {
            fitsAt = moment(variant.amounts, on: held.worker, placer, now: now)
        }
        if let known = held.fitsAt { fitsAt = min(known, fitsAt ?? known) }
        placer.reservation?.fitsAt = fitsAt
        placer.reservation?.stamp = stamp
        return fitsAt
    }

    /// When so many of the attempts that hold what is short are expected to have ended that the amounts fit there.
    private func moment(_ amounts: [ResourceAmount], on worker: Int, _ placer: Placer, now: UInt64) -> UInt64? {
        let table = placer.workers
        var short: [UInt32: UInt64] = [:]
        for amount in amounts {
            let free = table.free(worker, Int(amount.resource))
            if free < amount.amount { short[amount.resource] = amount.amount - free }
        }
        if short.isEmpty { return now }
        let isPooled = short.keys.contains { table.isPool[Int($0)] }
        var ends: [(time: UInt64, key: UInt32)] = []
        for (key, claim) in placer.claims where Int(claim.worker) == worker || isPooled {
            if let time = expectedEnd(claim, placer) { ends.append((max(now, time), key)) }
        }
        ends.sort { ($0.time, $0.key) < ($1.time, $1.key) }
        for (time, key) in ends {
            guard let claim = placer.claims[key] else { continue }
            for amount in placer.amounts(of: claim) {
                guard let lack = short[amount.resource],
                    Int(claim.worker) == worker || table.isPool[Int(amount.resource)]
                else { continue }
                short[amount.resource] = lack > amount.amount ? lack - amount.amount : nil
            }
            if short.isEmpty { return time }
        }
        return nil
    }

    /// When what a claim is for is expected to have ended: a task, or the tasks of a slot's lease one after the other.
    private func expectedEnd(_ claim: Placer.Claim, _ placer: Placer) -> UInt64? {
        let queue = placer.classes[Int(claim.requestClass)]
        guard let time = expectedTime(Int(claim.row), Int(claim.variant), queue, on: Int(claim.worker), placer)
        else { return nil }
        return claim.begun &+ UInt64(min(time * Double(max(1, claim.count)), 1e18))
    }

    /// The moment at which what room is kept for was to fit has passed; nil: it has not, or is not known. For checks.
    func overdueReservation(now: UInt64) -> String? {
        guard let placer, let held = placer.reservation, let fitsAt = held.fitsAt, fitsAt < now else { return nil }
        return "room is kept for class \(held.requestClass), which was to fit at \(fitsAt)"
    }
}
