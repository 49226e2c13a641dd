import Handout
import HandoutCore
import HandoutInstances
import HandoutPlacement
import HandoutPlan
import HandoutScheduler
import HandoutSimulation
import HandoutStrategy

/// Scheduling instances and workflow traces.
extension SimulationOptions {
    static func instance(_ file: String) throws -> PlacementInstance {
        do {
            return try InstanceFile.read(try FileReading.bytes(of: file, limit: 1 << 30))
        } catch let failure as FileReading.Failure {
            throw CommandFailure(.environment, "\(TextEscape.shown(file)): \(failure)")
        } catch {
            throw CommandFailure(.usage, "\(TextEscape.shown(file)): \(TextEscape.shown("\(error)"))")
        }
    }

    /// `record`: what a run that is decided as it goes on has kept to explain it; those that are planned keep nothing.
    func schedule(
        _ instance: PlacementInstance, _ choice: AllocatorChoice, seed: UInt64, record: DecisionRecord? = nil
    ) throws -> Schedule {
        let request = try request(choice, seed: seed)
        if case .builtIn(let name, _) = choice, let allocator = SimulationAllocators.named(name) {
            if let record, let online = allocator.online {
                return InstanceGraph(instance).schedule(online, seed: seed, record: record)
            }
            return try allocator.schedule(instance, request)
        }
        guard case .file(let path, let options) = choice else { preconditionFailure("instances have no script") }
        let graph = InstanceGraph(instance)
        let strategy = try AllocatorChoice.strategy(
            file: path, options, seed: seed, budget: .ownInstructions, slot: nil)
        let driver = StrategyDriver(
            strategy, graph: graph.graph, run: "simulation", seed: seed,
            deadline: UInt64((request.deadline ?? 0) * 1e9), name: { _, row, _ in graph.graph.name(TaskID(row)) },
            warn: { Terminal.standard.line("warning: " + TextEscape.shown($0)) })
        driver.record = record
        return graph.schedule(
            StrategyDriver.allocator(strategy) ?? .loadBalanced, seed: seed, tells: driver.wantsEvents, record: record
        ) {
            driver.serve(&$0, now: $1, into: &$2, output: &$3)
        }
    }
}
