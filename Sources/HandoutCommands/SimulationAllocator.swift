import CLuaShim
import Glibc
import HandoutPlacement
import HandoutScheduler
import HandoutSimulation

/// What an allocator is asked when a whole instance is to be scheduled.
struct SimulationRequest {
    /// In the unit of the instance's times.
    var deadline: Double?
    /// Wall-clock time for planning, in seconds; nil: only evaluations count.
    var budget: Double?
    var evaluations: Int
    var seed: UInt64
    /// Nanoseconds that a task waits for the worker of its data, under `locality`.
    var slack: UInt64 = 2_000_000_000

    /// A budget that begins now.
    var planningBudget: PlanningBudget {
        guard let budget else { return PlanningBudget(evaluations: evaluations) }
        let begun = SimulationRequest.seconds()
        return PlanningBudget(
            evaluations: evaluations, timeUsed: { (SimulationRequest.seconds() - begun) / max(budget, 1e-9) })
    }

    private static func seconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}

/// A name given to `--allocator`, as something that turns an instance into a schedule.
protocol SimulationAllocator {
    var name: String { get }
    /// The scheduler's own, where it decides while the run goes on; nil: it plans.
    var online: Allocator? { get }
    func schedule(_ instance: PlacementInstance, _ request: SimulationRequest) throws -> Schedule
}

extension SimulationAllocator {
    var online: Allocator? { nil }
}

/// The allocators by name. Those that decide while a run goes on, and files of Lua, come in here too.
enum SimulationAllocators {
    static let names =
        ["time", "cost", "first-available", "load-balanced", "locality"] + ListScheduler.allCases.map(\.rawValue)

    /// Runs a graph under the allocator of that name.
    static func run(_ name: String, _ simulation: GraphSimulation, _ request: SimulationRequest) -> ClusterResult {
        switch name {
        case "first-available": return simulation.run(.firstAvailable)
        case "load-balanced": return simulation.run(.loadBalanced)
        case "locality": return simulation.run(.locality(slack: request.slack))
        case "cost": return cheapest(simulation, request)
        default:
            if let scheduler = ListScheduler(rawValue: name) {
                return simulation.run(planned: PlanPolicy { scheduler.schedule($0) })
            }
            return simulation.run(
                planned: .time(seed: request.seed, evaluations: request.evaluations) { request.planningBudget },
                isBetter: { $0.makespan < $1.makespan })
        }
    }

    private static func cheapest(_ simulation: GraphSimulation, _ request: SimulationRequest) -> ClusterResult {
        let deadline = request.deadline.map { UInt64($0 * 1e9) } ?? UInt64.max
        let policy = PlanPolicy.cost(
            deadline: request.deadline, seed: request.seed, evaluations: request.evaluations
        ) { request.planningBudget }
        return simulation.run(planned: policy) { first, second in
            let inTime = first.makespan <= deadline
            if inTime != (second.makespan <= deadline) { return inTime }
            return inTime ? first.cost < second.cost : first.makespan < second.makespan
        }
    }

    static func named(_ name: String) -> (any SimulationAllocator)? {
        switch name {
        case "time": TimeAllocator()
        case "cost": CostAllocator()
        case "first-available": OnlineAllocator(name: name, allocator: .firstAvailable)
        case "load-balanced": OnlineAllocator(name: name, allocator: .loadBalanced)
        case "locality": OnlineAllocator(name: name, allocator: .locality(slack: 2_000_000_000))
        default: ListScheduler(rawValue: name).map(ListAllocator.init)
        }
    }
}

private struct TimeAllocator: SimulationAllocator {
    let name = "time"

    func schedule(_ instance: PlacementInstance, _ request: SimulationRequest) -> Schedule {
        TimePlanner(instance, seed: request.seed).plan(request.planningBudget)
    }
}

private struct CostAllocator: SimulationAllocator {
    let name = "cost"

    func schedule(_ instance: PlacementInstance, _ request: SimulationRequest) -> Schedule {
        CostPlanner(instance, seed: request.seed).plan(deadline: request.deadline, request.planningBudget)
    }
}

/// One that decides while a run goes on, and knows nothing of what comes: the scheduler itself in virtual time.
private struct OnlineAllocator: SimulationAllocator {
    let name: String
    let allocator: Allocator
    var online: Allocator? { allocator }

    func schedule(_ instance: PlacementInstance, _ request: SimulationRequest) -> Schedule {
        InstanceGraph(instance).schedule(allocator, seed: request.seed)
    }
}

private struct ListAllocator: SimulationAllocator {
    let scheduler: ListScheduler
    var name: String { scheduler.rawValue }

    func schedule(_ instance: PlacementInstance, _ request: SimulationRequest) -> Schedule {
        scheduler.schedule(instance)
    }
}
