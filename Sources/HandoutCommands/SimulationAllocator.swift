import CLuaShim
import Glibc
import HandoutPlacement

/// What an allocator is asked when a whole instance is to be scheduled.
struct SimulationRequest {
    /// In the unit of the instance's times.
    var deadline: Double?
    /// Wall-clock time for planning, in seconds; nil: only evaluations count.
    var budget: Double?
    var evaluations: Int
    var seed: UInt64

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
    func schedule(_ instance: PlacementInstance, _ request: SimulationRequest) throws -> Schedule
}

/// The allocators by name. Those that decide while a run goes on, and files of Lua, come in here too.
enum SimulationAllocators {
    static let names = ["time", "cost"] + ListScheduler.allCases.map(\.rawValue)

    static func named(_ name: String) -> (any SimulationAllocator)? {
        switch name {
        case "time": TimeAllocator()
        case "cost": CostAllocator()
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

private struct ListAllocator: SimulationAllocator {
    let scheduler: ListScheduler
    var name: String { scheduler.rawValue }

    func schedule(_ instance: PlacementInstance, _ request: SimulationRequest) -> Schedule {
        scheduler.schedule(instance)
    }
}
