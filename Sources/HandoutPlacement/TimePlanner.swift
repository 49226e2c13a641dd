import HandoutCore

/// The `time` allocator: the shortest schedule that it finds within a budget.
///
/// All list schedulers first, so that the result is never longer than any of theirs; then a search from there, until
/// the budget is used up or the lower bound is reached.
package struct TimePlanner {
    private let instance: PlacementInstance
    private let seed: UInt64

    package init(_ instance: PlacementInstance, seed: UInt64 = 1) {
        self.instance = instance
        self.seed = seed
    }

    /// Ends early with a schedule that is as short as `target` or the lower bound.
    package func plan(_ budget: PlanningBudget, target: Double = 0) -> Schedule {
        guard !instance.tasks.isEmpty else { return Schedule(entries: []) }
        let model = Model(instance)
        if let pool = PooledWorkers(instance, model) {
            return pool.spread(search(pool.instance, Model(pool.instance), budget, target))
        }
        return search(instance, model, budget, target)
    }

    private func search(
        _ instance: PlacementInstance, _ model: Model, _ budget: PlanningBudget, _ target: Double
    ) -> Schedule {
        let bound = max(instance.lowerBound(model), target)
        let decoder = Decoder(instance, model, lowerBound: bound, budget: budget)
        var seeds: [Candidate] = []
        for scheduler in ListScheduler.allCases {
            decoder.forward.clear()
            decoder.count()
            scheduler.fill(decoder.forward)
            let candidate = Candidate(count: model.count)
            candidate.assign(decoder.forward, decoder.sort)
            decoder.offer(candidate.makespan)
            seeds.append(candidate)
        }
        if model.workers > 1 { anneal(decoder, seeds) }
        var search = GeneticSearch(decoder, size: model.count <= 150 ? 50 : 30, rounds: 2, seed: seed)
        search.run(from: seeds)
        search.deallocate()
        return decoder.schedule
    }

    private static let annealings = 3

    /// Annealings one after the other, each from the best so far, and justification of what each finds.
    private func anneal(_ decoder: Decoder, _ seeds: [Candidate]) {
        let search = AssignmentSearch(decoder, seed: seed)
        let begin = decoder.progress
        for round in 1...TimePlanner.annealings where !decoder.isOver {
            let start = Candidate(count: decoder.model.count)
            start.assign(decoder.best)
            let end = begin + (1 - begin) * Double(round) / Double(TimePlanner.annealings)
            let found = search.anneal(from: start, until: end)
            found.makespan = decoder.decode(found)
            decoder.justify(found, rounds: 2)
        }
    }
}
