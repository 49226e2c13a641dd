import HandoutCore
import HandoutScheduler
import HandoutTesting
import Testing

/// A worker that has more and less while the run goes on, and attempts that a tracker refuses.
@Suite struct TrackedWorkerTests {
    private static let unit: UInt64 = 1 << 20

    /// Of so many units of memory, and no cores.
    private func options(_ memory: UInt64, priority: Int32 = 0) -> TaskOptions {
        var options = TaskOptions()
        options.cpu = 0
        options.memory = memory * TrackedWorkerTests.unit
        options.priority = priority
        return options
    }

    private func run(_ graph: GraphBuilder, memory: UInt64, guards: Bool = false) -> ManualRun {
        var configuration = SchedulerConfiguration(slots: 3)
        configuration.local.capacity.totals["memory"] = memory * TrackedWorkerTests.unit
        configuration.isTracked = true
        if guards { configuration.guarded = ["memory"] }
        return ManualRun(graph, configuration)
    }

    private func change(_ run: ManualRun, to memory: UInt64) {
        run.change(["memory": memory * TrackedWorkerTests.unit])
    }

    @Test func `what waits runs when there is more, and a total below what is claimed stops nothing`() {
        var graph = GraphBuilder()
        graph.task(options: options(2))
        graph.task(options: options(3))
        let run = run(graph, memory: 2)
        #expect(run.take() == [0] && run.take(slot: 1) == [])
        change(run, to: 0)
        #expect(run.take(slot: 1) == [])
        run.finish(0)
        run.idle(slot: 0)
        #expect(run.take(slot: 1) == [])
        change(run, to: 2)
        #expect(run.take(slot: 1) == [])
        change(run, to: 3)
        #expect(run.take(slot: 1) == [1])
        run.finish(1)
        #expect(run.isFinished)
    }

    @Test func `room is not kept for what could not run even alone now`() {
        var graph = GraphBuilder()
        graph.task(options: options(2, priority: 9))
        graph.task(options: options(4, priority: 8))
        graph.task(options: options(1))
        let run = run(graph, memory: 4)
        #expect(run.take() == [0])
        // Two units are kept for the second task.
        change(run, to: 4)
        #expect(run.take(slot: 1) == [])
        // Now nobody knows when it may run.
        change(run, to: 3)
        #expect(run.take(slot: 1) == [2])
    }

    @Test func `what a tracker refuses waits with the same attempt, and is taken alone`() {
        var graph = GraphBuilder()
        for _ in 0..<3 { graph.task(options: options(1)) }
        let run = run(graph, memory: 3, guards: true)
        #expect(run.take(10) == [0])
        #expect(run.lease.map(\.attempt) == [1])
        run.refuse(0, until: 50)
        #expect(run.nextTimer == 50 && run.counts.running == 0 && run.counts.ready == 2)
        #expect(run.take(10) == [1] && run.take(10, slot: 1) == [2] && run.take(10, slot: 2) == [])
        run.advance(to: 50)
        #expect(run.take(10, slot: 2) == [0])
        #expect(run.lease.map(\.attempt) == [1])
        for task in 0..<3 { run.finish(task) }
        #expect(run.isFinished)
    }

    @Test func `what is refused while the run is being stopped never runs`() {
        var graph = GraphBuilder()
        graph.task(options: options(1))
        let run = run(graph, memory: 1, guards: true)
        #expect(run.take() == [0])
        run.cancel()
        run.refuse(0, until: 50)
        #expect(run.isFinished && run.counts.skipped == 1)
    }

    @Test func `nothing is kept for a strategy that does not listen`() {
        var graph = GraphBuilder()
        graph.task()
        for tells in [false, true] {
            var configuration = SchedulerConfiguration(slots: 1)
            configuration.allocator = .scored(perTask: false)
            configuration.tellsStrategy = tells
            let run = ManualRun(graph, configuration)
            #expect(run.heard().count == (tells ? 3 : 0))
        }
    }
}
