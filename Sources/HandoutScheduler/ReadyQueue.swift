/// Consecutive rows that are ready and rank equal but for their number.
struct ReadyRange: BitwiseCopyable {
    /// Priority, source or not, and height in one word: the smaller the sooner.
    var key: UInt64
    var first: UInt32
    var count: UInt32

    @inline(__always)
    func isBefore(_ other: ReadyRange) -> Bool { key == other.key ? first < other.first : key < other.key }

    /// Takes the row in when it follows the last one and ranks equal.
    @inline(__always)
    mutating func extend(_ row: Int, _ key: UInt64) -> Bool {
        guard key == self.key && Int(first) + Int(count) == row else { return false }
        count += 1
        return true
    }
}

/// Ready rows in their order, as ranges in a binary heap: a million equal sources are one entry.
///
/// A row stays in here when it stops being ready; whoever takes it out looks at its status.
struct ReadyQueue: ~Copyable {
    private var heap = Slab<ReadyRange>()
    /// The range that grows with each push; a count of 0: none.
    private var pending = ReadyRange(key: 0, first: 0, count: 0)

    var bytes: Int { heap.bytes }

    /// O(1) for rows that follow one another, else O(log ranges).
    @inline(__always)
    mutating func push(_ row: Int, key: UInt64) {
        if pending.count > 0 {
            if pending.extend(row, key) { return }
            insert(pending)
        }
        pending = ReadyRange(key: key, first: UInt32(truncatingIfNeeded: row), count: 1)
    }

    mutating func push(_ range: ReadyRange) {
        guard range.count > 0 else { return }
        settle()
        insert(range)
    }

    /// The range that comes first; nil: nothing is ready.
    @inline(__always)
    mutating func top() -> ReadyRange? {
        if pending.count > 0 { settle() }
        return heap.isEmpty ? nil : heap[0]
    }

    /// Takes the first `count` rows off the top range. Requires that it has them.
    @inline(__always)
    mutating func dropFirst(_ count: Int) {
        let taken = UInt32(truncatingIfNeeded: count)
        assert(taken <= heap[0].count)
        // Ranges do not overlap, so what is left of the top one stays on top.
        if taken < heap[0].count {
            heap[0].first += taken
            heap[0].count -= taken
        } else {
            removeTop()
        }
    }

    mutating func removeAll() {
        heap.removeAll()
        pending.count = 0
    }

    /// All ranges, in no order. For checks.
    func forEach(_ body: (ReadyRange) -> Void) {
        for index in 0..<heap.count { body(heap[index]) }
        if pending.count > 0 { body(pending) }
    }

    /// Ranges in their order, until `body` is false. O(k log k) for the k ranges that it is given.
    func forEachInOrder(_ body: (ReadyRange) -> Bool) {
        // A range of the heap comes after the one above it: those next in line are below what was seen. Heap of places.
        var line: [Int] = heap.isEmpty ? [] : [0]
        var isPendingSeen = pending.count == 0
        while let place = line.first {
            if !isPendingSeen, pending.isBefore(heap[place]) {
                isPendingSeen = true
                guard body(pending) else { return }
            }
            guard body(heap[place]) else { return }
            let below = 2 * place + 1
            replaceFirst(of: &line, by: below)
            if below + 1 < heap.count { append(below + 1, to: &line) }
        }
        if !isPendingSeen { _ = body(pending) }
    }

    private func append(_ place: Int, to line: inout [Int]) {
        line.append(place)
        var child = line.count - 1
        while child > 0 {
            let parent = (child - 1) >> 1
            guard heap[place].isBefore(heap[line[parent]]) else { break }
            line[child] = line[parent]
            child = parent
        }
        line[child] = place
    }

    /// Where there is no such place, the last takes its part.
    private func replaceFirst(of line: inout [Int], by place: Int) {
        var moved = place
        if place >= heap.count {
            let last = line.removeLast()
            if line.isEmpty { return }
            moved = last
        }
        var hole = 0
        while true {
            var child = 2 * hole + 1
            guard child < line.count else { break }
            if child + 1 < line.count, heap[line[child + 1]].isBefore(heap[line[child]]) { child += 1 }
            guard heap[line[child]].isBefore(heap[moved]) else { break }
            line[hole] = line[child]
            hole = child
        }
        line[hole] = moved
    }

    private mutating func settle() {
        guard pending.count > 0 else { return }
        insert(pending)
        pending.count = 0
    }

    private mutating func insert(_ range: ReadyRange) {
        heap.append(range)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) >> 1
            guard range.isBefore(heap[parent]) else { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = range
    }

    private mutating func removeTop() {
        guard let last = heap.popLast(), !heap.isEmpty else { return }
        var hole = 0
        while true {
            var child = 2 * hole + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count && heap[child + 1].isBefore(heap[child]) { child += 1 }
            guard heap[child].isBefore(last) else { break }
            heap[hole] = heap[child]
            hole = child
        }
        heap[hole] = last
    }
}
