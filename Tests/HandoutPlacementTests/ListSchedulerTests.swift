import HandoutPlacement
import Testing

@Suite struct ListSchedulerTests {
    @Test func `the figure of the paper gives what the papers print`() {
        #expect(ListScheduler.heft.schedule(Samples.topcuoglu).makespan == 80)
        #expect(ListScheduler.cpop.schedule(Samples.topcuoglu).makespan == 86)
        #expect(ListScheduler.peft.schedule(Samples.topcuoglu).makespan == 85)
    }

    /// HEFT's schedule of the figure, task by task.
    @Test func `HEFT places the figure as the paper does`() {
        let entries = ListScheduler.heft.schedule(Samples.topcuoglu).entries
        #expect(entries.map(\.worker) == [2, 0, 2, 1, 2, 1, 2, 0, 1, 1])
        #expect(entries.map(\.start) == [0, 27, 9, 18, 28, 26, 38, 57, 56, 73])
    }

    @Test func `every schedule of a random instance is valid`() {
        for seed in 0..<400 as Range<UInt64> {
            let instance = Samples.random(seed)
            for scheduler in ListScheduler.allCases {
                let problem = ScheduleChecker.problem(scheduler.schedule(instance), instance)
                #expect(problem == nil, "\(scheduler.rawValue), seed \(seed)")
            }
        }
    }

    @Test func `no tasks make an empty schedule`() {
        let instance = Samples.make("none", [], [], [.init(name: "w", amounts: [])])
        for scheduler in ListScheduler.allCases { #expect(scheduler.schedule(instance) == Schedule(entries: [])) }
        #expect(instance.lowerBound == 0)
    }

    @Test func `the checker finds what is wrong`() {
        let instance = Samples.topcuoglu
        let valid = ListScheduler.heft.schedule(instance)
        #expect(ScheduleChecker.problem(valid, instance) == nil)
        var early = valid
        early.entries[9] = .init(worker: 1, start: 60, finish: 67)
        #expect(ScheduleChecker.problem(early, instance) == "n10: starts before its inputs are there")
        var short = valid
        short.entries[9].finish -= 1
        #expect(ScheduleChecker.problem(short, instance) == "n10: runs for a wrong time")
        var crowded = valid
        crowded.entries[5] = .init(worker: 2, start: 26, finish: 35)
        #expect(ScheduleChecker.problem(crowded, instance) == "p3 holds too much cpu at 26.0")
    }

    @Test func `instances that are none are refused`() {
        let worker = PlacementInstance.Worker(name: "w", amounts: [10_000])
        func task(_ name: String, _ amount: Int64, _ producer: Int?) -> PlacementInstance.Task {
            .init(
                name: name, runTime: .base(1), amounts: [amount],
                inputs: producer.map { [.init(producer: $0, size: .bytes(0))] } ?? [])
        }
        #expect(throws: PlacementInstance.Refusal.noWorkers) {
            try PlacementInstance(name: "", resources: ["cpu"], tasks: [], workers: [])
        }
        #expect(throws: PlacementInstance.Refusal.nowhere(task: 0)) {
            try PlacementInstance(name: "", resources: ["cpu"], tasks: [task("a", 10_001, nil)], workers: [worker])
        }
        #expect(throws: PlacementInstance.Refusal.cycle([1, 0])) {
            try PlacementInstance(
                name: "", resources: ["cpu"], tasks: [task("a", 1, 1), task("b", 1, 0)], workers: [worker])
        }
    }
}
