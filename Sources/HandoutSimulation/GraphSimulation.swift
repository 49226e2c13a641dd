package import HandoutCore
package import HandoutPlacement
package import HandoutScheduler

/// A planned graph on a cluster that is only described, in virtual time.
package struct GraphSimulation {
    package let graph: GraphColumns
    package var workers: [SimulatedWorker]
    package var shared: [String: UInt64] = [:]
    package var world: EstimateWorld
    package var network = PlacementInstance.Network()
    package var seed: UInt64 = 0
    package var keepGoing = false
    package var targets: [TaskID] = []
    package var outputs: [TaskID] = []
    package var faults = ClusterFaults()
    /// Keeps why some tasks wait and are placed as they are; nil: nobody asks.
    package var record: DecisionRecord?

    package init(graph: GraphColumns, workers: [SimulatedWorker], world: EstimateWorld) {
        self.graph = graph
        self.workers = workers
        self.world = world
    }

    private func options(_ allocator: Allocator) -> ClusterOptions {
        var options = ClusterOptions(seed: seed, workers: workers)
        options.shared = shared
        options.allocator = allocator
        options.keepGoing = keepGoing
        options.targets = targets
        options.outputs = outputs
        options.faults = faults
        return options
    }

    /// Runs it under an allocator that decides while it goes on. `strategy` answers what a strategy is asked; `tells`: it is
    /// told what happens, too.
    package func run(
        _ allocator: Allocator, tells: Bool = false,
        strategy: (inout SchedulerCore, UInt64, inout [Placement], inout SchedulerOutput) -> Void = { _, _, _, _ in }
    ) -> ClusterResult {
        var options = options(allocator)
        options.tellsStrategy = tells
        options.record = record
        return ClusterSimulator(graph: graph, options: options, world: world).run(strategy: strategy)
    }

    /// Plans the whole graph, then runs it by that plan. With `isBetter`: unless an allocator that needs no plan does
    /// better under it.
    package func run(
        planned plan: (PlacementInstance) -> Schedule, isBetter: ((ClusterResult, ClusterResult) -> Bool)? = nil
    ) -> ClusterResult {
        var trial = options(.fastest)
        trial.recordsInputs = true
        trial.faults = ClusterFaults()
        let first = ClusterSimulator(graph: graph, options: trial, world: world).run()
        guard first.waiting == 0, let (instance, rows) = instance(of: first) else { return recorded(trial) ?? first }
        var chosen = options(.fastest)
        chosen.plan = placement(plan(instance), instance, rows)
        var best = ClusterSimulator(graph: graph, options: chosen, world: world).run()
        for allocator in isBetter == nil ? [] : [Allocator.fastest, .loadBalanced, .cost] {
            let options = options(allocator)
            let other = ClusterSimulator(graph: graph, options: options, world: world).run()
            if isBetter?(other, best) ?? false { (best, chosen) = (other, options) }
        }
        return recorded(chosen) ?? best
    }

    /// The run that was chosen once more, kept; nil: nobody asks. It is the same each time.
    private func recorded(_ options: ClusterOptions) -> ClusterResult? {
        guard let record else { return nil }
        if options.plan == nil { record.allocator += ", without a plan" }
        var options = options
        options.record = record
        return ClusterSimulator(graph: graph, options: options, world: world).run()
    }

    /// What ran in a trial as an instance, and the attempts in its order.
    private func instance(of trial: ClusterResult) -> (PlacementInstance, [ScheduledAttempt])? {
        let rows = trial.schedule
        var taskOfRow: [UInt32: Int] = [:]
        for (task, attempt) in rows.enumerated() { taskOfRow[attempt.task] = task }
        let requests = graph.requests
        let names = requests.names
        let pools = self.pools
        let pooled = names.filter { pools[$0] != nil }.map { name in
            PlacementInstance.Pool(name: name, amount: Int64(clamping: min(pools[name] ?? 0, 1 << 60)))
        }
        var tasks: [PlacementInstance.Task] = []
        for attempt in rows {
            let origin = Int(attempt.declared)
            let request = requests.requests[Int(requests.ofOptions[Int(graph.optionIndices[origin])])]
            let times = workers.indices.map { time(attempt, origin, request, on: $0) }
            guard times.contains(where: \.isFinite) else { return nil }
            let inputs = (trial.inputs[attempt.task] ?? []).compactMap { row -> PlacementInstance.Input? in
                guard let producer = taskOfRow[row] else { return nil }
                let bytes = world.bytes(Int(row), origin: Int(rows[producer].declared))
                return PlacementInstance.Input(producer: producer, size: .bytes(Double(bytes)))
            }
            tasks.append(
                PlacementInstance.Task(
                    name: "\(attempt.task)", runTime: .perWorker(times),
                    amounts: names.map { pools[$0] == nil ? amount(request, $0) : 0 }, inputs: inputs,
                    pooled: pools.isEmpty ? [] : pooled.map { amount(request, $0.name) }))
        }
        let places = workers.map { worker in
            PlacementInstance.Worker(
                name: worker.offer.capacity.name, speed: worker.offer.speed,
                amounts: names.map { name in
                    let indices = worker.offer.indices[name].map { UInt64($0.count) * 10_000 }
                    return Int64(clamping: min(indices ?? worker.offer.capacity.total(name), 1 << 60))
                }, price: worker.offer.price / 3600,
                laterPrices: worker.prices.filter { $0.from > 0 }.map {
                    PlacementInstance.PriceStep(from: Double($0.from) / 1e9, price: $0.price / 3600)
                })
        }
        guard
            let instance = try? PlacementInstance(
                name: graph.name, resources: names, tasks: tasks, workers: places, network: network,
                pools: pooled)
        else { return nil }
        return (instance, rows)
    }

    /// What all workers together may hold, of the cluster and of the run.
    private var pools: [String: UInt64] {
        var pools = shared
        for limit in graph.requests.limits { pools[graph.requests.names[Int(limit.resource)]] = limit.amount }
        return pools
    }

    private func amount(_ request: TaskRequest, _ name: String) -> Int64 {
        let amounts = request.variants[0].amounts
        return amounts.first { graph.requests.names[Int($0.resource)] == name }.map { Int64(clamping: $0.amount) } ?? 0
    }

    private func time(_ attempt: ScheduledAttempt, _ origin: Int, _ request: TaskRequest, on worker: Int) -> Double {
        let offer = workers[worker].offer
        let isRight =
            request.worker.map { $0 == offer.capacity.name } ?? true
            && request.labels.allSatisfy { label in
                offer.capacity.labels[label.name].map { label.values.contains($0) } ?? false
            } && workers[worker].joinsAt == 0 && offer.leavesAt == nil
        guard isRight else { return .infinity }
        let row = Int(attempt.task)
        return Double(world.duration(row, origin: origin, worker: worker, variant: 0, speed: offer.speed)) / 1e9
    }

    private func placement(
        _ schedule: Schedule, _ instance: PlacementInstance, _ rows: [ScheduledAttempt]
    ) -> PlacementPlan {
        var plan = PlacementPlan()
        let order = schedule.entries.indices.sorted { left, right in
            (schedule.entries[left].start, left) < (schedule.entries[right].start, right)
        }
        let waits = instance.hasLaterPrices
        for (position, task) in order.enumerated() {
            let attempt = rows[task]
            plan[Int(attempt.declared), attempt.element < 0 ? nil : Int(attempt.element)] = PlacementPlan.Entry(
                worker: Int32(schedule.entries[task].worker), order: UInt32(position),
                notBefore: waits ? notBefore(task, schedule, instance) : 0)
        }
        return plan
    }

    /// The moment from which on a task is placed so that it starts as planned when its data have come. Rounded up, so that a
    /// price holds that begins then, but for what sums of seconds are wrong by.
    private func notBefore(_ task: Int, _ schedule: Schedule, _ instance: PlacementInstance) -> UInt64 {
        let entry = schedule.entries[task]
        let longest = instance.tasks[task].inputs.reduce(0.0) { longest, input in
            max(longest, instance.transferTime(input, from: schedule.entries[input.producer].worker, to: entry.worker))
        }
        return UInt64(max(0, (entry.start - longest) * 1e9 - 0.01).rounded(.up))
    }

    package func name(_ attempt: ScheduledAttempt) -> String {
        GraphSimulation.name(graph, Int(attempt.declared), attempt.element < 0 ? nil : Int(attempt.element))
    }

    /// The name of a row: `id`, `id[3]` of an instance, `id[#3]` of a node of a reduce.
    package static func name(_ graph: GraphColumns, _ declared: Int, _ element: Int?) -> String {
        let name = graph.name(TaskID(declared))
        guard let element else { return name }
        return graph.kind(TaskID(declared)) == .map ? "\(name)[\(element + 1)]" : "\(name)[#\(element + 1)]"
    }
}
