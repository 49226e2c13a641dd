import HandoutCore
import HandoutScheduler
import HandoutTesting
import Testing

@Suite struct SimulatorTests {
    /// Graph and faults of one seed.
    private func simulation(_ seed: UInt64) -> (GraphColumns, SimulationOptions) {
        var random = SplitMix64(seed: seed)
        let builder = GraphBuilder.random(seed: seed, rows: 24)
        let graph = builder.build()
        var options = SimulationOptions(seed: seed)
        options.slots = 1 + random.below(4)
        options.cpu = random.chance(0.5) ? nil : UInt64(10_000 + random.below(30_000))
        options.keepGoing = random.chance(0.6)
        options.leaseLimit = 1 + random.below(6)
        options.failureRate = random.chance(0.4) ? 0 : 0.2 * random.unit()
        options.lossRate = random.chance(0.5) ? 0 : 0.2 * random.unit()
        options.returnRate = random.chance(0.5) ? 0 : 0.3
        options.duplicateRate = random.chance(0.5) ? 0 : 0.3
        options.expansionFailureRate = random.chance(0.8) ? 0 : 0.2
        options.literals = builder.literals
        options.pauseRate = random.chance(0.6) ? 0 : 0.1
        options.cancelAt = random.chance(0.8) ? nil : UInt64(random.below(10_000_000))
        if random.chance(0.3) { options.targets = [TaskID(random.below(graph.count))] }
        options.outputs = (0..<random.below(3)).map { _ in TaskID(random.below(graph.count)) }
        return (graph, options)
    }

    @Test func `no rule is broken in 500 random runs with faults`() {
        var done = 0
        for seed in 0..<UInt64(500) {
            let (graph, options) = simulation(seed)
            let result = Simulator(graph: graph, options: options).run()
            #expect(result.violation == nil, "seed \(seed): \(result.violation ?? "")")
            done += result.counts.done
        }
        #expect(done > 5_000)
    }

    @Test func `without faults every task of a run is done, or left out by a condition`() {
        for seed in 0..<UInt64(60) {
            let builder = GraphBuilder.random(seed: seed, rows: 40)
            var options = SimulationOptions(seed: seed)
            options.literals = builder.literals
            options.checkEvery = 0
            let result = Simulator(graph: builder.build(), options: options).run()
            #expect(result.violation == nil, "seed \(seed): \(result.violation ?? "")")
            #expect(result.counts.failed == 0, "seed \(seed)")
            #expect(result.counts.done + result.counts.skipped == result.counts.total, "seed \(seed)")
        }
    }

    @Test func `the same seed gives the same log, byte for byte`() throws {
        var logs = Set<[UInt8]>()
        for seed in 0..<UInt64(30) {
            let (graph, options) = simulation(seed)
            let first = Simulator(graph: graph, options: options).run()
            let second = Simulator(graph: graph, options: options).run()
            #expect(first.log == second.log, "seed \(seed)")
            let events = try RunEventEncoding.decode(first.log)
            #expect(events.first?.kind == .runStarted(seed: seed))
            guard case .runFinished? = events.last?.kind else {
                Issue.record("seed \(seed): the log does not end with the run")
                continue
            }
            logs.insert(first.log)
        }
        #expect(logs.count == 30)
    }

    @Test(arguments: SimulationFault.allCases)
    func `a planted mistake is found`(fault: SimulationFault) {
        var graph = GraphBuilder()
        let sources = (0..<12).map { _ in graph.task() }
        let middle = sources.map { graph.task(needs: [$0]) }
        graph.task(needs: middle)
        var options = SimulationOptions(seed: 7)
        options.checkEvery = 0
        #expect(Simulator(graph: graph.build(), options: options).run().violation == nil)
        options.pauseRate = 0.3
        options.fault = fault
        #expect(Simulator(graph: graph.build(), options: options).run().violation != nil)
    }
}
