import LuaRuntime

/// A value that a thread gives once, and that async code waits for.
///
/// Whoever waited reads it behind the mutex: a continuation that is resumed before it is awaited orders nothing that the
/// thread sanitizer knows of.
final class Promise<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Locked(State())

    func keep(_ value: Value) {
        let waiting = state.withLock { state in
            state.value = value
            defer { state.waiting.removeAll() }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Waits for it, also when the waiting task is cancelled.
    var value: Value {
        get async {
            while true {
                if let value = state.withLock({ $0.value }) { return value }
                await withCheckedContinuation { continuation in
                    let isKept = state.withLock { state in
                        if state.value == nil { state.waiting.append(continuation) }
                        return state.value != nil
                    }
                    if isKept { continuation.resume() }
                }
            }
        }
    }
}
