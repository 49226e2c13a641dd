package import HandoutCore

/// A graph as its estimates say: how long tasks take, and what is not known assumed.
package struct EstimateWorld: SimulatedWorld {
    /// Times and rates between workers.
    package struct Network: Sendable {
        /// Bytes a second from one worker to another; infinite: no limit.
        package var bandwidth: @Sendable (_ from: Int, _ to: Int) -> Double
        /// Nanoseconds.
        package var latency: @Sendable (_ from: Int, _ to: Int) -> UInt64

        package init(
            bandwidth: @escaping @Sendable (Int, Int) -> Double = { _, _ in .infinity },
            latency: @escaping @Sendable (Int, Int) -> UInt64 = { _, _ in 0 }
        ) {
            self.bandwidth = bandwidth
            self.latency = latency
        }
    }

    private let graph: GraphColumns
    private let literal: @Sendable (_ pool: Int) -> Int
    private let network: Network
    /// Nanoseconds of tasks without an estimate.
    package var assumedTime: UInt64 = 1_000_000_000
    /// Elements of lists that are made at run time.
    package var assumedElements = 8
    /// By declared row: nanoseconds and bytes that are known from elsewhere; 0: not.
    package var knownTimes: [UInt64] = []
    package var knownBytes: [UInt64] = []

    /// `literal`: elements of a list in the value pool.
    package init(graph: GraphColumns, network: Network = Network(), literal: @escaping @Sendable (_ pool: Int) -> Int) {
        self.graph = graph
        self.network = network
        self.literal = literal
    }

    package func duration(_ row: Int, origin: Int, worker: Int, variant: Int, speed: Double) -> UInt64 {
        let requests = graph.requests
        let request = requests.requests[Int(requests.ofOptions[Int(graph.optionIndices[origin])])]
        var time = variant < request.variants.count ? request.variants[variant].estimate : 0
        if time == 0 && origin < knownTimes.count { time = knownTimes[origin] }
        if time == 0 { time = assumedTime }
        return speed == 1 ? time : UInt64(Double(time) / speed)
    }

    package func transfer(of input: Int, to row: Int, from: Int, to worker: Int) -> (nanoseconds: UInt64, bytes: UInt64)
    {
        let bytes = bytes(input, origin: input)
        guard bytes > 0 else { return (network.latency(from, worker), 0) }
        let seconds = Double(bytes) / network.bandwidth(from, worker)
        return (network.latency(from, worker) + UInt64(min(seconds * 1e9, 1e18)), bytes)
    }

    package func bytes(_ row: Int, origin: Int) -> UInt64 { origin < knownBytes.count ? knownBytes[origin] : 0 }

    package func elements(_ row: Int) -> Int {
        guard row < graph.count else { return assumedElements }
        for word in graph.references(of: TaskID(row)) {
            let reference = Reference(word: word)
            if reference.operation == .overLiteral { return literal(reference.payload) }
            break
        }
        let kind = graph.kind(TaskID(row))
        return kind == .map || kind == .reduce || kind == .selector ? assumedElements : 1
    }
}
