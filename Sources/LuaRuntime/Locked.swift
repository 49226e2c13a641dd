import Glibc

/// A value behind a mutex, for what several threads touch.
///
/// A mutex of pthread, which the thread sanitizer knows: it takes what `Synchronization.Mutex` guards for a race.
package final class Locked<Value>: @unchecked Sendable {
    // @unchecked: `value` is touched with the mutex locked.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private var value: Value

    package init(_ value: Value) {
        pthread_mutex_init(mutex, nil)
        self.value = value
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    package func withLock<Result, Failure>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}
