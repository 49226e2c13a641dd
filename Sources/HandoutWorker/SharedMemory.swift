import CLuaShim
import HandoutCore

/// Memory of this process that runner processes read at the same addresses.
package final class SharedMemory: @unchecked Sendable {
    // @unchecked: the C side locks what changes.
    let native: OpaquePointer

    /// Nil: there is no memory or address space for it.
    package init?() {
        guard let native = handout_shared_new() else { return nil }
        self.native = native
    }

    deinit { handout_shared_free(native) }

    /// A copy of the column, or nil where there is no room.
    func copy<Element>(_ base: UnsafePointer<Element>, count: Int) -> UnsafePointer<Element>? {
        guard let memory = handout_shared_copy(native, base, count * MemoryLayout<Element>.stride) else { return nil }
        return UnsafePointer(memory.bindMemory(to: Element.self, capacity: max(1, count)))
    }

    func release(_ memory: UnsafeRawPointer?, bytes: Int) { handout_shared_release(native, memory, bytes) }
}
