import HandoutCore

extension GraphBuilder {
    /// A graph of up to `rows` rows drawn from the seed: tasks with needs and orders, maps and reduces over lists,
    /// tasks and maps, priorities, requests and retries.
    package static func random(seed: UInt64, rows: Int) -> GraphBuilder {
        var random = SplitMix64(seed: seed ^ 0x6772_6170_68)
        var graph = GraphBuilder(name: "random \(seed)")
        var maps: [TaskID] = []
        var conditions: [TaskID] = []
        var sets = (0..<3).map { _ in randomOptions(&random) }
        // Of another sequence: what is measured changes no graph.
        var measures = SplitMix64(seed: seed ^ 0x6D65_6173)
        for set in sets.indices where measures.chance(0.15) {
            sets[set].isMeasured = true
            sets[set].measuresMemory = measures.chance(0.5)
        }
        let count = 1 + random.below(max(1, rows))
        for row in 0..<count {
            let options = sets[random.below(sets.count)]
            let needs = random.chance(0.25) ? [] : earlier(&random, row, most: 3)
            let after = random.chance(0.8) ? [] : earlier(&random, row, most: 2)
            switch random.below(10) {
            case 0, 1:
                let over = randomOver(&random, row, maps: maps, preferMaps: 0.15)
                maps.append(
                    graph.map(
                        over: over, needs: random.chance(0.7) ? [] : needs, after: after, options: options))
            case 2, 3:
                let over = randomOver(&random, row, maps: maps, preferMaps: 0.7)
                graph.reduce(
                    over: over, arity: 2 + random.below(4), needs: random.chance(0.8) ? [] : needs, after: after,
                    options: options)
            case 4: conditions.append(graph.when(needs: needs, options: options))
            default: graph.task(needs: needs, after: after, options: options)
            }
            guard !conditions.isEmpty, conditions.last != TaskID(row), random.chance(0.2) else { continue }
            let condition = conditions[random.below(conditions.count)]
            if random.chance(0.5) { graph.conditions(when: [condition]) } else { graph.conditions(unless: [condition]) }
        }
        return graph
    }

    /// Rows drawn from those before `row`, the near ones more often; the same one may come twice.
    private static func earlier(_ random: inout SplitMix64, _ row: Int, most: Int) -> [TaskID] {
        guard row > 0 else { return [] }
        return (0..<random.below(most + 1)).map { _ in
            TaskID(random.chance(0.5) ? max(0, row - 1 - random.below(4)) : random.below(row))
        }
    }

    private static func randomOver(_ random: inout SplitMix64, _ row: Int, maps: [TaskID], preferMaps: Double) -> Over {
        if !maps.isEmpty && random.chance(preferMaps) { return .task(maps[random.below(maps.count)]) }
        if row > 0 && random.chance(0.6) { return .task(TaskID(random.below(row))) }
        return .literal(random.below(20))
    }

    private static func randomOptions(_ random: inout SplitMix64) -> TaskOptions {
        var options = TaskOptions()
        options.priority = Int32(random.below(3)) - 1
        options.retries = UInt8(random.below(4))
        options.backoffFirst = random.chance(0.5) ? 0 : UInt64(random.below(1_000_000))
        options.backoffMax = random.chance(0.5) ? 0 : 3_000_000
        options.always = random.chance(0.1)
        options.optional = random.chance(0.15)
        options.recovers = random.chance(0.15)
        options.cpu = [0, 5_000, 10_000, 10_000, 25_000][random.below(5)]
        return options
    }
}
