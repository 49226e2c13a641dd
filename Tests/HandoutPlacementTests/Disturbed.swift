import Glibc
import HandoutCore
import HandoutPlacement
import HandoutScheduler
import HandoutSimulation

/// An instance whose tasks take longer or shorter than it says, on workers some of which are slow, go or come.
struct DisturbedWorld: SimulatedWorld {
    let expected: InstanceGraph
    let seed: UInt64
    /// Tasks take up to so many times as long, or that part of the time.
    var spread = 1.0
    /// By worker.
    var slowness: [Double] = []

    func duration(_ row: Int, origin: Int, worker: Int, variant: Int, speed: Double) -> UInt64 {
        let time = expected.duration(row, origin: origin, worker: worker, variant: variant, speed: speed)
        var random = SplitMix64(seed: seed ^ SplitMix64.mix(UInt64(row) &+ 77))
        let factor = exp(log(spread) * (2 * random.unit() - 1))
        return UInt64(Double(time) * factor * (worker < slowness.count ? slowness[worker] : 1))
    }
    func transfer(of input: Int, to row: Int, from: Int, to worker: Int) -> (nanoseconds: UInt64, bytes: UInt64) {
        expected.transfer(of: input, to: row, from: from, to: worker)
    }
    func bytes(_ row: Int, origin: Int) -> UInt64 { expected.bytes(row, origin: origin) }
    func elements(_ row: Int) -> Int { 1 }
}

/// What an instance meets.
enum Disturbance: String, CaseIterable {
    case none
    case estimates = "estimates wrong by up to 2"
    case slow = "a quarter of the workers four times as slow"
    case leaves = "a worker leaves"
    case joins = "a worker joins"
    case losses = "one attempt in fifty is lost with its worker, which comes back"

    /// Makespans in seconds by the first plan, and by plans that are made again; nil: the instance does not end.
    func run(
        _ instance: PlacementInstance, seed: UInt64, evaluations: Int, deadline: Double? = nil
    ) -> (once: ClusterResult, again: ClusterResult)? {
        let graph = InstanceGraph(instance)
        var random = SplitMix64(seed: seed)
        var world = DisturbedWorld(expected: graph, seed: seed)
        var workers = graph.workers
        let makespan = ListScheduler.heft.schedule(instance).makespan * 1e9
        var faults = ClusterFaults()
        switch self {
        case .none: break
        case .estimates: world.spread = 2
        case .slow:
            let first = random.below(workers.count)
            world.slowness = workers.indices.map { ($0 + first) % 4 == 0 ? 4 : 1 }
        case .leaves:
            guard workers.count > 1 else { return nil }
            // It goes without a word: no plan knows beforehand.
            workers[random.below(workers.count)].failsAt = UInt64(makespan * (0.2 + 0.4 * random.unit()))
        case .joins:
            guard workers.count > 1 else { return nil }
            workers[random.below(workers.count)].joinsAt = UInt64(makespan * (0.2 + 0.4 * random.unit()))
        case .losses: faults.deathRate = 0.02
        }
        var simulation = GraphSimulation(graph: graph.graph, workers: workers, world: graph)
        simulation.network = instance.network
        simulation.reality = world
        simulation.seed = seed
        simulation.faults = faults
        let budget = PlanningBudget(evaluations: evaluations)
        var policy = PlanPolicy.time(seed: 1, evaluations: evaluations) { budget }
        if let deadline { policy = .cost(deadline: deadline, seed: 1, evaluations: evaluations) { budget } }
        let again = simulation.run(planned: policy)
        policy.again = nil
        let once = simulation.run(planned: policy)
        guard once.waiting == 0, again.waiting == 0 else { return nil }
        return (once, again)
    }
}
