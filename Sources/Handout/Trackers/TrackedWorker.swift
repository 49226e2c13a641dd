import HandoutCore
import HandoutScheduler

/// A worker with what trackers say of it.
struct TrackedWorker: Sendable {
    private(set) var offer: WorkerOffer
    private let base: WorkerOffer
    /// The most that was ever said to be there, by resource of a tracker; else what there is without them.
    private(set) var most: WorkerCapacity
    private var told: Set<String> = []
    /// By tracker, the last that it said.
    private var prices: [Int: Double] = [:]
    private var labels: [Int: [String: String]] = [:]

    init(_ offer: WorkerOffer) {
        base = offer
        self.offer = offer
        most = offer.capacity
    }

    /// What a tracker says, instead of what it said before. True: the worker is another.
    mutating func take(_ changes: [TrackedTotals.Change], of tracker: Int) -> Bool {
        var isChanged = false
        for change in changes {
            switch change {
            case .totals(let totals):
                offer.capacity.totals.merge(totals) { $1 }
                for (name, total) in totals {
                    most.totals[name] = told.insert(name).inserted ? total : max(total, most.total(name))
                }
            case .price(let price): prices[tracker] = price
            case .labels(let new): labels[tracker] = new
            case .warning: continue
            }
            isChanged = true
        }
        // Of several that say it, the last one counts.
        if let last = prices.keys.max() { offer.price = prices[last] ?? base.price }
        offer.capacity.labels = labels.sorted { $0.key < $1.key }.reduce(into: base.capacity.labels) { all, entry in
            all.merge(entry.value) { $1 }
        }
        most.labels = offer.capacity.labels
        return isChanged
    }

    /// GPUs that trackers told of before the run get their indices; there are no more of them later.
    mutating func settleIndices() {
        guard offer.indices["gpu"] == nil, let total = most.totals["gpu"] else { return }
        offer.indices["gpu"] = (0..<min(Int(total / 10_000), 1000)).map(String.init)
    }
}
