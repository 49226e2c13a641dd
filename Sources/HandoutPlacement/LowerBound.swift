extension PlacementInstance {
    /// No schedule ends sooner, but for rounding in the last places.
    package var lowerBound: Double { lowerBound(Model(self)) }

    /// The greatest of: the longest path with least run times; for every resource or pool and every set of tasks that
    /// have a path of length a before and b behind them, a + their work ÷ what all workers offer + b; and `waveBound`.
    /// Rounded up where all times are whole numbers. O(resources × tasks²) up to 3000 tasks, else with sets for a or b =
    /// 0 only.
    func lowerBound(_ model: Model) -> Double {
        let heads = model.heads()
        let tails = model.tails()
        let leasts = tasks.indices.map { model.leastRunTime($0) }
        var bound = tasks.indices.reduce(0.0) { max($0, heads[$1] + leasts[$1] + tails[$1]) }
        for resource in resources.indices {
            let work = self.work(resource, model)
            bound = max(bound, PlacementInstance.workBound(work, heads: heads, tails: tails))
        }
        for pool in pools.indices {
            let work = tasks.indices.map { task in
                let amount = pool < tasks[task].pooled.count ? tasks[task].pooled[pool] : 0
                return amount > 0 ? Double(amount) * leasts[task] / Double(pools[pool].amount) : 0
            }
            bound = max(bound, PlacementInstance.workBound(work, heads: heads, tails: tails))
        }
        bound = max(bound, waveBound(model, heads: heads, tails: tails))
        guard model.isIntegral else { return bound }
        return (bound - 1e-6).rounded(.up)
    }

    /// For each task a time: what its amount × run time is of what all workers together offer in one unit of time.
    ///
    /// Work counts in units of speed: on worker w, amount × time × speed(w), which is at least the least of these
    /// products; all workers offer amount(w) × speed(w) in all.
    private func work(_ resource: Int, _ model: Model) -> [Double] {
        let offered = workers.reduce(0.0) { $0 + Double($1.amounts[resource]) * $1.speed }
        return tasks.indices.map { task in
            let amount = Double(tasks[task].amounts[resource])
            guard amount > 0 else { return 0 }
            let least = model.eligible(task).reduce(Double.infinity) {
                min($0, model.runTime(task, Int($1)) * workers[Int($1)].speed)
            }
            return amount * least / offered
        }
    }

    private static func workBound(_ work: [Double], heads: [Double], tails: [Double]) -> Double {
        let byHead = work.indices.filter { work[$0] > 0 }.sorted { heads[$0] > heads[$1] }
        var limits = Set(byHead.map { tails[$0] }).sorted()
        if work.count > 3000 { limits = [0] }
        var bound = 0.0
        for tail in limits {
            var sum = 0.0
            for task in byHead where tails[task] >= tail {
                sum += work[task]
                bound = max(bound, heads[task] + sum + tail)
            }
        }
        if limits == [0] {
            var sum = 0.0
            for task in byHead.sorted(by: { tails[$0] > tails[$1] }) {
                sum += work[task]
                bound = max(bound, tails[task] + sum)
            }
        }
        return bound
    }
}
