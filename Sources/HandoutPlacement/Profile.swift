/// What is free on one worker over time, as steps: from `times[i]` up to the next time, `free[i × words ...]`.
///
/// The first step begins at 0 and the last one never ends. Neighbours differ. Memory is owned by the `Timetable`.
struct Profile: BitwiseCopyable {
    private var times: UnsafeMutablePointer<Double>
    private var free: UnsafeMutablePointer<UInt64>
    private var count: Int
    /// Before this step not even the least request fits.
    private var open = 0
    private var room: Int
    private let words: Int

    init(words: Int) {
        room = 8
        self.words = words
        times = .allocate(capacity: room)
        free = .allocate(capacity: room * words)
        count = 0
    }

    func deallocate() {
        times.deallocate()
        free.deallocate()
    }

    @inline(__always)
    mutating func reset(_ capacity: UnsafePointer<UInt64>) {
        count = 1
        open = 0
        times[0] = 0
        for word in 0..<words { free[word] = capacity[word] }
    }

    /// Steps that begin at 0, each with what is free from then on.
    mutating func reset(_ steps: [(from: Double, free: [UInt64])]) {
        while room < steps.count { grow() }
        count = steps.count
        open = 0
        for (step, entry) in steps.enumerated() {
            times[step] = entry.from
            for word in 0..<words { free[step * words + word] = entry.free[word] }
        }
    }

    /// When each step begins.
    var moments: [Double] { (0..<count).map { times[$0] } }

    /// The first time from `ready` on when the request fits for all of `duration`. The request must fit an empty
    /// worker. O(log steps + steps passed).
    @inline(__always)
    mutating func earliest(
        _ request: UnsafePointer<UInt64>, _ guards: UnsafePointer<UInt64>, least: UInt64, from ready: Double,
        for duration: Double
    ) -> Double {
        words == 1
            ? earliest(request[0], guards[0], least, from: ready, for: duration)
            : earliestWide(request, guards, from: ready, for: duration)
    }

    @inline(__always)
    private mutating func earliest(
        _ request: UInt64, _ guards: UInt64, _ least: UInt64, from ready: Double, for duration: Double
    ) -> Double {
        // Many tasks wait for room on a worker that is full up to some time: what is full is passed once, not by each.
        while (free[open] &- least) & guards != guards { open += 1 }
        var (step, start) = (open, times[open])
        if ready >= start { (step, start) = (self.step(at: ready), ready) }
        let last = count - 1
        while true {
            while (free[step] &- request) & guards != guards {
                step += 1
                start = times[step]
            }
            let finish = start + duration
            var next = step + 1
            while next <= last && times[next] < finish && (free[next] &- request) & guards == guards { next += 1 }
            if next > last || times[next] >= finish { return start }
            step = next + 1
            start = times[step]
        }
    }

    /// Not even the least request fits at that moment. With wide requests the answer may be no where it is yes.
    func isFull(at time: Double, _ guards: UnsafePointer<UInt64>, least: UInt64) -> Bool {
        words == 1 && (free[step(at: time)] &- least) & guards[0] != guards[0]
    }

    private func earliestWide(
        _ request: UnsafePointer<UInt64>, _ guards: UnsafePointer<UInt64>, from ready: Double, for duration: Double
    ) -> Double {
        var step = self.step(at: ready)
        var start = ready
        while true {
            while !fits(request, guards, step) {
                step += 1
                start = times[step]
            }
            let finish = start + duration
            var next = step + 1
            while next < count && times[next] < finish && fits(request, guards, next) { next += 1 }
            if next == count || times[next] >= finish { return start }
            step = next + 1
            start = times[step]
        }
    }

    private func fits(_ request: UnsafePointer<UInt64>, _ guards: UnsafePointer<UInt64>, _ step: Int) -> Bool {
        for word in 0..<words where (free[step * words + word] &- request[word]) & guards[word] != guards[word] {
            return false
        }
        return true
    }

    /// The step that `time` lies in. Looks at the last ones first: schedules mostly grow at their end.
    @inline(__always)
    private func step(at time: Double) -> Int {
        var high = count
        if high <= 8 || times[high - 8] <= time {
            var step = high - 1
            while times[step] > time { step -= 1 }
            return step
        }
        high -= 8
        var low = 0  // times[low] <= time < times[high]
        while high - low > 1 {
            let middle = (low + high) >> 1
            if times[middle] <= time { low = middle } else { high = middle }
        }
        return low
    }

    /// Takes the request from what is free in start ..< finish.
    @inline(__always)
    mutating func reserve(_ request: UnsafePointer<UInt64>, from start: Double, to finish: Double) {
        guard finish > start else { return }
        let first = cut(at: start)
        let last = cut(at: finish)
        for step in first..<last {
            for word in 0..<words { free[step * words + word] &-= request[word] }
        }
        merge(last)
        merge(first)
    }

    /// Undoes `reserve`.
    mutating func release(_ request: UnsafePointer<UInt64>, from start: Double, to finish: Double) {
        guard finish > start else { return }
        open = 0
        let first = cut(at: start)
        let last = cut(at: finish)
        for step in first..<last {
            for word in 0..<words { free[step * words + word] &+= request[word] }
        }
        merge(last)
        merge(first)
    }

    /// Makes a step begin at `time` and returns it.
    @inline(__always)
    private mutating func cut(at time: Double) -> Int {
        var step = self.step(at: time)
        if times[step] == time { return step }
        if count == room { grow() }
        var index = count
        while index > step + 1 {
            times[index] = times[index - 1]
            index -= 1
        }
        var word = count * words - 1
        while word >= step * words {
            free[word + words] = free[word]
            word -= 1
        }
        step += 1
        times[step] = time
        count += 1
        return step
    }

    /// Joins the step with the one before where they are equal.
    @inline(__always)
    private mutating func merge(_ step: Int) {
        guard step > 0 && step < count else { return }
        for word in 0..<words where free[step * words + word] != free[(step - 1) * words + word] { return }
        for index in step + 1..<max(count, step + 1) { times[index - 1] = times[index] }
        for index in (step + 1) * words..<max(count * words, (step + 1) * words) { free[index - words] = free[index] }
        count -= 1
    }

    /// Becomes equal to the other, which must have as many words. O(steps).
    mutating func assign(_ other: Profile) {
        if room < other.count {
            deallocate()
            room = other.room
            times = .allocate(capacity: room)
            free = .allocate(capacity: room * words)
        }
        count = other.count
        open = other.open
        times.update(from: other.times, count: count)
        free.update(from: other.free, count: count * words)
    }

    private mutating func grow() {
        let newTimes = UnsafeMutablePointer<Double>.allocate(capacity: 2 * room)
        let newFree = UnsafeMutablePointer<UInt64>.allocate(capacity: 2 * room * words)
        newTimes.update(from: times, count: count)
        newFree.update(from: free, count: count * words)
        deallocate()
        times = newTimes
        free = newFree
        room *= 2
    }
}
