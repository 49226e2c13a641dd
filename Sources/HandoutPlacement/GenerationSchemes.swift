/// Priority rules of project scheduling, as numbers: the greater the sooner. Survey and comparison: Kolisch, Hartmann:
/// Heuristic algorithms for the resource-constrained project scheduling problem. In: Project Scheduling, 1999.
enum PriorityRule: CaseIterable {
    /// LFT: the longest way from the start of the task to the end of the graph, which orders as the latest finish does.
    case latestFinish
    /// LST: the longest way behind the task.
    case latestStart
    /// MTS: how many tasks wait for it, directly or not.
    case mostSuccessors
    /// GRPW: its run time and those of its direct consumers.
    case greatestPositionalWeight
    /// LPT.
    case longestTime
    /// SPT.
    case shortestTime

    func priorities(_ model: Model) -> [Double] {
        let times = (0..<model.count).map { model.meanRunTime($0) }
        switch self {
        case .latestFinish: return model.upwardRanks()
        case .latestStart: return zip(model.upwardRanks(), times).map { $0 - $1 }
        case .mostSuccessors: return model.successorCounts()
        case .greatestPositionalWeight:
            return (0..<model.count).map { task in
                model.outputs.range(task).reduce(times[task]) { $0 + times[Int(model.outputs.tasks[$1])] }
            }
        case .longestTime: return times
        case .shortestTime: return times.map { -$0 }
        }
    }
}

extension Model {
    /// How many tasks are behind each: exact up to 2000 tasks, else paths are counted, which orders much the same.
    fileprivate func successorCounts() -> [Double] {
        guard count <= 2000 else {
            var paths = [Double](repeating: 0, count: count)
            for index in (0..<count).reversed() {
                let task = Int(order[index])
                for edge in outputs.range(task) { paths[task] += 1 + paths[Int(outputs.tasks[edge])] }
            }
            return paths
        }
        let words = (count + 63) / 64
        var behind = [UInt64](repeating: 0, count: count * words)
        for index in (0..<count).reversed() {
            let task = Int(order[index])
            for edge in outputs.range(task) {
                let consumer = Int(outputs.tasks[edge])
                behind[task * words + consumer / 64] |= 1 << UInt64(consumer % 64)
                for word in 0..<words { behind[task * words + word] |= behind[consumer * words + word] }
            }
        }
        return (0..<count).map { task in
            Double((0..<words).reduce(0) { $0 + behind[task * words + $1].nonzeroBitCount })
        }
    }
}

extension Timetable {
    /// The serial schedule generation scheme by priorities: of the tasks whose inputs are placed the one with the greatest
    /// goes where it ends first.
    func fillSerially(by priorities: [Double]) {
        var ready = ReadyHeap(model) { priorities[$0] }
        while let task = ready.pop() {
            let best = earliestFinish(task)
            place(task, on: best.worker, at: best.start)
            ready.finish(task, model) { $0.push($1, key: priorities[$1]) }
        }
    }

    /// The parallel schedule generation scheme (Brooks; Kelley 1963): goes through time and at each moment starts, by
    /// falling priority, every task that can start then, where it ends first. O(moments × ready tasks × workers).
    func fillInParallel(by priorities: [Double]) {
        var heap = ReadyHeap(model) { priorities[$0] }
        var moments = MomentHeap()
        moments.push(0)
        for moment in model.initial?.moments ?? [] { moments.push(moment) }
        var ready: [Int] = []
        while let task = heap.pop() {
            ready.append(task)
            if model.arrivals != nil {
                for worker in model.eligible(task) { moments.push(model.arrival(task, on: Int(worker))) }
            }
        }
        var rest = model.count
        while rest > 0, let now = moments.pop() {
            var index = 0
            var isOpen = !isFull(at: now)
            while isOpen && index < ready.count {
                let task = ready[index]
                guard let worker = startable(task, at: now) else {
                    index += 1
                    continue
                }
                place(task, on: worker, at: now)
                moments.push(finishes[task])
                isOpen = !isFull(at: now)
                ready.remove(at: index)
                rest -= 1
                heap.finish(task, model) { _, consumer in
                    let place = ready.firstIndex { priorities[$0] < priorities[consumer] } ?? ready.count
                    ready.insert(consumer, at: place)
                    if place <= index { index = 0 }  // it may start at once when its inputs took no time
                    collectArrivals(consumer)
                    for worker in model.eligible(consumer) where arrival(on: Int(worker)) > now {
                        moments.push(arrival(on: Int(worker)))
                    }
                }
            }
        }
    }

    /// The worker on which the task can start at that moment and ends first.
    private func startable(_ task: Int, at now: Double) -> Int? {
        collectArrivals(task)
        var best: (worker: Int, time: Double)?
        for candidate in model.eligible(task) {
            let worker = Int(candidate)
            let time = model.runTime(task, worker)
            guard arrival(on: worker) <= now, time < best?.time ?? .infinity else { continue }
            if earliest(task, on: worker, from: now) == now { best = (worker, time) }
        }
        return best?.worker
    }
}

/// Moments in time, each given out once, the earliest first.
private struct MomentHeap {
    private var heap: [Double] = []

    mutating func push(_ moment: Double) {
        heap.append(moment)
        var child = heap.count - 1
        while child > 0 && heap[child] < heap[(child - 1) / 2] {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func pop() -> Double? {
        guard let top = heap.first else { return nil }
        while heap.first == top { removeTop() }
        return top
    }

    private mutating func removeTop() {
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count && heap[child + 1] < heap[child] { child += 1 }
            guard heap[child] < heap[parent] else { break }
            heap.swapAt(child, parent)
            parent = child
        }
    }
}
