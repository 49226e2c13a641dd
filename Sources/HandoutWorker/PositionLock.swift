import Synchronization

/// Guards the list of element positions, which threads that count elements append to at the same time.
final class PositionLock: Sendable {
    private let mutex = Mutex(())
    func withLock(_ body: () -> Void) { mutex.withLock { _ in body() } }
}
