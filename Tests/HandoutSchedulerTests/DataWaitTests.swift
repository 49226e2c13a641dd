import HandoutCore
import HandoutScheduler
import HandoutTesting
import Testing

/// `locality`: how long a task waits for the worker that has its data.
@Suite struct DataWaitTests {
    private static let second: UInt64 = 1_000_000_000

    /// Times and sizes by declared row; every transfer takes as long.
    private struct World: SimulatedWorld {
        var seconds: [UInt64]
        var transfer: UInt64

        func duration(_ row: Int, origin: Int, worker: Int, variant: Int, speed: Double) -> UInt64 {
            seconds[origin] * DataWaitTests.second
        }
        func transfer(of input: Int, to row: Int, from: Int, to worker: Int) -> (nanoseconds: UInt64, bytes: UInt64) {
            (transfer, 1_000)
        }
        func bytes(_ row: Int, origin: Int) -> UInt64 { 1_000 }
        func elements(_ row: Int) -> Int { 1 }
    }

    /// One task makes data on the first worker; at 1 s three others want them, each for 3 s. Two workers of one core.
    private func starts(slack: UInt64, transfer: UInt64) -> (starts: [[UInt64]], moved: UInt64) {
        var builder = GraphBuilder()
        let source = builder.task()
        builder.task()  // the other worker is busy meanwhile
        for _ in 0..<3 { builder.task(needs: [source]) }
        let workers = ["first", "second"].map { name in
            SimulatedWorker(offer: WorkerOffer(capacity: WorkerCapacity(name: name, totals: ["cpu": 10_000])))
        }
        var options = ClusterOptions(seed: 1, workers: workers)
        options.allocator = .locality(slack: slack)
        options.checksRules = true
        let world = World(seconds: [1, 1, 3, 3, 3], transfer: transfer)
        let result = ClusterSimulator(graph: builder.build(), options: options, world: world).run()
        #expect(result.violation == nil && result.counts.done == 5)
        return (
            (0..<2).map { worker in
                result.schedule.filter { $0.worker == Int32(worker) && $0.task > 1 }.map {
                    $0.start / 100_000_000
                }
            }, result.bytesMoved
        )
    }

    @Test func `without slack nobody waits`() {
        let (starts, moved) = starts(slack: 0, transfer: 10 * DataWaitTests.second)
        #expect(starts == [[10, 40], [110]])  // from 1 s on it is brought there
        #expect(moved == 1_000)
    }

    @Test func `a task waits as long as the slack, then it goes elsewhere`() {
        let (starts, moved) = starts(slack: 2 * DataWaitTests.second, transfer: 10 * DataWaitTests.second)
        #expect(starts == [[10, 40], [130]])
        #expect(moved == 1_000)
    }

    @Test func `the worker with the data is free before that`() {
        let (starts, moved) = starts(slack: 20 * DataWaitTests.second, transfer: 10 * DataWaitTests.second)
        #expect(starts == [[10, 40, 70], []])
        #expect(moved == 0)
    }

    @Test func `nobody waits longer than the data would take to move`() {
        let (starts, moved) = starts(slack: 20 * DataWaitTests.second, transfer: DataWaitTests.second / 2)
        #expect(starts == [[10, 40], [20]])
        #expect(moved == 1_000)
    }

    @Test func `a worker that goes away is not waited for`() {
        var builder = GraphBuilder()
        let source = builder.task()
        for _ in 0..<3 { builder.task(needs: [source]) }
        let leaves = [UInt64(3 * DataWaitTests.second), nil]
        let workers = zip(["first", "second"], leaves).map { name, leaves in
            SimulatedWorker(
                offer: WorkerOffer(
                    capacity: WorkerCapacity(name: name, totals: ["cpu": 10_000]), leavesAt: leaves))
        }
        var options = ClusterOptions(seed: 1, workers: workers)
        options.allocator = .locality(slack: 3_600 * DataWaitTests.second)
        options.checksRules = true
        let world = World(seconds: [1, 1, 1, 1], transfer: 3_600 * DataWaitTests.second)
        let result = ClusterSimulator(graph: builder.build(), options: options, world: world).run()
        #expect(result.violation == nil && result.counts.done == 4 && result.waiting == 0)
        #expect(result.schedule.contains { $0.worker == 1 })
    }
}
