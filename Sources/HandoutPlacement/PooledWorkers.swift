/// An instance whose workers are so alike that they make one worker with as many slots.
///
/// Where all workers are equal, no data ever travel, and every worker holds exactly `slots` tasks whichever they are,
/// tasks run on the pool of all slots if and only if they can be dealt out to the workers: their intervals overlap no
/// more often than there are slots, and such intervals can be coloured greedily by their starts. The pool is a problem
/// of one resource without assignment, for which far better searches exist.
struct PooledWorkers {
    let instance: PlacementInstance
    private let original: PlacementInstance
    private let slots: Int

    /// Nil where the workers make no pool.
    init?(_ original: PlacementInstance, _ model: Model) {
        guard original.workers.count > 1, !original.hasPast, model.isFreeOfTransfers, model.pools == nil,
            PooledWorkers.areAlike(original, model),
            let slots = PooledWorkers.slots(original)
        else { return nil }
        let tasks = original.tasks.indices.map { task in
            PlacementInstance.Task(
                name: original.tasks[task].name, runTime: .perWorker([model.runTime(task, 0)]), amounts: [1],
                inputs: original.tasks[task].inputs)
        }
        let pool = PlacementInstance.Worker(name: "pool", amounts: [Int64(slots * original.workers.count)])
        guard
            let instance = try? PlacementInstance(
                name: original.name, resources: ["slots"], tasks: tasks, workers: [pool])
        else { return nil }
        self.instance = instance
        self.original = original
        self.slots = slots
    }

    private static func areAlike(_ instance: PlacementInstance, _ model: Model) -> Bool {
        let first = instance.workers[0]
        guard instance.workers.allSatisfy({ $0.amounts == first.amounts }) else { return false }
        return instance.tasks.indices.allSatisfy { task in
            (0..<model.workers).allSatisfy { model.runTime(task, $0) == model.runTime(task, 0) }
        }
    }

    /// How many tasks a worker holds, whichever they are; nil when that depends on which.
    private static func slots(_ instance: PlacementInstance) -> Int? {
        let totals = instance.workers[0].amounts
        var slots = Int64.max
        for resource in instance.resources.indices {
            let most = instance.tasks.reduce(0) { max($0, $1.amounts[resource]) }
            if most > 0 { slots = min(slots, totals[resource] / most) }
        }
        guard slots < 1 << 20 else { return nil }
        let binds = instance.resources.indices.contains { resource in
            instance.tasks.allSatisfy { $0.amounts[resource] > totals[resource] / (slots + 1) }
        }
        return binds ? Int(slots) : nil
    }

    /// Deals the tasks out to the workers, cheap ones first.
    func spread(_ pooled: Schedule) -> Schedule {
        let workers = original.workers.indices.sorted { original.workers[$0].price < original.workers[$1].price }
        let owners = workers.flatMap { [Int](repeating: $0, count: slots) }
        var freeFrom = [Double](repeating: 0, count: owners.count)
        var entries = pooled.entries
        for task in entries.indices.sorted(by: { entries[$0].start < entries[$1].start }) {
            let entry = entries[task]
            guard entry.finish > entry.start, let slot = freeFrom.firstIndex(where: { $0 <= entry.start }) else {
                entries[task].worker = workers[0]
                continue
            }
            freeFrom[slot] = entry.finish
            entries[task].worker = owners[slot]
        }
        return Schedule(entries: entries)
    }
}
