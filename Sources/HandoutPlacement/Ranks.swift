/// Numbers that list schedulers order tasks by. Run and transfer times are means over the workers that a task can run
/// on and over all pairs of workers, as in the papers.
extension Model {
    /// Mean run time over the workers that the task can run on.
    func meanRunTime(_ task: Int) -> Double {
        let workers = eligible(task)
        return workers.reduce(0) { $0 + runTime(task, Int($1)) } / Double(workers.count)
    }

    func leastRunTime(_ task: Int) -> Double {
        eligible(task).reduce(.infinity) { min($0, runTime(task, Int($1))) }
    }

    /// The longest way from the start of each task to the end of the graph (HEFT's upward rank, with mean times).
    func upwardRanks() -> [Double] {
        var ranks = [Double](repeating: 0, count: count)
        for index in (0..<count).reversed() {
            let task = Int(order[index])
            var behind = 0.0
            for edge in outputs.range(task) {
                behind = max(behind, outputs.times[edge] + ranks[Int(outputs.tasks[edge])])
            }
            ranks[task] = meanRunTime(task) + behind
        }
        return ranks
    }

    /// The longest way from the start of the graph to the start of each task (CPOP's downward rank, with mean times).
    func downwardRanks() -> [Double] {
        var ranks = [Double](repeating: 0, count: count)
        for index in 0..<count {
            let task = Int(order[index])
            for edge in inputs.range(task) {
                let producer = Int(inputs.tasks[edge])
                ranks[task] = max(ranks[task], ranks[producer] + meanRunTime(producer) + inputs.times[edge])
            }
        }
        return ranks
    }

    /// The time that must pass before each task starts: least run times, no transfers. A lower bound.
    func heads() -> [Double] {
        var heads = [Double](repeating: 0, count: count)
        for index in 0..<count {
            let task = Int(order[index])
            if arrivals != nil {
                heads[task] = eligible(task).reduce(.infinity) { min($0, arrival(task, on: Int($1))) }
            }
            for edge in inputs.range(task) {
                let producer = Int(inputs.tasks[edge])
                heads[task] = max(heads[task], heads[producer] + leastRunTime(producer))
            }
        }
        return heads
    }

    /// The time that must pass after each task ends: least run times, no transfers. A lower bound.
    func tails() -> [Double] {
        var tails = [Double](repeating: 0, count: count)
        for index in (0..<count).reversed() {
            let task = Int(order[index])
            for edge in outputs.range(task) {
                let consumer = Int(outputs.tasks[edge])
                tails[task] = max(tails[task], tails[consumer] + leastRunTime(consumer))
            }
        }
        return tails
    }

    /// PEFT's optimistic cost table, [task × workers + worker]: the longest way from the end of the task, run on the
    /// worker, to the end of the graph, every later task on the worker that is best for it. O(edges × workers).
    func optimisticCosts() -> [Double] {
        var costs = [Double](repeating: 0, count: count * workers)
        for index in (0..<count).reversed() {
            let task = Int(order[index])
            for edge in outputs.range(task) {
                let consumer = Int(outputs.tasks[edge])
                let transfer = outputs.times[edge]
                var least = Double.infinity
                for worker in eligible(consumer) {
                    least = min(least, costs[consumer * workers + Int(worker)] + runTime(consumer, Int(worker)))
                }
                for worker in 0..<workers {
                    let here = costs[consumer * workers + worker] + runTime(consumer, worker)
                    let cost = min(least + transfer, here)
                    costs[task * workers + worker] = max(costs[task * workers + worker], cost)
                }
            }
        }
        return costs
    }

    /// Tasks by falling priority; of equal ones the first in topological order.
    func sorted(byFalling priorities: [Double]) -> [Int32] {
        var positions = [Int32](repeating: 0, count: count)
        for index in 0..<count { positions[Int(order[index])] = Int32(index) }
        return (0..<Int32(count)).sorted { left, right in
            let (first, second) = (priorities[Int(left)], priorities[Int(right)])
            return first == second ? positions[Int(left)] < positions[Int(right)] : first > second
        }
    }
}

/// Tasks whose inputs are all placed, in a heap: the greatest key first, then the lowest number.
struct ReadyHeap {
    private var heap: [(key: Double, task: Int32)] = []
    private var waiting: [Int32]

    /// Holds the tasks without inputs, keyed by `key`.
    init(_ model: Model, key: (Int) -> Double) {
        waiting = (0..<model.count).map { Int32(model.inputs.range($0).count) }
        for index in 0..<model.count where waiting[Int(model.order[index])] == 0 {
            push(Int(model.order[index]), key: key(Int(model.order[index])))
        }
    }

    var isEmpty: Bool { heap.isEmpty }

    /// The next key; below all others when there is none.
    var topKey: Double { heap.first?.key ?? -.infinity }

    mutating func push(_ task: Int, key: Double) {
        heap.append((key, Int32(task)))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard ReadyHeap.isBefore(heap[child], heap[parent]) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func pop() -> Int? {
        guard let top = heap.first else { return nil }
        let last = heap.removeLast()
        guard !heap.isEmpty else { return Int(top.task) }
        heap[0] = last
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count && ReadyHeap.isBefore(heap[child + 1], heap[child]) { child += 1 }
            guard ReadyHeap.isBefore(heap[child], heap[parent]) else { break }
            heap.swapAt(child, parent)
            parent = child
        }
        return Int(top.task)
    }

    /// Calls `ready` with the consumers of `task` that now have all their inputs.
    mutating func finish(_ task: Int, _ model: Model, ready: (inout ReadyHeap, Int) -> Void) {
        for edge in model.outputs.range(task) {
            let consumer = Int(model.outputs.tasks[edge])
            waiting[consumer] -= 1
            if waiting[consumer] == 0 { ready(&self, consumer) }
        }
    }

    private static func isBefore(_ left: (key: Double, task: Int32), _ right: (key: Double, task: Int32)) -> Bool {
        left.key == right.key ? left.task < right.task : left.key > right.key
    }
}
