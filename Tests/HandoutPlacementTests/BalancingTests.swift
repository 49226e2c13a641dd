import HandoutPlacement
import HandoutScheduler
import HandoutSimulation
import Testing

@Suite struct BalancingTests {
    /// The greatest busy time over the mean, counted from the schedule.
    private func imbalance(_ schedule: Schedule, _ instance: PlacementInstance) -> Double {
        var busy = [Double](repeating: 0, count: instance.workers.count)
        for (task, entry) in schedule.entries.enumerated() {
            busy[entry.worker] += (entry.finish - entry.start) * instance.share(of: task, on: entry.worker)
        }
        let sum = busy.reduce(0, +)
        return sum > 0 ? (busy.max() ?? 0) * Double(busy.count) / sum : 1
    }

    @Test func `load-balanced is never less balanced than first-available, and mostly more`() {
        var better = 0
        for seed in 0..<300 as Range<UInt64> {
            let instance = Samples.random(seed)
            let graph = InstanceGraph(instance)
            let first = imbalance(graph.schedule(.firstAvailable, seed: 1), instance)
            let balanced = graph.schedule(.loadBalanced, seed: 1)
            #expect(imbalance(balanced, instance) <= first + 1e-6, "seed \(seed)")
            if imbalance(balanced, instance) < first * 0.999 { better += 1 }
        }
        #expect(better > 150)
    }

    @Test func `a task counts by its own time on each worker`() {
        // The longest goes to the fast worker though both are idle, the next ones to the other until both have as much.
        let tasks = [12.0, 3, 3].enumerated().map { number, time in
            PlacementInstance.Task(name: "t\(number)", runTime: .base(time), amounts: [10_000])
        }
        let workers = [
            PlacementInstance.Worker(name: "slow", amounts: [20_000]),
            PlacementInstance.Worker(name: "fast", speed: 2, amounts: [20_000]),
        ]
        let instance = Samples.make("two", ["cpu"], tasks, workers)
        let schedule = InstanceGraph(instance).schedule(.loadBalanced, seed: 1)
        #expect(schedule.entries.map(\.worker) == [1, 0, 0])
        #expect(imbalance(schedule, instance) == 1)
    }
}
