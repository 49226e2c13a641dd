package import HandoutScheduler

/// `load-balanced` where it is known beforehand how long everything takes.
///
/// The rule places each task without a look at what comes behind it, and on some graphs the order of joining happens to be the
/// better one. In virtual time both can be tried, and the more balanced run is the result.
enum Balancing {
    /// A graph of more tasks is run by the rule alone, for speed.
    static let mostTasks = 10_000

    /// A run under the allocator. `run` gives the run under any; `isCertain`: nothing goes wrong in it.
    static func result(_ allocator: Allocator, isCertain: Bool, run: (Allocator) -> ClusterResult) -> ClusterResult {
        let result = run(allocator)
        guard allocator == .loadBalanced, isCertain, result.counts.total <= mostTasks, result.busy.count > 1,
            result.waiting == 0,
            result.counts.failed == 0
        else { return result }
        let other = run(.firstAvailable)
        return other.imbalance < result.imbalance && other.violation == nil ? other : result
    }
}

extension ClusterResult {
    /// The greatest busy time of a worker over the mean of all, each task counted by the share that it held; 1: all alike.
    package var imbalance: Double {
        let sum = busy.reduce(0, +)
        guard sum > 0, let most = busy.max() else { return 1 }
        return most * Double(busy.count) / sum
    }
}
