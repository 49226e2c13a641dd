import HandoutCore
import HandoutScheduler
import HandoutTesting
import Testing

@Suite struct FailureTests {
    private func single(retries: UInt8, backoff: UInt64 = 0) -> GraphBuilder {
        var options = TaskOptions()
        options.retries = retries
        options.backoffFirst = backoff
        var graph = GraphBuilder()
        graph.task(options: options)
        return graph
    }

    /// Attempts until the task has ended, when each ends the same way.
    private func attempts(_ ended: Ended, retries: UInt8, neverRetry: Bool = false) -> Int {
        let run = ManualRun(single(retries: retries))
        var count = 0
        while run.take() == [0] {
            count += 1
            run.fail(0, ended, neverRetry: neverRetry)
        }
        #expect(run.isFinished && run.counts.failed == 1)
        return count
    }

    @Test func `each way to end uses retries as the table says`() {
        #expect(attempts(.error, retries: 0) == 1)
        #expect(attempts(.error, retries: 5) == 6)
        #expect(attempts(.timeout, retries: 5) == 6)
        #expect(attempts(.result, retries: 5) == 1)
        #expect(attempts(.memory, retries: 5) == 1)
        #expect(attempts(.crash, retries: 1) == 2)
        #expect(attempts(.crash, retries: 5) == 3)
        #expect(attempts(.lost, retries: 0) == 10)
        #expect(attempts(.cancelled, retries: 5) == 1)
        #expect(attempts(.error, retries: 5, neverRetry: true) == 1)
    }

    @Test func `lost attempts use no retry, and only ten in a row are final`() {
        let run = ManualRun(single(retries: 1))
        for _ in 0..<9 {
            #expect(run.take() == [0])
            #expect(run.lease.first?.retriesLeft == 1)
            run.fail(0, .lost)
        }
        _ = run.take()
        run.fail(0, .error)
        for _ in 0..<9 {
            #expect(run.take() == [0])
            #expect(run.lease.first?.retriesLeft == 0)
            run.fail(0, .lost)
        }
        #expect(run.take() == [0])
        #expect(run.lease.first?.attempt == 20)
        run.finish(0)
        #expect(run.counts.done == 1)
    }

    @Test func `a retry waits for its pause, which grows and is spread by a fifth at most`() {
        let run = ManualRun(single(retries: 3, backoff: 1_000))
        var expected: UInt64 = 1_000
        for _ in 0..<3 {
            #expect(run.take() == [0])
            run.fail(0)
            #expect(run.take() == [])
            let due = run.nextTimer ?? 0
            let pause = due - run.now
            #expect(pause >= expected * 8 / 10 && pause <= expected * 12 / 10)
            run.advance(to: due - 1)
            #expect(run.take() == [])
            run.advance(to: due)
            #expect(run.nextTimer == nil)
            expected *= 2
        }
        #expect(run.take() == [0])
    }

    @Test func `the pause is capped, and the same for the same seed`() {
        var options = TaskOptions()
        options.backoffFirst = 1_000
        options.backoffFactor = 10
        options.backoffMax = 50_000
        func pause(_ retry: Int, _ seed: UInt64) -> UInt64 {
            RetryPolicy.pause(options: options, retry: retry, seed: seed, task: TaskID(3), attempt: UInt16(retry))
        }
        #expect(pause(2, 1) == pause(2, 1))
        #expect(pause(2, 1) != pause(2, 2))
        #expect((8_000...12_000).contains(pause(2, 1)))
        #expect((40_000...60_000).contains(pause(100, 1)))
        options.backoffMax = 0
        #expect(pause(100, 1) == 1 << 62)
    }

    @Test func `a pause that the task asks for goes before its own`() {
        let run = ManualRun(single(retries: 2, backoff: 1_000))
        _ = run.take()
        run.fail(0, retryAfter: 77)
        #expect(run.nextTimer == 77)
        run.advance(to: 77)
        _ = run.take()
        run.fail(0, retryAfter: 0)
        #expect(run.take() == [0])
        #expect(run.actions.contains(.retry(TaskID(0), attempt: 1, after: 77)))
    }

    @Test func `with keepGoing only what depends on the failed task is skipped`() {
        var graph = GraphBuilder()
        let bad = graph.task()
        let other = graph.task()
        let after = graph.task(after: [bad])
        graph.task(needs: [after, other])
        let map = graph.map(over: .task(bad))
        graph.reduce(over: .task(map))
        graph.task(needs: [other])
        let run = ManualRun(graph, SchedulerConfiguration(slots: 1, keepGoing: true))
        _ = run.take(1)
        run.fail(0)
        #expect(run.skipped == [2: .upstream, 3: .upstream, 4: .upstream, 5: .upstream])
        #expect(run.runAll() == [1, 6])
        #expect(run.isFinished)
        #expect(run.counts.done == 2 && run.counts.failed == 1 && run.counts.skipped == 4)
        #expect(!run.actions.contains(.stopRunning))
    }

    @Test func `without keepGoing the run stops, and what runs is counted as it ends`() {
        var graph = GraphBuilder()
        let bad = graph.task()
        let tasks = (0..<3).map { _ in graph.task() }
        graph.task(needs: [bad])
        graph.task(needs: [tasks[0]])
        let run = ManualRun(graph, SchedulerConfiguration(slots: 2))
        _ = run.take(4)
        run.fail(0)
        #expect(run.actions == [.giveUp(TaskID(0), attempt: 1, .error), .stopRunning])
        #expect(run.skipped == [4: .upstream, 5: .cancelled])
        run.finish(1)
        run.fail(2, .cancelled)
        #expect(!run.isFinished)
        run.fail(3, .error)
        #expect(run.isFinished)
        #expect(run.counts.done == 1 && run.counts.failed == 2 && run.counts.skipped == 3)
        #expect(run.take(5) == [])
        #expect(run.actions.filter { $0 == .finish || $0 == .stopRunning } == [.stopRunning, .finish])
    }

    @Test func `a cancelled run starts nothing and ends with what runs`() {
        var graph = GraphBuilder()
        let list = graph.task()
        graph.map(over: .task(list))
        graph.map(over: .literal(3))
        var retried = TaskOptions()
        retried.retries = 1
        retried.backoffFirst = 100
        graph.task(options: retried)
        let run = ManualRun(graph, SchedulerConfiguration(slots: 2, keepGoing: true))
        run.expand(2, 3)
        #expect(run.take(3) == [0, 3, 4])
        run.fail(3)
        run.cancel()
        run.cancel()
        #expect(run.nextTimer == nil)
        #expect(!run.expand(1, 4))
        #expect(run.giveBack(4))
        run.finish(0)
        #expect(run.isFinished)
        #expect(run.counts.done == 1 && run.counts.skipped == run.counts.total - 1)
        #expect(run.skipped.values.allSatisfy { $0 == .cancelled })
        #expect(run.events.last?.kind == .runFinished(ok: false))
    }

    @Test func `a chain of 200 000 is skipped without recursion`() {
        var graph = GraphBuilder()
        var last = graph.task()
        for _ in 1..<200_000 { last = graph.task(needs: [last]) }
        let run = ManualRun(graph, SchedulerConfiguration(slots: 1, keepGoing: true))
        _ = run.take()
        run.fail(0)
        #expect(run.counts.skipped == 199_999)
        #expect(run.isFinished)
    }
}
