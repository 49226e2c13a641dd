import HandoutPlan
import LuaRuntime

/// A thread on which a deadline holds, for one file.
enum FileThread {
    /// Runs `body` on a thread of its own and waits for it; nil is that memory is exhausted.
    ///
    /// - Throws: `PlanRefusal` when no thread could be started, or it is stuck in a function that nothing can stop.
    static func run<Value: Sendable>(
        _ file: String, _ limits: FileLimits, _ body: @escaping @Sendable (LeaseSlot) -> Value?
    ) throws(PlanRefusal) -> Value {
        let noMemory = PlanRefusal(code: "memory", "\(file): not enough memory")
        guard let slot = LeaseSlot() else { throw noMemory }
        let result = Locked<Value?>(nil)
        let thread: NativeThread
        do throws(ThreadError) {
            thread = try NativeThread(slot: slot) {
                let value = body(slot)
                result.withLock { $0 = value }
            }
        } catch {
            throw PlanRefusal(code: "thread", "\(file): no thread could be started (errno \(error.code))")
        }
        while !thread.join(within: 50_000_000) {
            // The thread, and all that it uses, is left as it is: nothing can stop it.
            guard !slot.isStuck else {
                let seconds = Double(limits.time) / 1e9
                throw PlanRefusal(
                    code: "timeout",
                    "\(file): it ran longer than \(seconds) s, in a library function that cannot be stopped")
            }
        }
        guard let value = result.withLock({ $0 }) else { throw noMemory }
        return value
    }
}
