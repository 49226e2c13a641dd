import LuaRuntime

/// Keeps a run's events until they are read: compactly, as batches, made into `Run.Event`s on demand.
final class EventChannel: Sendable {
    private struct State {
        var batches: [EventBatch] = []
        /// Batches of these that were read.
        var read = 0
        var isFinished = false
        var narrator: EventNarrator?
        var waiting: [Int: CheckedContinuation<[Run.Event]?, Never>] = [:]
        var tickets = 0
    }
    private let state = Locked(State())

    /// Before the first batch.
    func open(_ narrator: EventNarrator) { state.withLock { $0.narrator = narrator } }

    func send(_ batch: EventBatch) {
        let (reader, events) = state.withLock { state in
            state.batches.append(batch)
            guard let first = state.waiting.first else {
                return (nil, [Run.Event]?.none) as (CheckedContinuation<[Run.Event]?, Never>?, [Run.Event]?)
            }
            state.waiting.removeValue(forKey: first.key)
            return (first.value, EventChannel.next(&state))
        }
        reader?.resume(returning: events)
    }

    func finish() {
        let readers = state.withLock { state in
            state.isFinished = true
            defer { state.waiting.removeAll() }
            return Array(state.waiting.values)
        }
        for reader in readers { reader.resume(returning: nil) }
    }

    /// The next events, when there are any; nil after the last, and when the reading task is cancelled.
    func next() async -> [Run.Event]? {
        let ticket = state.withLock { state in
            state.tickets += 1
            return state.tickets
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let now: [Run.Event]?? = state.withLock { state in
                    if Task.isCancelled { return .some(nil) }
                    if let events = EventChannel.next(&state) { return events }
                    if state.isFinished { return .some(nil) }
                    state.waiting[ticket] = continuation
                    return .none
                }
                if let now { continuation.resume(returning: now) }
            }
        } onCancel: {
            // Registered before the cancellation: taken out here. After it: it was seen above, under the lock.
            let reader = state.withLock { $0.waiting.removeValue(forKey: ticket) }
            reader?.resume(returning: nil)
        }
    }

    private static func next(_ state: inout State) -> [Run.Event]? {
        guard state.read < state.batches.count else { return nil }
        let batch = state.batches[state.read]
        state.read += 1
        if state.read == state.batches.count {
            state.batches.removeAll(keepingCapacity: true)
            state.read = 0
        } else {
            state.batches[state.read - 1] = EventBatch(events: [], failures: [], remarks: [])
        }
        return state.narrator?.events(of: batch)
    }
}

extension Run {
    /// The events of a run in order. Each is given once: several readers share them.
    public struct Events: AsyncSequence, Sendable {
        let channel: EventChannel

        public func makeAsyncIterator() -> Iterator { Iterator(channel: channel) }

        public struct Iterator: AsyncIteratorProtocol {
            fileprivate let channel: EventChannel
            private var events: ArraySlice<Event> = []

            fileprivate init(channel: EventChannel) { self.channel = channel }

            /// The next event; nil after the last, and when the task is cancelled.
            public mutating func next() async -> Event? {
                while events.isEmpty {
                    guard let more = await channel.next() else { return nil }
                    events = more[...]
                }
                return events.popFirst()
            }
        }
    }
}
