/// What tasks ask of pools, packed: all pools together are as one worker that every task runs on beside its own.
final class PoolAmounts {
    let words: Int
    let guards: UnsafeMutablePointer<UInt64>
    /// [task × words + word]
    let requests: UnsafeMutablePointer<UInt64>
    let capacity: UnsafeMutablePointer<UInt64>
    /// By task: it asks for something.
    private let asks: UnsafeMutablePointer<Bool>

    /// Nil where no task asks for anything.
    init?(_ instance: PlacementInstance) {
        let asking = instance.tasks.map { task in task.pooled.contains { $0 > 0 } }
        guard asking.contains(true) else { return nil }
        let packed = PackedAmounts(poolsOf: instance)
        let none = [Int64](repeating: 0, count: instance.pools.count)
        words = packed.words
        guards = copy(packed.guards)
        requests = copy(instance.tasks.flatMap { packed.request($0.pooled.isEmpty ? none : $0.pooled) })
        capacity = copy(packed.capacity(instance.pools.map(\.amount)))
        asks = copy(asking)
    }

    deinit {
        for pointer in [guards, requests, capacity] { pointer.deallocate() }
        asks.deallocate()
    }

    @inline(__always) func isAsked(by task: Int) -> Bool { asks[task] }
}
