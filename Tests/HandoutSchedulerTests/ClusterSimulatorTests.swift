import HandoutCore
import HandoutScheduler
import HandoutTesting
import Testing

@Suite struct ClusterSimulatorTests {
    private func simulate(_ seed: UInt64, planted: ClusterFault? = nil, events: Bool = false) -> ClusterResult {
        let builder = GraphBuilder.randomCluster(seed: seed, rows: 20)
        let graph = builder.build()
        var options = ClusterOptions.random(seed: seed)
        options.planted = planted
        options.recordsEvents = events
        var random = SplitMix64(seed: seed ^ 5)
        if random.chance(0.3) { options.targets = [TaskID(random.below(graph.count))] }
        options.outputs = (0..<random.below(3)).map { _ in TaskID(random.below(graph.count)) }
        if random.chance(0.2) && planted == nil {
            // Plans of whims, one after the other.
            options.allocator = .fastest
            options.plan = PlacementPlan()
            options.replanner = { _ in WhimsicalReplanner(seed: seed) }
        }
        let world = RandomWorld(seed: seed, graph: graph, literals: builder.literals)
        return ClusterSimulator(graph: graph, options: options, world: world).run { core, now, placements, output in
            if options.allocator == .rounds {
                ClusterSimulatorTests.round(&core, now, &random, &placements, &output)
            }
            // A strategy of whims: any score, and now and then none at all.
            for question in core.takeQuestions() {
                core.answer(question, question.workers.map { _ in random.chance(0.2) ? nil : random.unit() })
            }
        }
    }

    /// Rounds of whims: some tasks to some workers, some that do not fit, now and then nothing, or a wait.
    private static func round(
        _ core: inout SchedulerCore, _ now: UInt64, _ random: inout SplitMix64, _ placements: inout [Placement],
        _ output: inout SchedulerOutput
    ) {
        var chosen: [(row: Int, worker: Int, variant: Int?)] = []
        for facts in core.readyClasses() {
            for row in core.readyTasks(inClass: facts.number, atMost: 3) where random.chance(0.7) {
                chosen.append((row, random.below(core.workerCount + 1), random.chance(0.8) ? nil : random.below(3)))
            }
        }
        if random.chance(0.1) { core.decideOneRound() }
        core.place(
            chosen: chosen, waitUntil: random.chance(0.2) ? now + UInt64(random.below(1_000_000)) : 0, now: now,
            into: &placements, output: &output)
    }

    /// Runs of seeds; HANDOUT_SEEDS says how many, HANDOUT_SEED which one.
    @Test func `no rule is broken in random clusters with faults`() {
        var done = 0
        for seed in Seeds.all(default: 1000) {
            let result = simulate(seed)
            #expect(
                result.violation == nil,
                "seed \(seed): \(result.violation ?? "") (HANDOUT_SEED=\(seed) swift test --filter ClusterSimulatorTests)"
            )
            #expect(result.waiting == 0, "seed \(seed): \(result.counts)")
            done += result.counts.done
        }
        if Seeds.areDefault { #expect(done > 10_000) }
    }

    @Test(arguments: [1, 4, 5, 16, 17, 100])
    func `a node of a reduce is given what is its own, once`(count: Int) {
        var builder = GraphBuilder()
        let map = builder.map(over: .literal(count))
        builder.reduce(over: .task(map), arity: 4)
        builder.reduce(over: .literal(count), arity: 4)
        let graph = builder.build()
        var options = ClusterOptions(
            seed: 1,
            workers: [SimulatedWorker(offer: WorkerOffer(capacity: WorkerCapacity(name: "w", totals: ["cpu": 40_000])))]
        )
        options.recordsInputs = true
        let world = RandomWorld(seed: 1, graph: graph, literals: builder.literals)
        let result = ClusterSimulator(graph: graph, options: options, world: world).run()
        #expect(result.waiting == 0 && result.counts.failed == 0)
        // Every instance, and every node but the roots, is an input of one other.
        let given = result.inputs.values.flatMap(\.self)
        #expect(given.count == Set(given).count)
        let nodes = ReduceShape(count: count, arity: 4).innerCount
        #expect(given.count == count + 2 * nodes)
        #expect(result.inputs.values.allSatisfy { $0.count <= 4 })
    }

    @Test func `the same seed gives the same log, byte for byte`() {
        for seed in UInt64(0)..<40 { #expect(simulate(seed, events: true).log == simulate(seed, events: true).log) }
    }

    @Test(arguments: ClusterFault.allCases)
    func `a planted mistake is found`(fault: ClusterFault) {
        let found = (UInt64(0)..<60).filter { simulate($0, planted: fault).violation != nil }
        #expect(found.count > 3, "\(fault): found by \(found.count) of 60 seeds")
    }
}

/// Now and then another plan: any workers, any order, some tasks put off, some not in it.
private final class WhimsicalReplanner: RunReplanner {
    private var random: SplitMix64
    private(set) var nextLook: UInt64?
    private(set) var counts = (made: 0, taken: 0)

    init(seed: UInt64) { random = SplitMix64(seed: seed ^ 0x9140) }

    func newPlan(_ core: borrowing SchedulerCore, now: UInt64) -> PlacementPlan? {
        nextLook = core.counts.running > 0 ? now + 1 + UInt64(random.below(200_000)) : nil
        guard random.chance(0.3) else { return nil }
        var plan = PlacementPlan()
        for row in 0..<core.rowCount where random.chance(0.8) {
            let (declared, element) = core.planPlace(of: row)
            plan[declared, element] = PlacementPlan.Entry(
                worker: Int32(random.below(core.workerCount + 2)) - 1, order: UInt32(random.below(100)),
                notBefore: random.chance(0.2) ? now + UInt64(random.below(500_000)) : 0)
        }
        counts.made += 1
        counts.taken += 1
        return plan
    }
}
