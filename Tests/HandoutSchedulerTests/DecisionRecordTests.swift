import HandoutCore
import HandoutScheduler
import HandoutTesting
import Testing

/// What is kept of a simulated run to explain its tasks.
@Suite struct DecisionRecordTests {
    private func simulate(_ seed: UInt64, _ record: (GraphColumns) -> DecisionRecord?) -> (
        ClusterResult, DecisionRecord?
    ) {
        let builder = GraphBuilder.randomCluster(seed: seed, rows: 20)
        let graph = builder.build()
        var options = ClusterOptions.random(seed: seed)
        // Rounds are tested by strategies in Lua.
        if options.allocator == .rounds { options.allocator = .loadBalanced }
        let record = record(graph)
        options.record = record
        var random = SplitMix64(seed: seed ^ 5)
        let world = RandomWorld(seed: seed, graph: graph, literals: builder.literals)
        let result = ClusterSimulator(graph: graph, options: options, world: world).run { core, _, _, _ in
            for question in core.takeQuestions() {
                core.answer(question, question.workers.map { _ in random.chance(0.2) ? nil : random.unit() })
            }
        }
        return (result, record)
    }

    private static func watching(_ graph: GraphColumns, until: UInt64? = nil) -> DecisionRecord {
        let record = DecisionRecord(allocator: "x", until: until) { "\($0)" + ($1.map { "[\($0)]" } ?? "") }
        for row in 0..<graph.count {
            record.watch(declared: row, element: nil)
            if graph.kind(TaskID(row)) == .map { record.watch(declared: row, element: 1) }
        }
        return record
    }

    @Test func `who looks on changes nothing`() {
        for seed in Seeds.all(default: 150) {
            let (plain, _) = simulate(seed) { _ in nil }
            let (watched, _) = simulate(seed) { Self.watching($0) }
            #expect(plain.makespan == watched.makespan && plain.cost == watched.cost, "seed \(seed)")
            #expect(
                plain.schedule.map { [UInt64($0.task), UInt64($0.worker), $0.start, $0.finish] }
                    == watched.schedule.map { [UInt64($0.task), UInt64($0.worker), $0.start, $0.finish] },
                "seed \(seed)")
        }
    }

    @Test func `a life has no gaps: each attempt begins when the task becomes ready or a wait ends`() {
        var waits = 0, retries = 0, skipped = 0
        for seed in Seeds.all(default: 300) {
            let (result, record) = simulate(seed) { Self.watching($0) }
            #expect(result.violation == nil)
            for watch in record?.watches ?? [] {
                let life = watch.explanation
                let context = "seed \(seed): \(life)"
                waits += life.waits.count
                for wait in life.waits {
                    #expect(!wait.obstacles.isEmpty, "\(context)")
                    #expect(wait.until != nil || life.state == .ready, "\(context)")
                    #expect((wait.until ?? .infinity) >= wait.from, "\(context)")
                    #expect(wait.ahead == 0 || wait.first != nil, "\(context)")
                }
                for attempt in life.attempts {
                    let begins =
                        life.waits.contains { $0.until == attempt.placed } || life.ready?.time == attempt.placed
                        || life.attempts.contains { ($0.retryAt ?? .infinity) <= attempt.placed }
                    #expect(begins, "\(context)")
                    #expect(attempt.choice != nil, "\(context)")
                    if attempt.number > 1 { retries += 1 }
                }
                if life.state == .done, let last = life.attempts.last { #expect(last.ended == nil, "\(context)") }
                if life.state == .skipped {
                    skipped += 1
                    #expect(life.reason != nil && life.attempts.allSatisfy { $0.ended != nil }, "\(context)")
                }
            }
        }
        if Seeds.areDefault { #expect(waits > 1000 && retries > 50 && skipped > 50) }
    }

    @Test func `what comes after the moment that is asked about is not told`() {
        for seed in Seeds.all(default: 100) {
            let until: UInt64 = 2_000_000
            let (_, record) = simulate(seed) { Self.watching($0, until: until) }
            for watch in record?.watches ?? [] {
                let life = watch.explanation
                var times: [Double] = []
                for attempt in life.attempts { times += [attempt.placed, attempt.finish ?? 0] }
                for wait in life.waits { times += [wait.from, wait.until ?? 0] }
                #expect(times.allSatisfy { $0 <= 0.002 }, "seed \(seed): \(life)")
            }
        }
    }
}
