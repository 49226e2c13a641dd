import HandoutCore

/// Room that is kept.
extension Placer {
    /// Keeps room for a class that comes first and does not fit: on the worker that lacks the least of it, of what it lacks.
    /// What is kept once stays kept until it runs, so that two resources cannot keep it waiting in turn.
    func reserve(_ queue: ClassQueue) {
        if let held = reservation, held.requestClass != queue.number || !workers.facts[held.worker].isUp {
            reservation = nil
        }
        guard let worker = reservation?.worker ?? nearest(queue),
            let variant = queue.request.variants.first(where: { workers.couldEverFit($0.amounts, on: worker) })
        else {
            // What it waits for is gone: nobody knows for how long.
            reservation = nil
            return
        }
        if reservation == nil { reservation = Reservation(requestClass: queue.number, worker: worker, kept: []) }
        for amount in variant.amounts
        where workers.free(worker, Int(amount.resource)) < amount.amount && reservation?.kept(amount.resource) == nil {
            reservation?.kept.append(amount)
        }
    }

    /// Changes whenever what is claimed of the worker does, or what pools have.
    func stamp(of held: Reservation) -> UInt64 {
        UInt64(workers.facts[held.worker].version) << 32 | UInt64(UInt32(truncatingIfNeeded: workers.poolVersion))
    }

    /// What ranks before it has taken some of the room: when it fits is another question now.
    func forgetWhenReservedFits() {
        reservation?.fitsAt = nil
        reservation?.stamp = .max
    }

    /// The worker that lacks the least, of those that changed last: to look at all of them for every row would cost
    /// (rows × workers). Where none of these could ever have it, of all.
    private func nearest(_ queue: ClassQueue) -> Int? {
        var best: (worker: Int, lack: Double)?
        for change in workers.changes.suffix(32) { consider(Int(change), queue, &best) }
        if best == nil { for worker in 0..<workers.count { consider(worker, queue, &best) } }
        return best?.worker
    }

    private func consider(_ worker: Int, _ queue: ClassQueue, _ best: inout (worker: Int, lack: Double)?) {
        guard worker < queue.eligible.count, queue.eligible[worker], workers.facts[worker].isUp,
            let variant = queue.request.variants.first(where: { workers.couldEverFit($0.amounts, on: worker) })
        else { return }
        var lack = 0.0
        for amount in variant.amounts {
            let free = workers.free(worker, Int(amount.resource))
            if free < amount.amount { lack += Double(amount.amount - free) / Double(amount.amount) }
        }
        if best.map({ lack < $0.lack }) ?? true { best = (worker, lack) }
    }
}
