/// The `cost` allocator: the cheapest schedule that still meets a deadline.
///
/// A task costs price × share × time by the price at its start. Where prices stay the same the cheapest schedule of all
/// runs each task where it is cheapest.
/// Where that one is late, the search begins with the plan of `time` and makes it cheaper without passing the deadline; so
/// the result is never dearer than where it began, and late only when no schedule in time was found.
package struct CostPlanner {
    private let instance: PlacementInstance
    private let seed: UInt64
    private let prices: [Double]

    package init(_ instance: PlacementInstance, seed: UInt64 = 1) {
        self.instance = instance
        self.seed = seed
        prices = instance.tasks.indices.flatMap { task in
            instance.workers.indices.map { worker in
                instance.canRun(task, on: worker) ? instance.price(of: task, on: worker) : .infinity
            }
        }
    }

    /// Without a deadline: the cheapest schedule of all, and a short one of these.
    package func plan(deadline: Double?, _ budget: PlanningBudget) -> Schedule {
        let deadline = deadline ?? .infinity
        if instance.hasLaterPrices { return plan(bySteps: deadline, budget) }
        let cheapest = TimePlanner(cheapestOnly, seed: seed)
        guard deadline < .infinity else { return cheapest.plan(budget) }
        let first = cheapest.plan(budget.part(upTo: 0.15), target: deadline)
        if first.makespan <= deadline { return first }
        let fastest = fastest(deadline, budget)
        guard fastest.makespan <= deadline else { return fastest }
        let cheaper = search(from: fastest, deadline, budget)
        guard cheaper.makespan <= deadline else { return fastest }
        return cheaper.cost(in: instance) <= fastest.cost(in: instance) ? cheaper : fastest
    }

    /// Where prices change: from the plan of `time`, and from others that wait for low prices.
    private func plan(bySteps deadline: Double, _ budget: PlanningBudget) -> Schedule {
        let fastest = fastest(deadline, budget)
        guard fastest.makespan <= deadline else { return fastest }
        let model = Model(instance)
        let decoder = Decoder(instance, model, lowerBound: 0, budget: budget)
        let found = PriceStepSearch(decoder, instance, deadline: deadline, seed: seed).anneal(from: fastest)
        guard found.makespan <= deadline else { return fastest }
        return found.cost(in: instance) <= fastest.cost(in: instance) ? found : fastest
    }

    /// The plan of `time`; longer looked for while it is late.
    private func fastest(_ deadline: Double, _ budget: PlanningBudget) -> Schedule {
        let first = TimePlanner(instance, seed: seed).plan(budget.part(upTo: 0.5))
        guard first.makespan > deadline else { return first }
        let second = TimePlanner(instance, seed: seed &+ 1).plan(budget.part(upTo: 0.9), target: deadline)
        return second.makespan < first.makespan ? second : first
    }

    private func search(from start: Schedule, _ deadline: Double, _ budget: PlanningBudget) -> Schedule {
        let model = Model(instance)
        let decoder = Decoder(instance, model, lowerBound: 0, budget: budget)
        for (task, entry) in start.entries.enumerated() {
            decoder.forward.place(task, on: entry.worker, at: entry.start)
        }
        let candidate = Candidate(count: model.count)
        candidate.assign(decoder.forward, decoder.sort)
        let least = instance.tasks.indices.reduce(0.0) { sum, task in sum + leastPrice(task) }
        let search = CostSearch(decoder, prices: prices, deadline: deadline, seed: seed)
        return search.anneal(from: candidate, least: least)
    }

    private func leastPrice(_ task: Int) -> Double {
        let workers = instance.workers.count
        return prices[task * workers..<(task + 1) * workers].min() ?? 0
    }

    /// The same tasks, each able to run only where it is cheapest.
    private var cheapestOnly: PlacementInstance {
        let tasks = instance.tasks.indices.map { task in
            var entry = instance.tasks[task]
            let limit = leastPrice(task) * (1 + 1e-12)
            entry.runTime = .perWorker(
                instance.workers.indices.map { worker in
                    prices[task * instance.workers.count + worker] <= limit
                        ? instance.runTime(of: task, on: worker) : .infinity
                })
            return entry
        }
        let cheapest = try? PlacementInstance(
            name: instance.name, resources: instance.resources, tasks: tasks, workers: instance.workers,
            network: instance.network, pools: instance.pools, occupations: instance.occupations)
        return cheapest ?? instance
    }
}
