import Glibc

/// A mutex with one condition, on the monotonic clock.
///
/// A mutex section costs 18 ns where an actor hop costs 10 µs: pool threads come here for every lease.
package final class Gate: @unchecked Sendable {
    // @unchecked: the memory belongs to pthread, which is what makes it safe to share.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    package init() {
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    @inline(__always) package func lock() { pthread_mutex_lock(mutex) }
    @inline(__always) package func unlock() { pthread_mutex_unlock(mutex) }
    package func withLock<Result>(_ body: () throws -> Result) rethrows -> Result {
        lock()
        defer { unlock() }
        return try body()
    }
    func wakeOne() { pthread_cond_signal(condition) }
    package func wakeAll() { pthread_cond_broadcast(condition) }

    /// Waits, the lock given up meanwhile, until woken or until `time` (nanoseconds of the monotonic clock).
    package func wait(until time: UInt64) {
        var limit = timespec(tv_sec: Int(time / 1_000_000_000), tv_nsec: Int(time % 1_000_000_000))
        pthread_cond_timedwait(condition, mutex, &limit)
    }
}

/// A run's own clock: nanoseconds since it was made.
package struct RunClock: Sendable {
    let epoch: UInt64
    package init() { epoch = monotonicNow() }
    package var now: UInt64 { monotonicNow() - epoch }
}

/// Nanoseconds of the monotonic clock.
@inline(__always) package func monotonicNow() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
