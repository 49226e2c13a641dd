package import HandoutCore
package import HandoutScheduler

/// Times and sizes drawn from a seed: the same row always takes the same time.
package struct RandomWorld: SimulatedWorld {
    package var seed: UInt64
    package var literals: [Int]
    package var graph: GraphColumns
    /// Nanoseconds.
    package var longest = 1_000_000
    package var mostElements = 12

    package init(seed: UInt64, graph: GraphColumns, literals: [Int]) {
        self.seed = seed
        self.graph = graph
        self.literals = literals
    }

    private func draw(_ value: Int, _ salt: UInt64, below bound: Int) -> Int {
        var random = SplitMix64(seed: seed ^ SplitMix64.mix(UInt64(value) &+ salt))
        return random.below(bound)
    }

    package func duration(_ row: Int, origin: Int, worker: Int, variant: Int, speed: Double) -> UInt64 {
        UInt64(Double(1 + draw(row, 1, below: longest)) / speed)
    }

    package func transfer(of input: Int, to row: Int, from: Int, to worker: Int) -> (nanoseconds: UInt64, bytes: UInt64)
    {
        (UInt64(draw(input, 2, below: longest / 4)), bytes(input, origin: input))
    }

    package func bytes(_ row: Int, origin: Int) -> UInt64 { UInt64(draw(row, 3, below: 4096)) }

    package func elements(_ row: Int) -> Int {
        guard let first = row < graph.count ? graph.references(of: TaskID(row)).first.map(Reference.init(word:)) : nil,
            first.operation == .overLiteral
        else { return draw(row, 4, below: mostElements + 1) }
        return first.payload < literals.count ? literals[first.payload] : 0
    }
}

extension ClusterOptions {
    /// Workers, allocator and faults of one seed; every request of `GraphBuilder.random` with `randomRequest` fits on some
    /// worker that stays.
    package static func random(seed: UInt64) -> ClusterOptions {
        var random = SplitMix64(seed: seed ^ 0xC10D)
        var workers: [SimulatedWorker] = []
        for number in 0..<1 + random.below(5) {
            let isFirst = number == 0
            let cores = isFirst ? 30_000 : UInt64(10_000 + random.below(30_000))
            var totals: [String: UInt64] = [
                "cpu": cores, "memory": isFirst ? 4 << 30 : UInt64(1 + random.below(4)) << 30,
            ]
            if isFirst || random.chance(0.3) { totals["disk"] = 20_000 }
            let indices = isFirst || random.chance(0.4) ? ["gpu": (0..<2 + random.below(2)).map(String.init)] : [:]
            let labels = ["zone": random.chance(0.5) || isFirst ? "eu" : "us"]
            let offer = WorkerOffer(
                capacity: WorkerCapacity(name: "w\(number)", totals: totals, labels: labels), indices: indices,
                price: Double(random.below(4)), speed: [0.5, 1, 1, 2][random.below(4)],
                leavesAt: !isFirst && random.chance(0.2) ? UInt64(1 + random.below(20_000_000)) : nil)
            workers.append(
                SimulatedWorker(offer: offer, joinsAt: isFirst ? 0 : UInt64(random.below(2) * random.below(5_000_000))))
        }
        var options = ClusterOptions(seed: seed, workers: workers)
        let allocators: [Allocator] = [
            .firstAvailable, .loadBalanced, .locality(slack: UInt64(random.below(2) * random.below(2_000_000))), .cost,
            .fastest, .random(seed: seed),
            .scored(perTask: false),
            .scored(perTask: true), .rounds,
        ]
        options.allocator = allocators[random.below(allocators.count)]
        options.shared = ["licence": 20_000]
        options.keepGoing = random.chance(0.6)
        options.checksRules = true
        options.faults.failureRate = random.chance(0.5) ? 0 : 0.15 * random.unit()
        options.faults.deathRate = random.chance(0.5) ? 0 : 0.1 * random.unit()
        options.faults.slowRate = random.chance(0.5) ? 0 : 0.3
        options.faults.lateRate = random.chance(0.5) ? 0 : 0.2
        options.faults.duplicateRate = random.chance(0.5) ? 0 : 0.2
        options.faults.dropRate = random.chance(0.7) ? 0 : 0.1
        options.faults.clockSkew = random.chance(0.5) ? 0 : 0.1
        return options
    }

    /// What tasks with these options ask for: cores, and by their other options memory, GPUs, licences, labels.
    package static func randomRequest(_ options: TaskOptions) -> NamedRequest {
        var random = SplitMix64(
            seed: UInt64(options.retries) &* 31 &+ UInt64(bitPattern: Int64(options.priority)) &+ options.cpu)
        var amounts: [String: UInt64] = ["cpu": options.cpu]
        if random.chance(0.3) { amounts["memory"] = UInt64(1 + random.below(3)) << 30 }
        if random.chance(0.2) { amounts["gpu"] = [2_500, 5_000, 10_000, 20_000][random.below(4)] }
        if random.chance(0.2) { amounts["licence"] = UInt64(10_000 * (1 + random.below(2))) }
        if random.chance(0.1) { amounts["disk"] = 15_000 }
        if random.chance(0.1) { amounts["slot"] = 10_000 }
        var variants = [NamedRequest.Variant(amounts: amounts)]
        if random.chance(0.2) { variants.append(NamedRequest.Variant(amounts: ["cpu": 10_000])) }
        let labels = random.chance(0.15) ? [TaskRequest.Label(name: "zone", values: ["eu", "asia"])] : []
        return NamedRequest(variants: variants, labels: labels)
    }
}

extension GraphBuilder {
    /// A random graph whose tasks ask for many things.
    package static func randomCluster(seed: UInt64, rows: Int) -> GraphBuilder {
        var builder = GraphBuilder.random(seed: seed, rows: rows)
        builder.request = ClusterOptions.randomRequest
        builder.limits = ["slot": 10_000]
        return builder
    }
}
