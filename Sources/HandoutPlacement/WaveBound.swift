extension PlacementInstance {
    /// No schedule ends sooner: on every worker tasks run in waves, and none of them can begin a wave that it cannot end.
    ///
    /// Of a set of tasks, as many run on a worker at once as its amounts hold of the least request in the set; such runs
    /// can be dealt out to as many tracks, and on a track of length t there is room for t ÷ the least run time, rounded
    /// down. The sets are those with a path of length a before and b behind them, and a least run time of c and more,
    /// for some a, b and c.
    /// O(tasks + workers × resources) a set, some thousand sets.
    func waveBound(_ model: Model, heads: [Double], tails: [Double]) -> Double {
        guard tasks.count <= 3000 else { return 0 }
        let leasts = tasks.indices.map { model.leastRunTime($0) }
        let byTime = tasks.indices.filter { leasts[$0] > 0 }.sorted { leasts[$0] > leasts[$1] }
        var bound = 0.0
        for head in PlacementInstance.sample(heads) {
            for tail in PlacementInstance.sample(tails) {
                let set = byTime.filter { heads[$0] >= head && tails[$0] >= tail }
                if !set.isEmpty { bound = max(bound, head + waves(set, model) + tail) }
            }
        }
        return bound
    }

    /// Some of the values, the least and the greatest among them.
    private static func sample(_ values: [Double]) -> [Double] {
        let most = 16
        let all = Set(values).sorted()
        guard all.count > most else { return all }
        return (0..<most).map { all[$0 * (all.count - 1) / (most - 1)] }
    }

    /// The least time in which some first tasks of the set can run, over all numbers of them that are looked at.
    private func waves(_ set: [Int], _ model: Model) -> Double {
        var room = WaveRoom(self)
        var longest = 0.0
        let step = max(1, set.count / 32)
        for (index, task) in set.enumerated() {
            room.add(task, model)
            if (index + 1) % step == 0 || index + 1 == set.count {
                longest = max(longest, room.time(for: index + 1, atLeast: longest))
            }
        }
        return longest
    }
}

/// How many of a set of tasks workers can run in a time at the most.
private struct WaveRoom {
    private let instance: PlacementInstance
    /// Of any task in the set, by resource and by worker.
    private var leastAmounts: [Int64]
    private var leastTimes: [Double]

    init(_ instance: PlacementInstance) {
        self.instance = instance
        leastAmounts = instance.resources.map { _ in .max }
        leastTimes = instance.workers.map { _ in .infinity }
    }

    mutating func add(_ task: Int, _ model: Model) {
        let amounts = instance.tasks[task].amounts
        for resource in leastAmounts.indices { leastAmounts[resource] = min(leastAmounts[resource], amounts[resource]) }
        for worker in leastTimes.indices { leastTimes[worker] = min(leastTimes[worker], model.runTime(task, worker)) }
    }

    /// The least time in which so many could run; at least `atLeast`. 0 where nothing limits how many run at once.
    func time(for count: Int, atLeast: Double) -> Double {
        var tracks: [(count: Double, time: Double)] = []
        for worker in instance.workers.indices where leastTimes[worker] < .infinity {
            let many = self.tracks(on: worker)
            if many == .max { return 0 }
            if many > 0 { tracks.append((Double(many), leastTimes[worker])) }
        }
        guard !tracks.isEmpty else { return 0 }
        var time = max(atLeast, Double(count) / tracks.reduce(0) { $0 + $1.count / $1.time } * (1 - 1e-9))
        while true {
            // A little more than whole waves counts as whole: the bound must not be above the truth by rounding.
            let whole = tracks.map { ($0.time, (time / $0.time + 1e-9).rounded(.down)) }
            let held = zip(tracks, whole).reduce(0.0) { $0 + $1.0.count * $1.1.1 }
            if held >= Double(count) { return time }
            time = whole.reduce(.infinity) { min($0, ($1.1 + 1) * $1.0) }
        }
    }

    private func tracks(on worker: Int) -> Int64 {
        var many = Int64.max
        for (resource, amount) in leastAmounts.enumerated() where amount > 0 && amount < .max {
            many = min(many, instance.workers[worker].amounts[resource] / amount)
        }
        return many
    }
}
