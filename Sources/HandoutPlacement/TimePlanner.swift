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

    /// Ends early with a schedule that is as short as `target` or the lower bound. `start`: what it begins with too, so that
    /// the result is never longer; of an instance in the middle of a run only.
    package func plan(_ budget: PlanningBudget, target: Double = 0, start: Schedule? = nil) -> Schedule {
        guard !instance.tasks.isEmpty else { return Schedule(entries: []) }
        let model = Model(instance)
        if let pool = PooledWorkers(instance, model) {
            return pool.spread(search(pool.instance, Model(pool.instance), budget, target))
        }
        return search(instance, model, budget, target, start)
    }

    private func search(
        _ instance: PlacementInstance, _ model: Model, _ budget: PlanningBudget, _ target: Double,
        _ start: Schedule? = nil
    ) -> Schedule {
        let bound = max(instance.lowerBound(model), target)
        let decoder = Decoder(instance, model, lowerBound: bound, budget: budget)
        var seeds = TimePlanner.seeds(decoder)
        if let start {
            let candidate = Candidate(count: model.count)
            candidate.assign(start, model, decoder.sort)
            candidate.makespan = decoder.decode(candidate)
            seeds.insert(candidate, at: 0)
        }
        if model.workers > 1 {
            var climb = PrioritySearch(decoder, seed: seed)
            climb.climb(until: decoder.progress + 0.05)
            anneal(decoder)
        }
        var search = GeneticSearch(decoder, size: model.count <= 150 ? 50 : 30, rounds: 2, seed: seed)
        search.run(from: seeds)
        search.deallocate()
        return decoder.schedule
    }

    /// These run whatever the budget: the result is never longer than any of theirs.
    private static let always: [ListScheduler] = [.heft, .peft, .cpop, .minMin]

    /// What the list schedulers give, and then the generation schemes by all rules.
    private static func seeds(_ decoder: Decoder) -> [Candidate] {
        var seeds: [Candidate] = []
        func add(_ fill: (Timetable) -> Void) {
            decoder.forward.clear()
            decoder.count()
            fill(decoder.forward)
            let candidate = Candidate(count: decoder.model.count)
            candidate.assign(decoder.forward, decoder.sort)
            decoder.offer(candidate.makespan)
            seeds.append(candidate)
        }
        for scheduler in always { add { scheduler.fill($0) } }
        // These take a time that grows with the square of what is ready at once.
        let isSmall = decoder.model.count * decoder.model.workers <= 20_000
        for scheduler in [ListScheduler.lookahead, .maxMin] where isSmall && !decoder.isOver {
            add { scheduler.fill($0) }
        }
        for rule in PriorityRule.allCases where !decoder.isOver {
            let priorities = rule.priorities(decoder.model)
            add { $0.fillSerially(by: priorities) }
            if isSmall && !decoder.isOver { add { $0.fillInParallel(by: priorities) } }
        }
        return seeds
    }

    private static let annealings = 3

    /// A climb and annealings one after the other, each from the best so far, and justification of what each finds.
    private func anneal(_ decoder: Decoder) {
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
