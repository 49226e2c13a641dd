import LuaRuntime

/// Keeps a run's events until they are read: compactly, as batches, made into `Run.Event`s on demand.
final class EventChannel: Sendable {
    private struct State {
        var batches: [EventBatch] = []
        /// Batches of these that were read.
        var read = 0
        var isFinished = false
        var narrator: EventNarrator?
        var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
        var tickets = 0
    }
    private let state = Locked(State())

    /// Before the first batch.
    func open(_ narrator: EventNarrator) { state.withLock { $0.narrator = narrator } }

    func send(_ batch: EventBatch) {
        let reader = state.withLock { state in
            state.batches.append(batch)
            return state.waiting.popFirst()?.value
        }
        reader?.resume()
    }

    func finish() {
        let readers = state.withLock { state in
            state.isFinished = true
            defer { state.waiting.removeAll() }
            return Array(state.waiting.values)
        }
        for reader in readers { reader.resume() }
    }

    /// The next events, when there are any; nil after the last, and when the reading task is cancelled.
    func next() async -> [Run.Event]? {
        let ticket = state.withLock { state in
            state.tickets += 1
            return state.tickets
        }
        while true {
            if Task.isCancelled {
                // It may be this reader that was told of the last batch.
                state.withLock { $0.waiting.popFirst()?.value }?.resume()
                return nil
            }
            // Events are taken by their reader, behind the mutex: see `Promise`.
            let (events, isOver) = state.withLock { (EventChannel.next(&$0), $0.isFinished) }
            if events != nil || isOver { return events }
            await wait(ticket)
        }
    }

    /// Until there may be something to read.
    private func wait(_ ticket: Int) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waits = state.withLock { state in
                    guard !Task.isCancelled, !state.isFinished, state.read == state.batches.count else { return false }
                    state.waiting[ticket] = continuation
                    return true
                }
                if !waits { continuation.resume() }
            }
        } onCancel: {
            // Registered before the cancellation: taken out here. After it: it was seen above, under the lock.
            let reader = state.withLock { $0.waiting.removeValue(forKey: ticket) }
            reader?.resume()
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
