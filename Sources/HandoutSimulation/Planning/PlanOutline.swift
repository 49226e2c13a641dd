import HandoutCore
import HandoutPlacement
import HandoutScheduler

/// What a run is expected to consist of, from a trial in virtual time: what ran, and what it was given.
struct PlanOutline {
    /// The place of a row in its graph, under which it is known from one run to another.
    struct Place: Hashable {
        var declared: Int
        /// Which instance of a map, or node of a reduce; nil: the declared row itself.
        var element: Int?
    }

    struct Entry {
        var place: Place
        /// By which the expected world knows it.
        var row: Int
        var inputs: [(entry: Int, size: PlacementInstance.Input.Size)]
    }

    private(set) var entries: [Entry] = []
    private(set) var entryOfPlace: [Place: Int] = [:]
    /// Declared rows that more than one entry is made of.
    private(set) var repeated: Set<Int> = []

    /// Requires that the trial recorded inputs.
    init(_ trial: ClusterResult, _ world: any PlannedWorld) {
        var entryOfRow: [UInt32: Int] = [:]
        for (entry, attempt) in trial.schedule.enumerated() { entryOfRow[attempt.task] = entry }
        for attempt in trial.schedule {
            let place = Place(
                declared: Int(attempt.declared), element: attempt.element < 0 ? nil : Int(attempt.element))
            let inputs = (trial.inputs[attempt.task] ?? []).compactMap { row in
                entryOfRow[row].map { producer in
                    let origin = Int(trial.schedule[producer].declared)
                    return (producer, world.size(of: Int(row), origin: origin, to: Int(attempt.task)))
                }
            }
            if place.element != nil { repeated.insert(place.declared) }
            entryOfPlace[place] = entries.count
            entries.append(Entry(place: place, row: Int(attempt.task), inputs: inputs))
        }
    }
}

/// Requests, workers and pools of a simulation as those of an instance.
struct InstanceParts {
    let simulation: GraphSimulation
    private let names: [String]
    private let pools: [String: UInt64]
    let pooled: [PlacementInstance.Pool]
    private static let most: UInt64 = 1 << 60

    init(_ simulation: GraphSimulation) {
        self.simulation = simulation
        names = simulation.graph.requests.names
        let pools = simulation.pools
        self.pools = pools
        pooled = names.filter { pools[$0] != nil }.map { name in
            PlacementInstance.Pool(name: name, amount: Int64(clamping: min(pools[name] ?? 0, InstanceParts.most)))
        }
    }

    func request(_ declared: Int) -> TaskRequest {
        let graph = simulation.graph
        return graph.requests.requests[Int(graph.requests.ofOptions[Int(graph.optionIndices[declared])])]
    }

    /// Of each resource of workers.
    func amounts(_ request: TaskRequest) -> [Int64] {
        names.map { pools[$0] == nil ? amount(request, $0) : 0 }
    }

    /// Of each pool; empty where there are none.
    func pooled(_ request: TaskRequest) -> [Int64] { pooled.map { amount(request, $0.name) } }

    private func amount(_ request: TaskRequest, _ name: String) -> Int64 {
        let amounts = request.variants[0].amounts
        return amounts.first { simulation.graph.requests.names[Int($0.resource)] == name }
            .map { Int64(clamping: $0.amount) } ?? 0
    }

    func totals(_ offer: WorkerOffer) -> [Int64] {
        names.map { name in
            let indices = offer.indices[name].map { UInt64($0.count) * 10_000 }
            return Int64(clamping: min(indices ?? offer.capacity.total(name), InstanceParts.most))
        }
    }

    /// A worker from a moment in seconds on, which is the new 0.
    func worker(_ worker: SimulatedWorker, offer: WorkerOffer, from moment: Double = 0) -> PlacementInstance.Worker {
        var price = worker.offer.price
        for step in worker.prices where Double(step.from) / 1e9 <= moment { price = step.price }
        return PlacementInstance.Worker(
            name: offer.capacity.name, speed: offer.speed, amounts: totals(offer), price: price / 3600,
            laterPrices: worker.prices.filter { Double($0.from) / 1e9 > moment }.map {
                PlacementInstance.PriceStep(from: Double($0.from) / 1e9 - moment, price: $0.price / 3600)
            })
    }

    /// Labels and name are right.
    static func isRight(_ request: TaskRequest, _ offer: WorkerOffer) -> Bool {
        (request.worker.map { $0 == offer.capacity.name } ?? true)
            && request.labels.allSatisfy { label in
                offer.capacity.labels[label.name].map { label.values.contains($0) } ?? false
            }
    }

    /// Seconds that an entry is expected to take on a worker of that speed.
    func time(_ entry: PlanOutline.Entry, on worker: Int, speed: Double) -> Double {
        Double(
            simulation.world.duration(
                entry.row, origin: entry.place.declared, worker: worker, variant: 0, speed: speed)) / 1e9
    }
}
