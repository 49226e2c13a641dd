package import HandoutCore
package import HandoutPlacement
package import HandoutScheduler

/// A planned graph on a cluster that is only described, in virtual time.
package struct GraphSimulation {
    package let graph: GraphColumns
    package var workers: [SimulatedWorker]
    package var shared: [String: UInt64] = [:]
    /// What is expected of its tasks.
    package var world: any PlannedWorld
    /// What comes instead; nil: what is expected. For tests.
    package var reality: (any SimulatedWorld)?
    package var network = PlacementInstance.Network()
    package var seed: UInt64 = 0
    package var keepGoing = false
    package var targets: [TaskID] = []
    package var outputs: [TaskID] = []
    package var faults = ClusterFaults()
    /// Keeps why some tasks wait and are placed as they are; nil: nobody asks.
    package var record: DecisionRecord?

    package init(graph: GraphColumns, workers: [SimulatedWorker], world: any PlannedWorld) {
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
        return ClusterSimulator(graph: graph, options: options, world: reality ?? world).run(strategy: strategy)
    }

    /// Plans the whole graph, then runs it by that plan, and by others that are made on the way where the policy does so.
    /// With `isBetter`: unless an allocator that needs no plan does better under it.
    package func run(
        planned policy: PlanPolicy, isBetter: ((ClusterResult, ClusterResult) -> Bool)? = nil
    ) -> ClusterResult {
        guard let trial = trial([:]), let first = FirstPlan(self, trial, policy.plan) else {
            let options = options(.fastest)
            return recorded(options) ?? simulate(options)
        }
        var chosen = options(.fastest)
        chosen.plan = PlacementPlan(first.entries)
        if policy.again != nil { chosen.replanner = { Replanner(first, policy, $0) } }
        var best = simulate(chosen)
        for allocator in isBetter == nil ? [] : [Allocator.fastest, .loadBalanced, .cost] {
            let options = options(allocator)
            let other = simulate(options)
            if isBetter?(other, best) ?? false { (best, chosen) = (other, options) }
        }
        return recorded(chosen) ?? best
    }

    private func simulate(_ options: ClusterOptions) -> ClusterResult {
        ClusterSimulator(graph: graph, options: options, world: reality ?? world).run()
    }

    /// A run as everything is expected to be, without faults; `known`: elements of declared lists that are known better. Nil:
    /// some task could run nowhere.
    func trial(_ known: [Int: Int]) -> ClusterResult? {
        var options = options(.fastest)
        options.recordsInputs = true
        options.faults = ClusterFaults()
        let world = CountedWorld(expected: world, known: known)
        let result = ClusterSimulator(graph: graph, options: options, world: world).run()
        return result.waiting == 0 ? result : nil
    }

    /// The run that was chosen once more, kept; nil: nobody asks. It is the same each time.
    private func recorded(_ options: ClusterOptions) -> ClusterResult? {
        guard let record else { return nil }
        if options.plan == nil { record.allocator += ", without a plan" }
        var options = options
        options.record = record
        return simulate(options)
    }

    /// What all workers together may hold, of the cluster and of the run.
    var pools: [String: UInt64] {
        var pools = shared
        for limit in graph.requests.limits { pools[graph.requests.names[Int(limit.resource)]] = limit.amount }
        return pools
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
