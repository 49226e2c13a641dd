import HandoutCore
import HandoutPlacement
import HandoutScheduler
import HandoutSimulation

/// A run that was simulated, as reports and pictures need it. Times in the unit of the source, seconds for scripts.
struct SimulatedRun {
    struct Entry {
        var task: String
        var worker: Int
        var start: Double
        var finish: Double
    }

    var title: String
    var allocator: String
    var workers: [String]
    var makespan: Double
    var cost: Double
    var utilisation: Double
    var bytesMoved: Double
    /// In the order of the tasks.
    var entries: [Entry]
    /// Tasks that nothing that is left could hold, and tasks that failed.
    var waiting = 0
    var failed = 0
    /// A rule that the simulation broke; nil: none. An error of this program.
    var violation: String?

    init(_ instance: PlacementInstance, _ schedule: Schedule, allocator: String) {
        title = instance.name
        self.allocator = allocator
        workers = instance.workers.map(\.name)
        makespan = schedule.makespan
        cost = schedule.cost(in: instance)
        utilisation = schedule.utilisation(in: instance)
        bytesMoved = schedule.bytesMoved(in: instance)
        entries = zip(instance.tasks, schedule.entries).map {
            Entry(task: $0.name, worker: $1.worker, start: $1.start, finish: $1.finish)
        }
    }

    init(_ simulation: GraphSimulation, _ result: ClusterResult, allocator: String) {
        title = simulation.graph.name
        self.allocator = allocator
        workers = simulation.workers.map(\.offer.capacity.name)
        makespan = Double(result.makespan) / 1e9
        cost = result.cost
        utilisation = result.utilisation
        bytesMoved = Double(result.bytesMoved)
        entries = result.schedule.map { attempt in
            Entry(
                task: simulation.name(attempt), worker: Int(attempt.worker), start: Double(attempt.start) / 1e9,
                finish: Double(attempt.finish) / 1e9)
        }
        waiting = result.waiting
        failed = result.counts.failed
        violation = result.violation
    }
}
