import HandoutCore
import HandoutScheduler
import HandoutTesting
import Testing

@Suite struct ExpansionTests {
    private let keepGoing = SchedulerConfiguration(slots: 2, keepGoing: true)

    @Test func `a map over a list known when planned expands at once, one over a task when it is done`() {
        var graph = GraphBuilder()
        graph.map(over: .literal(3))
        let list = graph.task()
        graph.map(over: .task(list))
        let run = ManualRun(graph)
        #expect(run.takeActions() == [.expand(TaskID(0))])
        #expect(run.expand(0, 3))
        #expect(run.takeActions() == [.rows(TaskID(0), first: TaskID(3), count: 3)])
        #expect(run.take(9) == [1, 3, 4, 5])
        run.finish(1)
        #expect(run.takeActions() == [.expand(TaskID(2))])
        run.expand(2, 2)
        #expect(run.take(9) == [6, 7])
        for row in 3...7 { run.finish(row) }
        #expect(run.isFinished)
        #expect(run.counts.total == 6)
        #expect(run.released.sorted() == [1, 3, 4, 5, 6, 7])
    }

    @Test func `an empty map is done at once`() {
        var graph = GraphBuilder()
        let map = graph.map(over: .literal(0))
        graph.task(needs: [map])
        let run = ManualRun(graph)
        run.expand(0, 0)
        #expect(run.runAll() == [1])
        #expect(run.isFinished)
    }

    @Test func `what a map runs over is held until its last instance has ended`() {
        var graph = GraphBuilder()
        let list = graph.task()
        graph.map(over: .task(list))
        let run = ManualRun(graph)
        _ = run.take()
        run.finish(0)
        run.expand(1, 2)
        _ = run.take(2)
        run.finish(2)
        #expect(run.released == [2])
        run.finish(3)
        #expect(run.released == [2, 3, 0])
    }

    @Test func `a map over a map goes element by element, and frees each element`() {
        var graph = GraphBuilder()
        let first = graph.map(over: .literal(2))
        graph.map(over: .task(first))
        let run = ManualRun(graph)
        run.expand(0, 2)
        #expect(run.actions.contains(.rows(TaskID(1), first: TaskID(4), count: 2)))
        #expect(run.take(2) == [2, 3])
        run.finish(3)
        #expect(run.take() == [5])
        #expect(run.released.isEmpty)
        run.finish(5)
        #expect(run.released == [5, 3])
        run.finish(2)
        #expect(run.runAll() == [4])
        #expect(run.isFinished)
    }

    @Test func `of a map over a map only the instances of failed elements are skipped`() {
        var graph = GraphBuilder()
        let first = graph.map(over: .literal(3))
        let second = graph.map(over: .task(first))
        graph.task(needs: [second])
        let run = ManualRun(graph, keepGoing)
        run.expand(0, 3)
        #expect(run.take(3) == [3, 4, 5])
        run.fail(4)
        run.finish(3)
        run.finish(5)
        #expect(run.runAll() == [6, 8])
        #expect(run.skipped == [7: .upstream, 2: .upstream])
        #expect(run.isFinished)
    }

    @Test func `a condition that is not met makes a task absent, and those that need it run`() {
        var graph = GraphBuilder()
        let condition = graph.when()
        let guarded = graph.task()
        graph.conditions(when: [condition])
        let other = graph.task()
        graph.conditions(unless: [condition])
        graph.task(needs: [guarded, other])
        let run = ManualRun(graph)
        #expect(run.take() == [0])
        run.finish(0, isFalsy: true)
        #expect(run.actions.contains(.missing(TaskID(1), failed: false)))
        #expect(run.skipped == [1: .when])
        #expect(run.runAll() == [2, 3])
        #expect(run.isFinished)
        #expect(run.counts.skipped == 1)
    }

    @Test func `a task that always runs is told that its input failed`() {
        var graph = GraphBuilder()
        let first = graph.task()
        var options = TaskOptions()
        options.always = true
        graph.task(needs: [first], options: options)
        graph.task(needs: [first])
        let run = ManualRun(graph, keepGoing)
        _ = run.take()
        run.fail(0)
        #expect(run.actions.contains(.missing(TaskID(0), failed: true)))
        #expect(run.runAll() == [1])
        #expect(run.skipped == [2: .upstream])
    }

    @Test func `an optional task that failed is absent, and the run goes on`() {
        var graph = GraphBuilder()
        var options = TaskOptions()
        options.optional = true
        let first = graph.task(options: options)
        graph.task(needs: [first])
        let run = ManualRun(graph)
        _ = run.take()
        run.fail(0)
        #expect(run.actions.contains(.missing(TaskID(0), failed: true)))
        #expect(run.runAll() == [1])
        #expect(run.counts.failed == 1)
        #expect(run.events.last?.kind == .runFinished(ok: true))
    }

    @Test func `after the last attempt the function for a substitute result has one of its own`() {
        var graph = GraphBuilder()
        var options = TaskOptions()
        options.recovers = true
        options.retries = 1
        graph.task(options: options)
        let run = ManualRun(graph)
        _ = run.take()
        run.fail(0)
        _ = run.take()
        #expect(!run.lease[0].recovers)
        run.fail(0)
        #expect(run.actions.contains(.recover(TaskID(0), attempt: 2)))
        #expect(run.take() == [0])
        #expect(run.lease[0].recovers)
        run.finish(0)
        #expect(run.counts.done == 1)
        #expect(run.events.last?.kind == .runFinished(ok: true))
    }

    @Test func `a reduce over a list of twenty runs its groups and then its root`() {
        var graph = GraphBuilder()
        let list = graph.task()
        graph.reduce(over: .task(list), arity: 8)
        let run = ManualRun(graph, SchedulerConfiguration(slots: 1, outputs: [TaskID(1)]))
        #expect(run.take() == [0])
        run.finish(0)
        run.expand(1, 20)
        #expect(run.runAll() == [2, 3, 4, 1])
        #expect(run.released == [2, 3, 4, 0])
        #expect(run.counts.total == 5)
        #expect(run.isFinished)
    }

    @Test func `a reduce over an empty list runs its root`() {
        var graph = GraphBuilder()
        graph.reduce(over: .literal(0))
        let run = ManualRun(graph)
        run.expand(0, 0)
        #expect(run.runAll() == [0])
        #expect(run.isFinished)
    }

    @Test func `a reduce over a map starts with the first group whose instances have ended`() {
        var graph = GraphBuilder()
        let map = graph.map(over: .literal(5))
        graph.reduce(over: .task(map), arity: 2)
        let run = ManualRun(graph, SchedulerConfiguration(slots: 2, outputs: [TaskID(1)]))
        run.expand(0, 5)
        #expect(run.takeActions().contains(.rows(TaskID(1), first: TaskID(7), count: 5)))
        #expect(run.take(5) == [2, 3, 4, 5, 6])
        run.finish(3)
        #expect(run.take(slot: 1) == [])
        run.finish(2)
        #expect(run.take(slot: 1) == [7])
        #expect(run.released.isEmpty)
        run.finish(7)
        #expect(run.released == [2, 3])
        for row in 4...6 { run.finish(row) }
        #expect(run.runAll() == [8, 9, 10, 11, 1])
        #expect(run.isFinished)
        #expect(run.released.sorted() == Array(2...11))
    }

    @Test func `a reduce that becomes free late counts the instances that are done`() {
        var graph = GraphBuilder()
        let map = graph.map(over: .literal(4))
        let late = graph.task()
        graph.reduce(over: .task(map), arity: 2, after: [late])
        let run = ManualRun(graph)
        run.expand(0, 4)
        #expect(run.take(5) == [1, 3, 4, 5, 6])
        for row in 3...5 { run.finish(row) }
        run.finish(1)
        #expect(run.take(slot: 1) == [7])
        run.finish(6)
        run.finish(7)
        #expect(run.runAll() == [8, 2])
        #expect(run.isFinished)
    }

    @Test func `instances that something else needs too are kept for it`() {
        var graph = GraphBuilder()
        let map = graph.map(over: .literal(4))
        graph.reduce(over: .task(map), arity: 2)
        graph.task(needs: [map])
        let run = ManualRun(graph)
        run.expand(0, 4)
        _ = run.take(4)
        for row in 3...6 { run.finish(row) }
        #expect(run.take(4) == [2, 7, 8])
        run.finish(7)
        run.finish(8)
        _ = run.takeActions()
        run.finish(2)
        #expect(!run.released.contains(3))
        #expect(run.runAll() == [1])
        #expect(Set(run.released).isSuperset(of: [3, 4, 5, 6]))
    }

    @Test func `an expansion that fails counts as one failed task`() {
        var graph = GraphBuilder()
        let list = graph.task()
        let map = graph.map(over: .task(list))
        graph.task(needs: [map])
        let run = ManualRun(graph, keepGoing)
        _ = run.runAll()
        #expect(run.failExpansion(1))
        #expect(!run.failExpansion(1))
        #expect(run.isFinished)
        #expect(run.counts.failed == 1 && run.counts.skipped == 1 && run.counts.total == 3)
        #expect(run.released == [0])
        #expect(run.events.last?.kind == .runFinished(ok: false))
    }

    @Test func `a list of more elements than a run has rows fails`() {
        var graph = GraphBuilder()
        graph.reduce(over: .literal(1 << 29))
        let run = ManualRun(graph)
        run.expand(0, 1 << 29)
        #expect(run.isFinished && run.counts.failed == 1)
    }

    @Test func `other instances go on when one failed, and the groups of a reduce do not`() {
        var graph = GraphBuilder()
        let map = graph.map(over: .literal(4))
        graph.reduce(over: .task(map), arity: 2)
        let run = ManualRun(graph, keepGoing)
        run.expand(0, 4)
        _ = run.take(3)
        run.finish(2)
        run.finish(3)
        run.fail(4)
        #expect(run.skipped == [1: .upstream, 6: .upstream, 7: .upstream])
        #expect(run.released == [2, 3])
        #expect(run.runAll() == [5])
        #expect(run.isFinished)
        #expect(run.counts.done == 3 && run.counts.failed == 1 && run.counts.skipped == 3)
    }
}
