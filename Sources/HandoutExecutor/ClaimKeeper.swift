package import HandoutCore
import HandoutScheduler

/// Asks trackers before attempts hold some of their resources, and tells them afterwards.
package protocol ClaimKeeper: AnyObject, Sendable {
    /// On the slot's thread, not under the lock: for as long as a tracker may take. Nil: the attempt may hold it; else in how
    /// many nanoseconds it is to be asked for again.
    func request(_ claim: GuardedClaim) -> UInt64?
    /// An attempt holds it no longer. Under the lock, in the order of the attempts' ends: it must not wait.
    func release(_ claim: GuardedClaim)
}

/// An attempt that is about to hold something that trackers are asked for.
package struct GuardedClaim: Sendable {
    package var entry: LeaseEntry
    /// All that it holds.
    package var claim: LeaseClaim
}

/// Trackers, as far as the coordinator knows of them.
extension CoordinatorState {
    /// What a tracker is to be asked for before the lease, of one task then, may run; nil: nothing.
    func guardedClaim(_ entries: [LeaseEntry], _ claim: LeaseClaim?) -> GuardedClaim? {
        guard entries.count == 1, let claim else { return nil }
        let guarded = core.configuration.guarded
        guard claim.amounts.contains(where: { guarded.contains($0.name) }) else { return nil }
        return GuardedClaim(entry: entries[0], claim: claim)
    }

    /// A tracker has answered, outside the gate; `refused`: in how many nanoseconds it is to be asked again. True: the slot
    /// runs it now.
    mutating func answered(_ claim: GuardedClaim, _ refused: UInt64?, slot: Int, now: UInt64) -> Bool {
        if refused == nil && !core.isDraining && !core.isPaused && !isOver {
            core.granted(claim.entry, slot: slot, now: now, output: &output)
            held[slot] = claim
            start([claim.entry], claim.claim, on: slot, now)
            return true
        }
        if refused == nil { keeper?.release(claim) }
        core.refused(claim.entry, slot: slot, until: now + (refused ?? 0), now: now, into: &output)
        perform()
        wakesAll = true
        return false
    }

    /// The slot's lease has ended.
    mutating func giveBack(_ slot: Int) {
        guard let claim = held[slot] else { return }
        held[slot] = nil
        keeper?.release(claim)
    }

    mutating func change(_ offer: WorkerOffer, now: UInt64) {
        core.change(offer, now: now)
        // What functions ask for is held against the most that there ever was: it may be there again.
        for index in capacity.workers.indices where capacity.workers[index].name == offer.capacity.name {
            capacity.workers[index].totals.merge(offer.capacity.totals) { max($0, $1) }
        }
        wakesAll = true
    }
}
