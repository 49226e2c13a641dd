import HandoutExecutor
import LuaRuntime

/// Cores and memory that several runs of a process share: `options.workers = .shared(workers)`.
///
/// Together the attempts of these runs never hold more than there is. While several runs have something ready, each gets
/// cores and memory by the `weight` of its graph; what one leaves over the others use. A task that runs is never
/// interrupted for another.
public final class SharedWorkers: Sendable, Hashable {
    /// Attempts that run at once when each takes one core.
    public let threads: Int
    let capacity: SharedCapacity
    /// Bytes.
    var memory: UInt64 { capacity.total.memory }

    /// - Parameters:
    ///   - threads: cores to give out, 1 to 1024; nil: as many as there are.
    ///   - memory: bytes to give out to tasks that say what they need; nil: the memory of the machine.
    public init(threads: Int? = nil, memory: Int? = nil) {
        self.threads = max(1, min(1024, threads ?? ProcessFacts.cores))
        capacity = SharedCapacity(
            cpu: UInt64(self.threads) * 10_000, memory: memory.map { UInt64(max(1, $0)) } ?? ProcessFacts.memory)
    }

    public static func == (one: SharedWorkers, other: SharedWorkers) -> Bool { one === other }
    public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}
