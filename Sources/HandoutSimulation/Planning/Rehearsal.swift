import HandoutPlacement

/// How a run that follows a plan comes to pass, where all takes as long as expected: the rules of the scheduler in short.
///
/// Planners bring data to a worker before a task begins there. A run brings them when the task has been placed, which holds
/// its amounts meanwhile; it places what is ready and fits in the order of the plan, and keeps room for the first that does
/// not fit. So of two plans the one with the shorter schedule may take longer, and is compared as it would run.
struct Rehearsal {
    private let instance: PlacementInstance
    private let ranks: [Int]
    private let workers: [Int?]
    private let notBefore: [Double]
    private var free: [[Int64]]
    private var pooled: [Int64]
    /// By worker: when it leaves.
    private var closes: [Double]
    /// By task: inputs that have not ended.
    private var waiting: [Int]
    private var consumers: [[Int]]
    /// By rank.
    private var ready: [Int] = []
    private var entries: [Schedule.Entry?]
    /// Moments at which something ends or may begin, earliest first, and what.
    private var moments = MomentQueue()
    private var now = 0.0

    /// `ranks`: the smaller the sooner, one a task, all different; a worker of nil: where it ends first.
    init(_ instance: PlacementInstance, ranks: [Int], workers: [Int?], notBefore: [Double]) {
        self.instance = instance
        self.ranks = ranks
        self.workers = workers
        self.notBefore = notBefore
        free = instance.workers.map(\.amounts)
        pooled = instance.pools.map(\.amount)
        closes = instance.workers.map { _ in .infinity }
        waiting = instance.tasks.map(\.inputs.count)
        entries = instance.tasks.map { _ in nil }
        consumers = instance.tasks.map { _ in [] }
        for (task, entry) in instance.tasks.enumerated() {
            for input in entry.inputs { consumers[input.producer].append(task) }
        }
        for (index, held) in instance.occupations.enumerated() where held.from == 0 {
            hold(held.amounts, held.pooled, on: held.worker, sign: -1)
            moments.insert(held.until, .released(index))
        }
        for held in instance.occupations where held.from > 0 {
            closes[held.worker] = min(closes[held.worker], held.from)
        }
        for task in instance.tasks.indices where waiting[task] == 0 { becameFree(task) }
    }

    /// Nil: something can never be placed.
    mutating func schedule() -> Schedule? {
        place()
        while let (time, event) = moments.next() {
            now = max(now, time)
            handle(event)
            while moments.first == time, let (_, event) = moments.next() { handle(event) }
            place()
        }
        let all = entries.compactMap(\.self)
        return all.count == entries.count ? Schedule(entries: all) : nil
    }

    private mutating func handle(_ event: MomentQueue.Event) {
        switch event {
        case .ended(let task):
            guard let entry = entries[task] else { return }
            hold(instance.tasks[task].amounts, instance.tasks[task].pooled, on: entry.worker, sign: 1)
            for consumer in consumers[task] {
                waiting[consumer] -= 1
                if waiting[consumer] == 0 { becameFree(consumer) }
            }
        case .released(let index):
            let held = instance.occupations[index]
            hold(held.amounts, held.pooled, on: held.worker, sign: 1)
        case .ready(let task): insert(task)
        }
    }

    private mutating func hold(_ amounts: [Int64], _ pools: [Int64], on worker: Int, sign: Int64) {
        for (place, amount) in amounts.enumerated() { free[worker][place] += sign * amount }
        for (place, amount) in pools.enumerated() { pooled[place] += sign * amount }
    }

    /// What it waits for in the instance has ended; maybe not what runs beside it.
    private mutating func becameFree(_ task: Int) {
        let moment = max(now, moment(task))
        if moment > now { moments.insert(moment, .ready(task)) } else { insert(task) }
    }

    /// When what is no task has ended: data on their own worker are there at once.
    private func moment(_ task: Int) -> Double {
        max(instance.tasks[task].arrivals.min() ?? 0, notBefore.isEmpty ? 0 : notBefore[task])
    }

    private mutating func insert(_ task: Int) {
        var (low, high) = (0, ready.count)
        while low < high {
            let middle = (low + high) / 2
            if ranks[ready[middle]] < ranks[task] { low = middle + 1 } else { high = middle }
        }
        ready.insert(task, at: low)
    }

    // MARK: - Placing

    /// Room that is kept for the first that does not fit.
    private struct Kept {
        var worker: Int
        var amounts: [Int64]
        var pooled: [Int64]
    }

    private mutating func place() {
        var kept: Kept?
        var index = 0
        while index < ready.count {
            let task = ready[index]
            guard let worker = worker(task, beside: kept) else {
                if kept == nil, let wanted = workers[task] { kept = room(task, on: wanted) }
                index += 1
                continue
            }
            ready.remove(at: index)
            start(task, on: worker)
        }
    }

    private func worker(_ task: Int, beside kept: Kept?) -> Int? {
        if let worker = workers[task], instance.canRun(task, on: worker) {
            return fits(task, on: worker, beside: kept) ? worker : nil
        }
        return instance.workers.indices.filter {
            instance.canRun(task, on: $0) && fits(task, on: $0, beside: kept)
        }.min { instance.runTime(of: task, on: $0) < instance.runTime(of: task, on: $1) }
    }

    private func fits(_ task: Int, on worker: Int, beside kept: Kept?) -> Bool {
        let entry = instance.tasks[task]
        if closes[worker] < .infinity, now + instance.runTime(of: task, on: worker) > closes[worker] { return false }
        for (place, amount) in entry.amounts.enumerated() where amount > 0 {
            let held = kept.map { $0.worker == worker ? $0.amounts[place] : 0 } ?? 0
            if free[worker][place] - held < amount { return false }
        }
        for (place, amount) in entry.pooled.enumerated() where amount > 0 {
            if pooled[place] - (kept?.pooled[place] ?? 0) < amount { return false }
        }
        return true
    }

    private func room(_ task: Int, on worker: Int) -> Kept {
        let entry = instance.tasks[task]
        return Kept(
            worker: worker,
            amounts: entry.amounts.enumerated().map { free[worker][$0.offset] < $0.element ? $0.element : 0 },
            pooled: instance.pools.indices.map { place in
                let amount = place < entry.pooled.count ? entry.pooled[place] : 0
                return pooled[place] < amount ? amount : 0
            })
    }

    private mutating func start(_ task: Int, on worker: Int) {
        let entry = instance.tasks[task]
        hold(entry.amounts, entry.pooled, on: worker, sign: -1)
        var under = 0.0
        if worker < entry.arrivals.count { under = entry.arrivals[worker] - (entry.arrivals.min() ?? 0) }
        for input in entry.inputs {
            guard let from = entries[input.producer]?.worker else { continue }
            under = max(under, instance.transferTime(input, from: from, to: worker))
        }
        let begins = now + under
        let ends = begins + instance.runTime(of: task, on: worker)
        entries[task] = Schedule.Entry(worker: worker, start: begins, finish: ends)
        moments.insert(ends, .ended(task))
    }
}

/// Moments of a rehearsal, earliest first; of equal ones the one that was put in first.
private struct MomentQueue {
    enum Event {
        case ended(Int)
        case released(Int)
        case ready(Int)
    }

    private var heap: [(time: Double, number: Int, event: Event)] = []
    private var count = 0

    var first: Double? { heap.first?.time }

    private func isBefore(_ left: Int, _ right: Int) -> Bool {
        (heap[left].time, heap[left].number) < (heap[right].time, heap[right].number)
    }

    mutating func insert(_ time: Double, _ event: Event) {
        heap.append((time, count, event))
        count += 1
        var child = heap.count - 1
        while child > 0 && isBefore(child, (child - 1) / 2) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func next() -> (Double, Event)? {
        guard let top = heap.first else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count && isBefore(child + 1, child) { child += 1 }
            guard isBefore(child, parent) else { break }
            heap.swapAt(child, parent)
            parent = child
        }
        return (top.time, top.event)
    }
}
