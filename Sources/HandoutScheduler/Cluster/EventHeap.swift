/// The future, earliest first; what happens at one moment happens in the order in which it was planned.
struct EventHeap<Event: BitwiseCopyable> {
    private struct Entry: BitwiseCopyable {
        var time: UInt64
        var number: UInt64
        var event: Event

        @inline(__always) func isBefore(_ other: Entry) -> Bool {
            time == other.time ? number < other.number : time < other.time
        }
    }

    private var heap: [Entry] = []
    private var planned: UInt64 = 0

    var isEmpty: Bool { heap.isEmpty }
    var nextTime: UInt64? { heap.first?.time }

    mutating func plan(_ event: Event, at time: UInt64) {
        let entry = Entry(time: time, number: planned, event: event)
        planned += 1
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

    mutating func next() -> (time: UInt64, event: Event)? {
        guard !heap.isEmpty else { return nil }
        let first = heap[0]
        guard let last = heap.popLast(), !heap.isEmpty else { return (first.time, first.event) }
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
        return (first.time, first.event)
    }
}
