import CLuaShim
import HandoutCore
import LuaRuntime

/// What a lease holds, as C reads it.
final class NativeClaim {
    /// Valid while the object lives.
    let pointer: UnsafePointer<handout_claim>
    /// Bytes claimed, 0: none.
    private let memory: UInt64
    /// 1/10 000.
    private let cpu: UInt64
    /// Nanoseconds; nil: that of each task's options.
    private let timeout: UInt64?
    private let claim = UnsafeMutablePointer<handout_claim>.allocate(capacity: 1)
    private let amounts: UnsafeMutableBufferPointer<handout_amount>
    private let indices: UnsafeMutableBufferPointer<handout_index>
    private var texts: [UnsafeMutablePointer<CChar>] = []

    init(_ lease: LeaseClaim) {
        var texts: [UnsafeMutablePointer<CChar>] = []
        func text(_ string: String) -> UnsafePointer<CChar> {
            let bytes = Array(string.utf8CString)
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
            copy.initialize(from: bytes, count: bytes.count)
            texts.append(copy)
            return UnsafePointer(copy)
        }
        amounts = .allocate(capacity: lease.amounts.count)
        for (place, amount) in lease.amounts.enumerated() {
            amounts.initializeElement(at: place, to: handout_amount(name: text(amount.name), amount: amount.amount))
        }
        let held = lease.indices.flatMap { indices in indices.names.map { (indices.resource, $0) } }
        indices = .allocate(capacity: held.count)
        for (place, index) in held.enumerated() {
            indices.initializeElement(at: place, to: handout_index(resource: text(index.0), name: text(index.1)))
        }
        memory = lease.amounts.first { $0.name == "memory" }?.amount ?? 0
        cpu = lease.amounts.first { $0.name == "cpu" }?.amount ?? 0
        timeout = lease.timeout
        self.texts = texts
        claim.initialize(
            to: handout_claim(
                variant: UInt32(lease.variant + 1), amount_count: UInt32(amounts.count),
                index_count: UInt32(indices.count), amounts: amounts.baseAddress, indices: indices.baseAddress))
        pointer = UnsafePointer(claim)
    }

    /// The task has what its lease holds, and not what its options say.
    func apply(to item: inout handout_lease_item) {
        if let timeout { item.timeout = timeout }
        item.memory = memory
        item.cpu = cpu
        item.claim = pointer
    }

    deinit {
        claim.deallocate()
        amounts.deallocate()
        indices.deallocate()
        for text in texts { text.deallocate() }
    }
}
