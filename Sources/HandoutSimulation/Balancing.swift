package import HandoutScheduler

/// `load-balanced` of an instance, where it is known beforehand how long everything takes. A script is simulated by the rule
/// alone: what is shown of it is what a run would do.
///
/// The rule places each task without a look at what comes behind it, and on some graphs the order of joining happens to be the
/// better one. In virtual time both can be tried, and the more balanced run is the result.
enum Balancing {
    /// A graph of more tasks is run by the rule alone, for speed.
    static let mostTasks = 10_000

    /// A run under the allocator, and the one that it is of. `run` gives the run under any.
    static func result(
        _ allocator: Allocator, run: (Allocator) -> ClusterResult
    ) -> (ClusterResult, Allocator) {
        let result = run(allocator)
        guard allocator == .loadBalanced, result.counts.total <= mostTasks, result.busy.count > 1, result.waiting == 0
        else { return (result, allocator) }
        let other = run(.firstAvailable)
        return other.imbalance < result.imbalance && other.violation == nil
            ? (other, .firstAvailable) : (result, allocator)
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
