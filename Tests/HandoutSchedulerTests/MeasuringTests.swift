import HandoutCore
import HandoutScheduler
import HandoutTesting
import Testing

/// Rows with options that are functions, which are asked before each attempt.
@Suite struct MeasuringTests {
    private func measured(retries: UInt8 = 0, memory: Bool = false, recovers: Bool = false) -> TaskOptions {
        var options = TaskOptions()
        options.isMeasured = true
        options.measuresMemory = memory
        options.recovers = recovers
        options.retries = retries
        return options
    }

    private func run(_ options: TaskOptions, tasks: Int = 1, slots: Int = 2) -> ManualRun {
        var graph = GraphBuilder()
        for _ in 0..<tasks { graph.task(options: options) }
        return ManualRun(graph, SchedulerConfiguration(slots: slots, keepGoing: true))
    }

    @Test func `a row is ready when its functions have answered, and asked again before each attempt`() {
        let run = run(measured(retries: 1))
        #expect(run.takeActions() == [.measure(TaskID(0), attempt: 1)])
        #expect(run.take() == [] && run.counts.waiting == 1)
        #expect(run.measure(0, 1))
        #expect(run.take() == [0])
        run.fail(0)
        #expect(run.takeActions().last == .measure(TaskID(0), attempt: 2))
        #expect(!run.measure(0, 1), "the first attempt is over")
        #expect(run.measure(0, 2) && !run.measure(0, 2))
        #expect(run.runAll() == [0] && run.isFinished && run.counts.done == 1)
    }

    @Test func `what comes back unstarted is not asked again`() {
        let run = run(measured())
        run.measure(0, 1, Measurement(priority: 3))
        #expect(run.take() == [0])
        _ = run.takeActions()
        run.giveBack(0)
        #expect(run.takeActions() == [] && run.counts.ready == 1)
        #expect(run.runAll() == [0])
    }

    @Test func `a function that fails is an attempt that fails`() {
        let run = run(measured(retries: 1))
        #expect(run.failMeasure(0, 1))
        #expect(
            run.takeActions().suffix(2) == [.retry(TaskID(0), attempt: 1, after: 0), .measure(TaskID(0), attempt: 2)])
        #expect(run.failMeasure(0, 2) && run.isFinished && run.counts.failed == 1)
        #expect(run.takeActions() == [.giveUp(TaskID(0), attempt: 2, .error), .finish])
    }

    @Test func `a substitute is made without asking, and with what the last attempt had`() {
        let run = run(measured(recovers: true))
        #expect(run.failMeasure(0, 1))
        #expect(run.takeActions().last == .recover(TaskID(0), attempt: 1))
        #expect(run.take() == [0] && run.lease[0].recovers && run.lease[0].attempt == 2)
        run.finish(0)
        #expect(run.isFinished && run.counts.done == 1)
    }

    @Test func `cores and priorities that were computed count`() {
        let run = run(measured(), tasks: 3)
        run.measure(0, 1, Measurement(amounts: ["cpu": 20_000]))
        run.measure(1, 1, Measurement(amounts: ["cpu": 20_000], priority: 1))
        run.measure(2, 1, Measurement(amounts: ["cpu": 10_000]))
        #expect(run.take() == [1] && run.take(slot: 1) == [])
        run.finish(1)
        #expect(run.take() == [0])
        run.finish(0)
        #expect(run.take() == [2])
    }

    @Test func `more memory may be tried again, the same never`() {
        let fixed = run(measured(retries: 5))
        fixed.measure(0, 1)
        _ = fixed.take()
        fixed.fail(0, .memory)
        #expect(fixed.isFinished && fixed.counts.failed == 1, "no function gives it more")
        let run = run(measured(retries: 5, memory: true))
        run.measure(0, 1)
        _ = run.take()
        run.fail(0, .memory)
        #expect(run.takeActions().last == .measure(TaskID(0), attempt: 2))
        #expect(RetryPolicy.isMore(2, than: 1, ofTask: 100) && !RetryPolicy.isMore(2, than: 2, ofTask: 100))
        #expect(RetryPolicy.isMore(0, than: 99, ofTask: 100) && !RetryPolicy.isMore(0, than: 100, ofTask: 100))
    }

    @Test func `as many requests as rows are claimed and given back, one by one and all at once`() {
        for together in [false, true] {
            let run = run(measured(), tasks: 200)
            func amounts(_ row: Int) -> Measurement { Measurement(amounts: ["cpu": UInt64(10_001 + row % 150)]) }
            if together { for row in 0..<200 { run.measure(row, 1, amounts(row)) } }
            for row in 0..<200 {
                if !together { run.measure(row, 1, amounts(row)) }
                #expect(run.take() == [row] && run.take(slot: 1) == [], "2 cores hold one at a time")
                run.finish(row)
            }
            #expect(run.isFinished && run.counts.done == 200)
        }
    }

    @Test func `a run that is cancelled asks for nothing more, and answers come too late`() {
        let run = run(measured(), tasks: 2)
        run.measure(0, 1)
        run.cancel()
        #expect(!run.measure(1, 1) && !run.failMeasure(1, 1))
        #expect(run.isFinished && run.counts.skipped == 2)
    }

    @Test func `instances of maps and nodes of reduces are asked one by one`() {
        var graph = GraphBuilder()
        let map = graph.map(over: .literal(3), options: measured())
        graph.reduce(over: .task(map), arity: 2, options: measured())
        let run = ManualRun(graph)
        func asked() -> [TaskID] {
            run.takeActions().compactMap { if case .measure(let task, _) = $0 { task } else { nil } }
        }
        run.expand(0, 3)
        let instances = asked()
        #expect(instances.count == 3)
        for task in instances { run.measure(task.index, 1) }
        #expect(run.runAll().count == 3)
        var nodes = 0
        while case let next = asked(), !next.isEmpty {
            nodes += next.count
            for node in next { run.measure(node.index, 1) }
            #expect(run.runAll() == next.map(\.index))
        }
        #expect(nodes == 3 && run.isFinished)
    }
}
