import CLuaShim
import Glibc

/// An array that grows without moving: address space is reserved for all it may ever hold, memory is used as it is
/// written. Zeroed.
///
/// Task states read results in C while others are added; nothing may move under them.
final class AddressRange<Element>: @unchecked Sendable {
    // @unchecked: who may write which element, and when, is the owner's to say.
    let base: UnsafeMutablePointer<Element>
    let capacity: Int
    /// Whose memory it is, where that is not its own.
    private let shared: SharedMemory?

    /// Reserves room for `capacity` elements, or for `least` where the system does not lend that much address space; in
    /// `shared` memory where that is given.
    init?(capacity: Int, least: Int, in shared: SharedMemory? = nil) {
        self.shared = shared
        if let shared {
            let size = capacity * MemoryLayout<Element>.stride
            guard let memory = handout_shared_reserve(shared.native, size) else { return nil }
            base = memory.bindMemory(to: Element.self, capacity: capacity)
            self.capacity = capacity
            return
        }
        for wanted in [capacity, least] {
            let size = max(1, wanted) * MemoryLayout<Element>.stride
            let memory = mmap(
                nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
            if let memory, memory != MAP_FAILED {
                base = memory.bindMemory(to: Element.self, capacity: max(1, wanted))
                self.capacity = wanted
                return
            }
        }
        return nil
    }

    deinit { if shared == nil { munmap(base, max(1, capacity) * MemoryLayout<Element>.stride) } }
}
