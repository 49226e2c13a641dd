import HandoutPlacement
import Testing

@Suite struct PlannerTests {
    @Test func `the figure of the paper is planned to its optimum`() {
        let schedule = TimePlanner(Samples.topcuoglu).plan(PlanningBudget(evaluations: 20_000))
        #expect(schedule.makespan == 73)
        #expect(ScheduleChecker.problem(schedule, Samples.topcuoglu) == nil)
    }

    @Test func `time is never longer than a list scheduler, and never below the bound`() {
        for seed in 0..<300 as Range<UInt64> {
            let instance = Samples.random(seed)
            // Even where the budget ends before the list schedulers are through.
            for evaluations in [1, 400] {
                let schedule = TimePlanner(instance, seed: seed).plan(PlanningBudget(evaluations: evaluations))
                let problem = ScheduleChecker.problem(schedule, instance)
                #expect(problem == nil, "seed \(seed)")
                #expect(schedule.makespan >= instance.lowerBound * (1 - 1e-9), "seed \(seed)")
                for scheduler in evaluations == 1 ? [.heft, .peft, .cpop, .minMin] : ListScheduler.allCases {
                    let other = scheduler.schedule(instance).makespan
                    #expect(schedule.makespan <= other, "\(scheduler.rawValue), seed \(seed)")
                }
            }
        }
    }

    /// By 9 s the slow worker has run two, and the fast one four; a moment before one and three.
    @Test func `the lower bound knows that tasks run in whole waves`() {
        let tasks = (0..<5).map { PlacementInstance.Task(name: "t\($0)", runTime: .base(4.5), amounts: [10_000]) }
        let workers = [
            PlacementInstance.Worker(name: "slow", amounts: [10_000]),
            PlacementInstance.Worker(name: "fast", speed: 2, amounts: [10_000]),
        ]
        let instance = Samples.make("waves", ["cpu"], tasks, workers)
        // Their work would fit into 7.5 s.
        #expect(abs(instance.lowerBound - 9) < 1e-6)
        #expect(TimePlanner(instance).plan(PlanningBudget(evaluations: 100)).makespan == 9)
    }

    @Test func `the same seed gives the same schedule`() {
        for seed in 0..<20 as Range<UInt64> {
            let instance = Samples.random(seed)
            let first = TimePlanner(instance, seed: 7).plan(PlanningBudget(evaluations: 1000))
            #expect(TimePlanner(instance, seed: 7).plan(PlanningBudget(evaluations: 1000)) == first)
        }
    }

    @Test func `time used up ends planning`() {
        var asked = 0
        let budget = PlanningBudget(timeUsed: {
            asked += 1
            return Double(asked) / 50
        })
        _ = TimePlanner(Samples.topcuoglu).plan(budget)
        #expect(asked >= 50 && asked < 60)
    }

    @Test func `cost meets a deadline that time meets, and is never dearer`() {
        var saved = 0
        for seed in 0..<60 as Range<UInt64> {
            let instance = Samples.random(seed)
            let fast = TimePlanner(instance, seed: 1).plan(PlanningBudget(evaluations: 600))
            let fastCost = fast.cost(in: instance)
            for factor in [1.0, 1.3, 3.0] {
                let deadline = fast.makespan * factor
                let cheap = CostPlanner(instance, seed: 1).plan(
                    deadline: deadline, PlanningBudget(evaluations: 1200))
                let problem = ScheduleChecker.problem(cheap, instance)
                #expect(problem == nil, "seed \(seed)")
                #expect(cheap.makespan <= deadline, "seed \(seed)")
                #expect(cheap.cost(in: instance) <= fastCost * (1 + 1e-9), "seed \(seed)")
                if cheap.cost(in: instance) < fastCost * 0.99 { saved += 1 }
            }
        }
        #expect(saved > 60)
    }

    @Test func `without a deadline cost runs every task where it is cheapest`() {
        for seed in 0..<50 as Range<UInt64> {
            let instance = Samples.random(seed)
            let cheap = CostPlanner(instance).plan(deadline: nil, PlanningBudget(evaluations: 200))
            let least = instance.tasks.indices.reduce(0.0) { sum, task in
                let prices = instance.workers.indices.filter { instance.canRun(task, on: $0) }
                    .map { instance.price(of: task, on: $0) }
                return sum + (prices.min() ?? 0)
            }
            #expect(abs(cheap.cost(in: instance) - least) <= 1e-9 * max(1, least), "seed \(seed)")
            let problem = ScheduleChecker.problem(cheap, instance)
            #expect(problem == nil, "seed \(seed)")
        }
    }

    @Test func `an impossible deadline gives the fastest schedule known`() {
        let schedule = CostPlanner(Samples.topcuoglu).plan(deadline: 10, PlanningBudget(evaluations: 20_000))
        #expect(schedule.makespan == 73)
    }

    /// Alike workers become one pool; the result must still hold on each of them.
    @Test func `workers that are alike are pooled and dealt out`() {
        for slots in 1...3 {
            var tasks: [PlacementInstance.Task] = []
            for task in 0..<30 {
                let time = Double(1 + task * 7 % 11)
                tasks.append(.init(name: "t\(task)", runTime: .base(time), amounts: [10_000]))
                if task % 3 > 0 { tasks[task].inputs = [.init(producer: task - 1, size: .bytes(0))] }
            }
            let workers = (0..<3).map {
                PlacementInstance.Worker(name: "w\($0)", amounts: [Int64(slots) * 10_000], price: 1)
            }
            let instance = Samples.make("alike", ["cpu"], tasks, workers)
            let schedule = TimePlanner(instance).plan(PlanningBudget(evaluations: 5000))
            #expect(ScheduleChecker.problem(schedule, instance) == nil)
            #expect(schedule.makespan == instance.lowerBound)
        }
    }

    /// Nothing can move, and the bound, which knows no transfers, cannot be reached: the budget ends it.
    @Test func `tasks that can only run in one place are planned`() {
        var second = PlacementInstance.Task(name: "b", runTime: .perWorker([.infinity, 2]), amounts: [])
        second.inputs = [.init(producer: 0, size: .cost(5))]
        let tasks = [PlacementInstance.Task(name: "a", runTime: .perWorker([3, .infinity]), amounts: []), second]
        let workers = [PlacementInstance.Worker(name: "x", amounts: []), .init(name: "y", amounts: [], price: 1)]
        let instance = Samples.make("pinned", [], tasks, workers)
        let fast = TimePlanner(instance).plan(PlanningBudget(evaluations: 100))
        #expect(fast.entries.map(\.start) == [0, 8])
        #expect(CostPlanner(instance).plan(deadline: 10, PlanningBudget(evaluations: 100)) == fast)
        #expect(CostPlanner(instance).plan(deadline: 1, PlanningBudget(evaluations: 100)) == fast)
    }

    @Test func `what a schedule costs, uses and moves`() {
        var second = PlacementInstance.Task(name: "b", runTime: .base(6), amounts: [10_000, 30_000])
        second.inputs = [.init(producer: 0, size: .bytes(50))]
        let tasks = [PlacementInstance.Task(name: "a", runTime: .base(4), amounts: [10_000, 0]), second]
        let workers = [
            PlacementInstance.Worker(name: "x", speed: 2, amounts: [20_000, 0], price: 3),
            PlacementInstance.Worker(name: "y", amounts: [40_000, 40_000], price: 10),
        ]
        let network = PlacementInstance.Network(link: .init(bandwidth: 25, latency: 1))
        let instance = Samples.make("two", ["cpu", "memory"], tasks, workers, network)
        let schedule = Schedule(entries: [
            .init(worker: 0, start: 0, finish: 2), .init(worker: 1, start: 5, finish: 11),
        ])
        #expect(ScheduleChecker.problem(schedule, instance) == nil)
        #expect(schedule.makespan == 11)
        #expect(schedule.cost(in: instance) == 48)  // 2 s × 3 × 1/2 + 6 s × 10 × 3/4
        #expect(schedule.utilisation(in: instance) == 0.25)  // (2 × 1/2 + 6 × 3/4) of 2 × 11
        #expect(schedule.bytesMoved(in: instance) == 50)
    }
}

/// All instances of a folder, named by HANDOUT_INSTANCES, under every method.
@Suite(.enabled(if: !Samples.files.isEmpty)) struct InstanceFolderTests {
    @Test(arguments: Samples.files)
    func `every schedule of the folder is valid`(_ path: String) throws {
        let instance = try Samples.read(path)
        var best = Double.infinity
        for scheduler in ListScheduler.allCases {
            let schedule = scheduler.schedule(instance)
            #expect(ScheduleChecker.problem(schedule, instance) == nil, "\(scheduler.rawValue)")
            best = min(best, schedule.makespan)
        }
        let evaluations = max(30, 20_000 / max(1, instance.tasks.count))
        let fast = TimePlanner(instance).plan(PlanningBudget(evaluations: evaluations))
        #expect(ScheduleChecker.problem(fast, instance) == nil)
        #expect(fast.makespan <= best)
        #expect(fast.makespan >= instance.lowerBound * (1 - 1e-9))
        let deadline = fast.makespan * 1.2
        let cheap = CostPlanner(instance).plan(deadline: deadline, PlanningBudget(evaluations: 2 * evaluations))
        #expect(ScheduleChecker.problem(cheap, instance) == nil)
        #expect(cheap.makespan <= deadline)
    }
}
