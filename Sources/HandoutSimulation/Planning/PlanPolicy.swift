package import HandoutPlacement

/// How the whole of a graph is planned, and what is left of it later.
package struct PlanPolicy {
    /// From nothing, before the run begins.
    package var plan: (PlacementInstance) -> Schedule
    /// In the middle of a run; nil: the first plan holds to the end.
    package var again: Again?

    package init(plan: @escaping (PlacementInstance) -> Schedule) { self.plan = plan }

    package struct Again {
        /// A plan of what is left, `moment` seconds after the start of the run; `goingOn`: the plan that is followed.
        var plan: (_ rest: PlacementInstance, _ goingOn: Schedule, _ moment: Double) -> Schedule
        /// The first comes to pass clearly better than the second.
        var isBetter: (_ rest: PlacementInstance, Schedule, _ than: Schedule, _ moment: Double) -> Bool
    }

    /// A plan that is better by less is not worth a change: what is expected is not known so well.
    static let gain = 0.01

    /// What planning again may do: schedules times tasks; and what one such is taken to cost, in nanoseconds of the run's
    /// clock.
    static let work = 300_000
    static let nanosecondsOfWork = 50.0

    /// Schedules that planning so many tasks again may try.
    static func evaluations(_ tasks: Int, atMost most: Int = .max) -> Int {
        min(most, max(40, work / max(1, tasks)))
    }

    /// The shortest. `evaluations`: the most that planning again may use.
    package static func time(
        seed: UInt64, evaluations most: Int = .max, budget: @escaping () -> PlanningBudget
    ) -> PlanPolicy {
        var policy = PlanPolicy { TimePlanner($0, seed: seed).plan(budget()) }
        policy.again = Again { rest, goingOn, _ in
            let budget = PlanningBudget(evaluations: evaluations(rest.tasks.count, atMost: most))
            return TimePlanner(rest, seed: seed).plan(budget, start: goingOn)
        } isBetter: { _, found, goingOn, _ in
            found.makespan < goingOn.makespan * (1 - gain)
        }
        return policy
    }

    /// The cheapest that ends `deadline` seconds after the start of the run; nil: whenever it ends. Where none is found that
    /// does, the shortest.
    package static func cost(
        deadline: Double?, seed: UInt64, evaluations most: Int = .max, budget: @escaping () -> PlanningBudget
    ) -> PlanPolicy {
        var policy = PlanPolicy { CostPlanner($0, seed: seed).plan(deadline: deadline, budget()) }
        policy.again = Again { rest, _, moment in
            let budget = PlanningBudget(evaluations: evaluations(rest.tasks.count, atMost: most))
            // Much of what is left will take longer than is thought now: a part of the time is not planned for.
            let limit = deadline.map { max(0, $0 - moment) * (1 - reserve) }
            return CostPlanner(rest, seed: seed).plan(deadline: limit, budget)
        } isBetter: { rest, found, goingOn, moment in
            let limit = deadline.map { max(0, $0 - moment) * (1 - reserve / 2) } ?? .infinity
            let isShorter = found.makespan < goingOn.makespan * (1 - gain)
            if goingOn.makespan > limit { return found.makespan <= limit || isShorter }
            return found.makespan <= limit && found.cost(in: rest) < goingOn.cost(in: rest) * (1 - gain)
        }
        return policy
    }

    /// The part of the time up to a deadline that a new plan leaves free.
    static let reserve = 0.15
}
