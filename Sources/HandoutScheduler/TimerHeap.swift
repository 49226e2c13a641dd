/// The moments at which paused tasks may run again, earliest first. Few at a time.
struct TimerHeap: ~Copyable {
    struct Entry: BitwiseCopyable {
        var time: UInt64
        var task: UInt32
        var attempt: UInt16

        func isBefore(_ other: Entry) -> Bool { time == other.time ? task < other.task : time < other.time }
    }

    private var heap = Slab<Entry>()

    var first: Entry? { heap.isEmpty ? nil : heap[0] }

    mutating func removeAll() { heap.removeAll() }

    func forEach(_ body: (Entry) -> Void) {
        for index in 0..<heap.count { body(heap[index]) }
    }

    mutating func insert(_ entry: Entry) {
        heap.append(entry)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) >> 1
            guard entry.isBefore(heap[parent]) else { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = entry
    }

    mutating func removeFirst() {
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
