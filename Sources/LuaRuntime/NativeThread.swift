package import CLuaShim
import Glibc

/// A thread made in C, with the signal mask that deadlines need, whatever the mask of the thread that makes it.
///
/// Threads made after a Swift `await` have almost every signal blocked, and so have the children they spawn.
package final class NativeThread: @unchecked Sendable {
    // @unchecked: `handle` is written before the thread is known to anyone else; `join` is called once, by the owner.
    private var handle = pthread_t()
    private let body: @Sendable () -> Void

    /// Starts the thread; `slot` is watched for deadlines while it runs.
    ///
    /// - Throws: `ThreadError` when the system has no more threads.
    package init(slot: LeaseSlot? = nil, _ body: @escaping @Sendable () -> Void) throws(ThreadError) {
        self.body = body
        let context = Unmanaged.passRetained(self)
        let status = handout_thread_start(
            &handle, slot?.pointer,
            { context in
                guard let context else { return }
                Unmanaged<NativeThread>.fromOpaque(context).takeRetainedValue().body()
            }, context.toOpaque())
        if status != 0 {
            context.release()
            throw ThreadError(code: status)
        }
    }

    /// Lets the thread end by itself. Instead of `join`.
    package func detach() { pthread_detach(handle) }

    /// Waits for the body to return. Once.
    package func join() { handout_thread_join(handle) }

    /// Waits for at most so many nanoseconds; true when the body has returned, and then no further `join` may follow.
    package func join(within nanoseconds: UInt64) -> Bool { handout_thread_join_within(handle, nanoseconds) == 0 }
}

/// The system could not start a thread; `code` is its errno.
package struct ThreadError: Error, Sendable {
    package var code: Int32
}

/// What a thread shares with the coordinator and the watchdog: its lease, what is done of it, its deadline.
package final class LeaseSlot: @unchecked Sendable {
    // @unchecked: the C side keeps the parts that several threads touch atomic.
    package let pointer: UnsafeMutablePointer<handout_slot>

    /// Nil when there is no memory.
    package init?() {
        guard let pointer = handout_slot_new() else { return nil }
        self.pointer = pointer
    }

    deinit { handout_slot_free(pointer) }

    /// A deadline passed a grace time ago and the thread is still in C code.
    package var isStuck: Bool { handout_slot_stuck(pointer) != 0 }

    /// While it is cancelled, Lua code of the thread is ended as such.
    package func cancel(_ on: Bool) { handout_slot_cancel(pointer, on ? 1 : 0) }
}

/// What was built and is running.
package enum LuaVersion {
    /// "Lua 5.4.4": the release that the program was built against.
    package static var release: String { String(cString: handout_lua_release()) }
    /// A count hook stands all the time: sanitizer builds, in which signals do not arrive.
    package static var hasStandingHook: Bool { handout_has_standing_hook() != 0 }
}
