import HandoutCore
import HandoutPlacement
import Testing

@Suite struct PoolTests {
    @Test func `no method holds more of a pool than there is`() {
        var waits = 0
        for seed in 0..<80 as Range<UInt64> {
            let instance = Samples.pooled(seed)
            for scheduler in ListScheduler.allCases {
                let problem = ScheduleChecker.problem(scheduler.schedule(instance), instance)
                #expect(problem == nil, "\(scheduler.rawValue), seed \(seed)")
            }
            let fast = TimePlanner(instance, seed: seed).plan(PlanningBudget(evaluations: 400))
            let problem = ScheduleChecker.problem(fast, instance)
            #expect(problem == nil, "seed \(seed)")
            #expect(fast.makespan >= instance.lowerBound * (1 - 1e-9), "seed \(seed)")
            let heft = ListScheduler.heft.schedule(instance).makespan
            #expect(fast.makespan <= heft, "seed \(seed)")
            if ListScheduler.heft.schedule(Samples.random(seed)).makespan < heft * (1 - 1e-9) { waits += 1 }
        }
        // The pools are such that they often matter.
        #expect(waits > 20)
    }

    @Test func `tasks wait for a pool wherever they run`() {
        let tasks = (0..<4).map {
            PlacementInstance.Task(name: "t\($0)", runTime: .base(5), amounts: [10_000], pooled: [10_000])
        }
        let workers = (0..<4).map { PlacementInstance.Worker(name: "w\($0)", amounts: [10_000]) }
        let instance = Samples.make(
            "licences", ["cpu"], tasks, workers, pools: [.init(name: "licence", amount: 20_000)])
        let schedule = TimePlanner(instance).plan(PlanningBudget(evaluations: 100))
        #expect(schedule.makespan == 10)
        #expect(instance.lowerBound == 10)
        #expect(ScheduleChecker.problem(schedule, instance) == nil)
    }

    @Test func `a task that asks for more than a pool has can run nowhere`() {
        let task = PlacementInstance.Task(name: "t", runTime: .base(1), amounts: [], pooled: [20_000])
        #expect(throws: PlacementInstance.Refusal.nowhere(task: 0)) {
            try PlacementInstance(
                name: "", resources: [], tasks: [task], workers: [.init(name: "w", amounts: [])],
                pools: [.init(name: "licence", amount: 10_000)])
        }
    }
}

@Suite struct PriceStepTests {
    private func instance(_ prices: [PlacementInstance.PriceStep]) -> PlacementInstance {
        let tasks = (0..<3).map { PlacementInstance.Task(name: "t\($0)", runTime: .base(2), amounts: [10_000]) }
        return Samples.make(
            "nights", ["cpu"], tasks, [.init(name: "w", amounts: [10_000], price: 5, laterPrices: prices)])
    }

    @Test func `what a schedule costs goes by the price at each start`() {
        let instance = instance([.init(from: 2, price: 1), .init(from: 4, price: 7)])
        let schedule = Schedule(entries: [
            .init(worker: 0, start: 0, finish: 2), .init(worker: 0, start: 2, finish: 4),
            .init(worker: 0, start: 10, finish: 12),
        ])
        #expect(schedule.cost(in: instance) == 26)  // 2 s at 5, 2 s at 1 and 2 s at 7
    }

    @Test func `cost waits for a low price as far as the deadline lets it`() {
        let instance = instance([.init(from: 10, price: 1)])
        func plan(_ deadline: Double?) -> Schedule {
            CostPlanner(instance).plan(deadline: deadline, PlanningBudget(evaluations: 3000))
        }
        #expect(plan(nil).cost(in: instance) == 6)
        #expect(plan(16).cost(in: instance) == 6)
        // Only two of them can still start at 10 or later.
        #expect(plan(14).cost(in: instance) == 14)
        #expect(plan(6).makespan == 6)
        #expect(plan(6).cost(in: instance) == 30)
    }

    @Test func `a price that rises is not waited for`() {
        let instance = instance([.init(from: 3, price: 50)])
        let schedule = CostPlanner(instance).plan(deadline: 100, PlanningBudget(evaluations: 3000))
        #expect(schedule.cost(in: instance) == 120)  // two start before 3
        let falling = self.instance([.init(from: 3, price: 50), .init(from: 20, price: 5)])
        let other = CostPlanner(falling).plan(deadline: 100, PlanningBudget(evaluations: 3000))
        #expect(other.cost(in: falling) == 30)
    }

    @Test func `cost is never late, never dearer than time, and often cheaper`() {
        var saved = 0
        for seed in 0..<80 as Range<UInt64> {
            let instance = Samples.pooled(seed)
            let fast = TimePlanner(instance, seed: 1).plan(PlanningBudget(evaluations: 600))
            for factor in [1.0, 1.3, 3.0] {
                let deadline = fast.makespan * factor
                let cheap = CostPlanner(instance, seed: 1).plan(
                    deadline: deadline, PlanningBudget(evaluations: 1200))
                let problem = ScheduleChecker.problem(cheap, instance)
                #expect(problem == nil, "seed \(seed)")
                #expect(cheap.makespan <= deadline, "seed \(seed)")
                #expect(cheap.cost(in: instance) <= fast.cost(in: instance) * (1 + 1e-9), "seed \(seed)")
                if cheap.cost(in: instance) < fast.cost(in: instance) * 0.99 { saved += 1 }
            }
        }
        #expect(saved > 100)
    }
}
