import HandoutCore

/// What is going to happen in virtual time.
enum VirtualEvent: Sendable, BitwiseCopyable {
    /// The task that a slot runs ends.
    case taskEnds(slot: Int)
    /// A report arrives, maybe for the second time.
    case report(SchedulerEvent)
    case expansion(TaskID)
    case timer
    case cancel
}

/// The future, earliest first; what happens at one moment happens in the order in which it was planned.
struct VirtualEvents {
    private struct Entry: BitwiseCopyable {
        var time: UInt64
        var number: UInt64
        var event: VirtualEvent

        func isBefore(_ other: Entry) -> Bool { time == other.time ? number < other.number : time < other.time }
    }

    private var heap: [Entry] = []
    private var planned: UInt64 = 0

    var isEmpty: Bool { heap.isEmpty }

    mutating func plan(_ event: VirtualEvent, at time: UInt64) {
        let entry = Entry(time: time, number: planned, event: event)
        planned += 1
        heap.append(entry)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard entry.isBefore(heap[parent]) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func next() -> (time: UInt64, event: VirtualEvent)? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return (first.time, first.event) }
        heap[0] = last
        var hole = 0
        while 2 * hole + 1 < heap.count {
            var child = 2 * hole + 1
            if child + 1 < heap.count && heap[child + 1].isBefore(heap[child]) { child += 1 }
            guard heap[child].isBefore(heap[hole]) else { break }
            heap.swapAt(child, hole)
            hole = child
        }
        return (first.time, first.event)
    }
}
