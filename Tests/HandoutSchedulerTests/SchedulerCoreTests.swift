import HandoutCore
import HandoutScheduler
import HandoutTesting
import Testing

@Suite struct OrderTests {
    @Test func `a chain runs in its order on one slot`() {
        var graph = GraphBuilder()
        var last = graph.task()
        for _ in 1..<50 { last = graph.task(needs: [last]) }
        let run = ManualRun(graph)
        #expect(run.runAll() == Array(0..<50))
        #expect(run.isFinished)
        #expect(run.counts.done == 50)
        #expect(run.events.last?.kind == .runFinished(ok: true))
    }

    @Test func `higher priority comes first, then the longer path, then the order of declaration`() {
        var graph = GraphBuilder()
        var high = TaskOptions()
        high.priority = 5
        var low = TaskOptions()
        low.priority = -5
        graph.task(options: low)
        graph.task()
        let long = graph.task()
        graph.task()
        graph.task(options: high)
        graph.task(needs: [long])
        #expect(ManualRun(graph).take(6) == [4, 2, 1, 3, 0])
    }

    @Test func `work begun goes before sources`() {
        var graph = GraphBuilder()
        let first = graph.task()
        for _ in 1..<4 { graph.task() }
        graph.task(needs: [first])
        let run = ManualRun(graph)
        #expect(run.take(2) == [0, 1])
        run.finish(0)
        #expect(run.take(3, slot: 1) == [4, 2, 3])
    }

    @Test func `a higher priority goes before what the slot made ready itself`() {
        var graph = GraphBuilder()
        var high = TaskOptions()
        high.priority = 1
        let first = graph.task(options: high)
        graph.task(needs: [first])
        graph.task(options: high)
        #expect(ManualRun(graph).runAll() == [0, 2, 1])
    }

    @Test func `what an idle slot made ready is taken by another`() {
        var graph = GraphBuilder()
        let first = graph.task()
        graph.task(needs: [first])
        graph.task(needs: [first])
        let run = ManualRun(graph)
        #expect(run.take() == [0])
        run.finish(0)
        #expect(run.take(4, slot: 1) == [1, 2])
    }

    @Test func `a task referred to twice counts as two inputs and one run`() {
        var graph = GraphBuilder()
        let first = graph.task()
        graph.task(needs: [first, first], after: [first])
        let run = ManualRun(graph)
        #expect(run.runAll() == [0, 1])
        #expect(run.released == [0, 1])
    }

    @Test func `only targets and what they need are run`() {
        var graph = GraphBuilder()
        let first = graph.task()
        let second = graph.task(needs: [first])
        graph.task(needs: [first])
        graph.task()
        graph.task(after: [second])
        let run = ManualRun(graph, SchedulerConfiguration(slots: 1, targets: [second]))
        #expect(run.runAll() == [0, 1])
        #expect(run.counts.total == 2)
        #expect(run.isFinished)
    }

    @Test func `an empty graph is finished at once`() {
        let run = ManualRun(GraphBuilder())
        #expect(run.isFinished)
        #expect(run.actions == [.finish])
    }

    @Test func `a task given back keeps its attempt number`() {
        var graph = GraphBuilder()
        graph.task()
        let run = ManualRun(graph)
        #expect(run.take() == [0])
        #expect(run.giveBack(0))
        #expect(run.take(slot: 1) == [0])
        #expect(run.lease.first?.attempt == 1)
    }

    @Test func `stale and unknown reports change nothing`() {
        var graph = GraphBuilder()
        graph.task()
        let run = ManualRun(graph)
        #expect(!run.finish(0, attempt: 1))
        _ = run.take()
        #expect(!run.finish(0, attempt: 2))
        #expect(!run.finish(99, attempt: 1))
        #expect(!run.expand(0, 3))
        #expect(run.finish(0))
        #expect(!run.finish(0))
        #expect(!run.fail(0))
        #expect(!run.giveBack(0))
        #expect(run.counts.done == 1)
    }

    @Test func `events in a batch do what the calls do`() {
        var graph = GraphBuilder()
        let first = graph.task()
        graph.map(over: .task(first))
        let run = ManualRun(graph)
        _ = run.take()
        run.step([
            .finished(first, attempt: 1, slot: 0, holdsMemory: true, nanoseconds: 5, bytes: 6),
            .expanded(TaskID(1), elements: 2), .idle(slot: 0), .timeReached, .returned(first, attempt: 1),
            .failed(first, attempt: 1, slot: 0, Failure(.error)), .expansionFailed(TaskID(1)),
        ])
        #expect(run.take(5) == [2, 3])
        run.step([.cancelled])
        #expect(run.counts.running == 2)
    }
}

@Suite struct ReleaseTests {
    @Test func `a result goes when its last consumer has ended, and not for an order`() {
        var graph = GraphBuilder()
        let first = graph.task()
        let second = graph.task(needs: [first])
        graph.task(needs: [first])
        graph.task(after: [first, second])
        let run = ManualRun(graph, SchedulerConfiguration(slots: 2, outputs: [TaskID(3)]))
        _ = run.take()
        run.finish(0)
        _ = run.take(2)
        run.finish(1)
        #expect(run.released == [1])
        run.finish(2)
        #expect(run.released == [1, 0, 2])
        #expect(run.runAll() == [3])
        #expect(run.released == [1, 0, 2])
    }

    @Test func `a result that holds no memory is never released`() {
        var graph = GraphBuilder()
        let first = graph.task()
        graph.task(needs: [first])
        let run = ManualRun(graph)
        _ = run.take()
        run.finish(0, holdsMemory: false)
        _ = run.take()
        run.finish(1, holdsMemory: false)
        #expect(run.released.isEmpty && run.isFinished)
    }

    @Test func `a skipped consumer lets its inputs go`() {
        var graph = GraphBuilder()
        let kept = graph.task()
        let bad = graph.task()
        graph.task(needs: [kept, bad])
        let run = ManualRun(graph, SchedulerConfiguration(slots: 1, keepGoing: true))
        _ = run.take(2)
        run.finish(0)
        #expect(run.released.isEmpty)
        run.fail(1)
        #expect(run.released == [0])
        #expect(run.isFinished)
    }

    @Test func `neighbours are released in one action`() {
        var graph = GraphBuilder()
        let parts = (0..<20).map { _ in graph.task() }
        let all = graph.task(needs: parts)
        let run = ManualRun(graph, SchedulerConfiguration(slots: 1, outputs: [all]))
        _ = run.runAll()
        #expect(run.actions == [.release(first: TaskID(0), count: 20), .finish])
    }
}

@Suite struct CPUTests {
    private func options(cpu: UInt64, priority: Int32 = 0) -> TaskOptions {
        var options = TaskOptions()
        options.cpu = cpu
        options.priority = priority
        return options
    }

    @Test func `a lease has one request and claims it once`() {
        var graph = GraphBuilder()
        for _ in 0..<3 { graph.task(options: options(cpu: 20_000)) }
        for _ in 0..<3 { graph.task(options: options(cpu: 10_000)) }
        let run = ManualRun(graph, SchedulerConfiguration(slots: 3, cpu: 30_000))
        #expect(run.take(10) == [0, 1, 2])
        #expect(run.take(10, slot: 1) == [3, 4, 5])
        for task in 0..<6 { run.finish(task) }
        #expect(run.isFinished)
    }

    @Test func `smaller requests do not pass a larger one that waits, requests of nothing do`() {
        var graph = GraphBuilder()
        graph.task(options: options(cpu: 10_000, priority: 9))
        graph.task(options: options(cpu: 20_000, priority: 8))
        graph.task(options: options(cpu: 10_000))
        graph.task(options: options(cpu: 0))
        let run = ManualRun(graph, SchedulerConfiguration(slots: 3, cpu: 20_000))
        #expect(run.take() == [0])
        #expect(run.take(slot: 1) == [3])
        #expect(run.take(slot: 2) == [])
        run.finish(0)
        run.idle(slot: 0)
        #expect(run.take(slot: 2) == [1])
        #expect(run.take(slot: 0) == [])
        run.finish(1)
        run.idle(slot: 2)
        #expect(run.take(slot: 0) == [2])
    }

    @Test func `a request above all there is runs alone`() {
        var graph = GraphBuilder()
        graph.task(options: options(cpu: 90_000))
        graph.task(options: options(cpu: 10_000))
        let run = ManualRun(graph, SchedulerConfiguration(slots: 2))
        #expect(run.take(2) == [0])
        #expect(run.take(slot: 1) == [])
        run.finish(0)
        #expect(run.take() == [1])
    }
}
