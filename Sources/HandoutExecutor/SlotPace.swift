/// How long a slot's tasks take, which decides how many a lease holds: about 200 µs of work, at most 1024 tasks.
///
/// A lease is long enough that the mutex is not felt, and short enough that one slow task holds up little: what it holds
/// up is taken back by a slot without work.
struct SlotPace {
    private static let aim: UInt64 = 200_000
    private static let most = 1024

    private(set) var limit = 1
    private var begun: UInt64 = 0
    private var tasks = 0

    /// The mean time of a task in nanoseconds; 0: none was measured.
    private var mean: UInt64 = 0

    mutating func started(now: UInt64) {
        begun = now
        tasks = 0
    }

    mutating func collected(_ count: Int) { tasks += count }

    /// The lease that was started has ended; `collected` follows, so the count is that of the lease before it is reset.
    mutating func ended(now: UInt64) {
        guard begun != 0 else { return }
        elapsed = now &- begun
        begun = 0
    }

    private var elapsed: UInt64 = 0

    /// Measures by the lease that has just been collected.
    mutating func measure() {
        guard elapsed > 0, tasks > 0 else { return }
        mean = max(1, elapsed / UInt64(tasks))
        elapsed = 0
        // At most fourfold: the next tasks may be of another kind.
        limit = Int(min(UInt64(SlotPace.most), min(UInt64(limit) * 4, max(1, SlotPace.aim / mean))))
    }

    /// Waking a thread costs some 5 µs: worth it when there is more than that to do.
    func isWorthWaking(tasks: Int) -> Bool { mean == 0 || UInt64(tasks) * mean > 20_000 }

    /// The lease has run for so long that what it holds back should be taken from it.
    func runsLong(now: UInt64) -> Bool { begun != 0 && now &- begun > SlotPace.aim * 2 }
}
