package import HandoutCore

/// A worker as it joins.
package struct WorkerOffer: Sendable {
    package var capacity: WorkerCapacity
    /// Names of the indices of indexed resources: GPUs, or what the cluster file lists.
    package var indices: [String: [String]]
    /// Per hour, for the whole worker.
    package var price: Double
    /// Run time is estimate divided by speed.
    package var speed: Double
    /// Nanoseconds of the run's clock at which it leaves; nil: it stays.
    package var leavesAt: UInt64?

    package init(
        capacity: WorkerCapacity, indices: [String: [String]] = [:], price: Double = 0, speed: Double = 1,
        leavesAt: UInt64? = nil
    ) {
        self.capacity = capacity
        self.indices = indices
        self.price = price
        self.speed = speed
        self.leavesAt = leavesAt
    }
}

extension WorkerOffer {
    /// Something but the price differs.
    func isOther(than other: WorkerOffer) -> Bool {
        capacity != other.capacity || indices != other.indices || speed != other.speed || leavesAt != other.leavesAt
    }
}

/// What workers have and what of it is claimed; pools of the cluster and of the run stand beside them.
///
/// Worker `w` has row `w + 1` of the matrix, the pools have row 0. A total below what is claimed stops nothing.
final class WorkerTable {
    /// What is not in the matrix.
    struct Facts {
        var offer: WorkerOffer
        var isUp = true
        /// Attempts that run.
        var running = 0
        /// Counts changes of what it has, is and holds.
        var version: UInt32 = 0
        /// Nanoseconds since when nothing runs; meaningless while something does.
        var idleSince: UInt64 = 0
        /// Times that it was lost.
        var lost = 0
        /// Run time times share, in nanoseconds, of what was given to it, by estimate until it ends.
        var assigned: Double = 0
    }

    let names: [String]
    let isPool: [Bool]
    private let stride: Int
    @exclusivity(unchecked) private var totals: [UInt64]
    @exclusivity(unchecked) private var claimed: [UInt64]
    /// By place in the matrix: what is free of each index.
    @exclusivity(unchecked) private var indexFree: [Int: [UInt64]] = [:]
    @exclusivity(unchecked) private(set) var facts: [Facts] = []
    @exclusivity(unchecked) private var numbers: [String: Int] = [:]
    /// Workers in the order in which they changed: whoever remembers scores reads on from where it was.
    @exclusivity(unchecked) private(set) var changes: [UInt32] = []
    /// How often `changes` was begun anew.
    @exclusivity(unchecked) private(set) var changesEpoch = 0
    /// Counts changes of pools.
    @exclusivity(unchecked) private(set) var poolVersion = 0

    init(names: [String], pools: [String: UInt64]) {
        self.names = names
        stride = names.count
        isPool = names.map { pools[$0] != nil }
        totals = names.map { pools[$0] ?? 0 }
        claimed = names.map { _ in 0 }
    }

    var count: Int { facts.count }

    func number(of name: String) -> Int? { numbers[name] }

    /// A worker joins, or comes back with what it has now. Returns its number.
    func join(_ offer: WorkerOffer, now: UInt64) -> Int {
        if let worker = numbers[offer.capacity.name] {
            facts[worker].offer = offer
            facts[worker].isUp = true
            facts[worker].idleSince = now
            setTotals(worker, offer)
            return worker
        }
        let worker = facts.count
        facts.append(Facts(offer: offer, idleSince: now))
        numbers[offer.capacity.name] = worker
        totals += Array(repeating: 0, count: stride)
        claimed += Array(repeating: 0, count: stride)
        setTotals(worker, offer)
        return worker
    }

    /// A worker has, costs or is labelled otherwise; what is claimed of it stays claimed.
    func change(_ worker: Int, to offer: WorkerOffer) {
        facts[worker].offer = offer
        setTotals(worker, offer)
    }

    private func setTotals(_ worker: Int, _ offer: WorkerOffer) {
        for resource in 0..<stride {
            let place = (worker + 1) * stride + resource
            let total = offer.capacity.total(names[resource])
            totals[place] = isPool[resource] ? 0 : total
            if let indices = offer.indices[names[resource]], !isPool[resource] {
                // Fewer of them may be usable than there are.
                let all = UInt64(indices.count) * WorkerTable.one
                totals[place] = min(all, offer.capacity.totals[names[resource]] ?? all)
                if indexFree[place]?.count != indices.count {
                    indexFree[place] = Array(repeating: WorkerTable.one, count: indices.count)
                }
            }
        }
        touch(worker)
    }

    static let one: UInt64 = 10_000

    func leave(_ worker: Int, isLost: Bool) {
        facts[worker].isUp = false
        if isLost { facts[worker].lost += 1 }
        touch(worker)
    }

    func setPool(_ name: String, _ total: UInt64) {
        guard let resource = names.firstIndex(of: name), isPool[resource] else { return }
        totals[resource] = total
        poolVersion += 1
    }

    /// Counts all changes of workers.
    @exclusivity(unchecked) private(set) var changeCount = 0

    private func touch(_ worker: Int) {
        facts[worker].version += 1
        changeCount &+= 1
        if changes.count >= max(1 << 16, 16 * facts.count) {
            changes.removeAll(keepingCapacity: true)
            changesEpoch += 1
        }
        changes.append(UInt32(worker))
    }

    // MARK: - Amounts

    @inline(__always) private func place(_ worker: Int, _ resource: Int) -> Int {
        isPool[resource] ? resource : (worker + 1) * stride + resource
    }

    func total(_ worker: Int, _ resource: Int) -> UInt64 { totals[place(worker, resource)] }

    func free(_ worker: Int, _ resource: Int) -> UInt64 {
        let at = place(worker, resource)
        return totals[at] > claimed[at] ? totals[at] - claimed[at] : 0
    }

    /// Claims of a pool or worker may not pass these.
    func couldEverFit(_ amounts: [ResourceAmount], on worker: Int) -> Bool {
        amounts.allSatisfy { total(worker, Int($0.resource)) >= $0.amount }
    }

    /// Whether so much is free there now, beside what `held` keeps back.
    func fits(_ amounts: [ResourceAmount], on worker: Int, beside held: Reservation? = nil) -> Bool {
        guard facts[worker].isUp else { return false }
        for amount in amounts {
            let resource = Int(amount.resource)
            var free = free(worker, resource)
            if let held, held.worker == worker || isPool[resource], let kept = held.kept(amount.resource) {
                free = free > kept ? free - kept : 0
            }
            guard amount.amount <= free else { return false }
            if !indexFree.isEmpty, let indices = indexFree[place(worker, resource)] {
                guard WorkerTable.pick(amount.amount, indices) != nil else { return false }
            }
        }
        return true
    }

    /// Whether the pools have it now.
    func poolsFit(_ amounts: [ResourceAmount]) -> Bool {
        for amount in amounts where isPool[Int(amount.resource)] {
            guard amount.amount <= free(0, Int(amount.resource)) else { return false }
        }
        return true
    }

    var hasPools: Bool { isPool.contains(true) }

    /// The same as `fits`, but for what pools have.
    func fitsWithoutPools(_ amounts: [ResourceAmount], on worker: Int) -> Bool {
        for amount in amounts where !isPool[Int(amount.resource)] {
            guard amount.amount <= free(worker, Int(amount.resource)) else { return false }
        }
        return true
    }

    /// Which indices to take: one that has room for a fraction, the fullest of them; else as many whole ones.
    private static func pick(_ amount: UInt64, _ free: [UInt64]) -> [Int]? {
        if amount < one {
            var best: Int?
            for index in free.indices where free[index] >= amount {
                if best.map({ free[index] < free[$0] }) ?? true { best = index }
            }
            return best.map { [$0] }
        }
        let wanted = Int(amount / one)
        var picked: [Int] = []
        for index in free.indices where free[index] == one && picked.count < wanted { picked.append(index) }
        return picked.count == wanted ? picked : nil
    }

    /// Requires that it fits. Returns the indices taken, by resource.
    @discardableResult
    func claim(_ amounts: [ResourceAmount], on worker: Int) -> [ClaimedIndices] {
        var taken: [ClaimedIndices] = []
        for amount in amounts {
            let at = place(worker, Int(amount.resource))
            claimed[at] += amount.amount
            if isPool[Int(amount.resource)] { poolVersion += 1 }
            if !indexFree.isEmpty, let free = indexFree[at], let picked = WorkerTable.pick(amount.amount, free) {
                let each = min(amount.amount, WorkerTable.one)
                for index in picked { indexFree[at]?[index] -= each }
                taken.append(ClaimedIndices(resource: amount.resource, indices: picked, each: each))
            }
        }
        facts[worker].running += 1
        touch(worker)
        return taken
    }

    func release(_ amounts: [ResourceAmount], _ taken: [ClaimedIndices], on worker: Int, now: UInt64) {
        for amount in amounts {
            claimed[place(worker, Int(amount.resource))] -= amount.amount
            if isPool[Int(amount.resource)] { poolVersion += 1 }
        }
        for indices in taken {
            for index in indices.indices { indexFree[place(worker, Int(indices.resource))]?[index] += indices.each }
        }
        facts[worker].running -= 1
        if facts[worker].running == 0 { facts[worker].idleSince = now }
        touch(worker)
    }

    /// The greatest part of the worker that the amounts are, 0 to 1.
    func share(_ amounts: [ResourceAmount], on worker: Int) -> Double {
        var share = 0.0
        for amount in amounts where !isPool[Int(amount.resource)] {
            let total = total(worker, Int(amount.resource))
            if total > 0 && total < UInt64.max { share = max(share, Double(amount.amount) / Double(total)) }
        }
        return share
    }

    /// The greatest part of the worker that would be in use with the amounts, 0 to 1.
    func load(with amounts: [ResourceAmount], on worker: Int) -> Double {
        var load = 0.0
        for amount in amounts where !isPool[Int(amount.resource)] {
            let at = place(worker, Int(amount.resource))
            if totals[at] > 0 && totals[at] < UInt64.max {
                load = max(load, Double(claimed[at] + amount.amount) / Double(totals[at]))
            }
        }
        return load
    }

    func assign(_ nanoseconds: Double, to worker: Int) { facts[worker].assigned += nanoseconds }

    /// What is claimed of more than there is; nil: nothing. For checks: totals must not have gone down.
    func overcommitment() -> String? {
        for at in totals.indices where claimed[at] > totals[at] {
            let owner = at < stride ? "the pool" : "worker '\(facts[at / stride - 1].offer.capacity.name)'"
            return "\(owner) has \(totals[at]) of \(names[at % stride]), \(claimed[at]) is claimed"
        }
        for (at, free) in indexFree where free.contains(where: { $0 > WorkerTable.one }) {
            return "an index of \(names[at % stride]) is given back twice"
        }
        return nil
    }

    /// Sum of claims, for checks.
    func claimed(_ worker: Int, _ resource: Int) -> UInt64 { claimed[place(worker, resource)] }
}

/// Indices of a resource that an attempt holds.
package struct ClaimedIndices: Sendable, Equatable {
    package var resource: UInt32
    package var indices: [Int]
    /// So much of each.
    package var each: UInt64
}

/// Room that is kept for the first in order, which does not fit yet (EASY backfilling, Lifka 1995: what comes behind it
/// may run where it does not put it off).
struct Reservation {
    /// The class for whose first row it is.
    var requestClass: Int
    var worker: Int
    /// What nobody else may claim there, by resource: only of what the waiting class is short of, or once was.
    var kept: [ResourceAmount]
    /// Nanoseconds of the run's clock at which the class is expected to fit, as far as that was asked (`stamp`).
    var fitsAt: UInt64?
    var stamp: UInt64 = .max

    func kept(_ resource: UInt32) -> UInt64? { kept.first { $0.resource == resource }?.amount }
}
