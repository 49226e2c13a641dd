import ArgumentParser
import Handout
import HandoutCore
import HandoutPlan
import HandoutScheduler
import HandoutSimulation
import HandoutStrategy

/// What `simulate` and `plan` take beside a script: how far planning goes, and what is taken for granted of tasks.
struct SimulationOptions: ParsableArguments {
    @Option(help: ArgumentHelp("When the last task must have ended, for cost.", valueName: "duration"))
    var deadline: TimeLimit?

    @Option(
        help: ArgumentHelp("Time for planning. Default: 2s, or no limit with --evaluations.", valueName: "duration"))
    var budget: TimeLimit?

    @Option(help: ArgumentHelp("Schedules that planning may try.", valueName: "n"))
    var evaluations: Int?

    @Option(
        name: .customLong("assume-time"),
        help: ArgumentHelp("Run time of tasks without an estimate.", valueName: "duration"))
    var assumedTime: Duration = Duration(nanoseconds: 1_000_000_000)

    @Option(
        name: .customLong("assume-elements"),
        help: ArgumentHelp("Elements of lists that tasks make.", valueName: "n"))
    var assumedElements: Int = 8

    func validate() throws {
        if let evaluations, evaluations < 1 {
            throw ValidationError("--evaluations: expected 1 or more, got \(evaluations)")
        }
        if !(0...10_000_000).contains(assumedElements) {
            throw ValidationError("--assume-elements: expected 0 to 10000000, got \(assumedElements)")
        }
    }

    /// Planning with what is known beforehand. The default of 2 s holds only where nothing else bounds it.
    func request(_ choice: AllocatorChoice, seed: UInt64) throws -> SimulationRequest {
        var options: [String: String] = [:]
        if case .builtIn(_, let given) = choice { options = given }
        func seconds(_ name: String) throws -> Double? {
            guard let text = options[name] else { return nil }
            guard let limit = TimeLimit(argument: text) else {
                throw CommandFailure(
                    .usage,
                    "--allocator \(choice.title): option '\(name)': expected a duration, got '\(TextEscape.shown(text))'"
                )
            }
            return limit.seconds
        }
        let deadline = try seconds("deadline") ?? deadline?.seconds
        let budget = try seconds("budget") ?? budget?.seconds
        var request = SimulationRequest(
            deadline: deadline, budget: evaluations == nil ? budget ?? 2 : budget, evaluations: evaluations ?? .max,
            seed: seed)
        if let slack = try seconds("slack") { request.slack = UInt64(min(slack * 1e9, 1e18)) }
        return request
    }

    /// A script that is run in virtual time.
    struct Script {
        let plan: Plan
        let parameters: [GivenParameter]
        let seed: UInt64
        var graph: GraphSimulation

        /// What the script itself says, or `load-balanced`.
        var choice: AllocatorChoice { AllocatorChoice(plan) ?? .builtIn("load-balanced", [:]) }
    }

    /// The script on the workers of a cluster file; without one on this machine.
    func script(
        _ plan: Plan, _ parameters: [GivenParameter], _ options: ScriptOptions, _ cluster: ClusterDescription?
    ) throws -> Script {
        let workers = try cluster?.simulated ?? [SimulatedWorker(offer: try options.machine.worker())]
        let network = cluster?.rates ?? EstimateWorld.Network()
        var world = EstimateWorld(graph: plan.graph, network: network) { plan.functions.elementCount(UInt32($0)) }
        world.assumedTime = assumedTime.nanoseconds
        world.assumedElements = assumedElements
        var graph = GraphSimulation(graph: plan.graph, workers: workers, world: world)
        graph.shared = cluster?.shared ?? [:]
        if let cluster { graph.network = cluster.placementNetwork }
        graph.seed = options.seed
        return Script(plan: plan, parameters: parameters, seed: options.seed, graph: graph)
    }

    /// The whole run under one allocator. Strategies in Lua count instructions, so that it is the same each time.
    func run(_ script: Script, _ choice: AllocatorChoice) throws -> SimulatedRun {
        let plan = script.plan
        var request = try request(choice, seed: script.seed)
        if request.deadline == nil && plan.graph.deadline > 0 {
            request.deadline = Double(plan.graph.deadline) / 1e9
        }
        func builtIn(_ name: String, title: String) -> SimulatedRun {
            SimulatedRun(script.graph, SimulationAllocators.run(name, script.graph, request), allocator: title)
        }
        if case .builtIn(let name, _) = choice { return builtIn(name, title: choice.title) }
        guard let strategy = try choice.strategy(plan, script.parameters, budget: .ownInstructions, slot: nil) else {
            preconditionFailure("what is not built in is in Lua")
        }
        if case .builtIn(let name, _) = strategy.facts.kind { return builtIn(name, title: name) }
        let driver = StrategyDriver(
            strategy, graph: plan.graph, run: "simulation", seed: script.seed,
            deadline: UInt64((request.deadline ?? 0) * 1e9),
            name: { GraphSimulation.name(plan.graph, $1, $2) },
            warn: { Terminal.standard.line("warning: " + TextEscape.shown($0)) })
        driver.record = script.graph.record
        let result = script.graph.run(
            StrategyDriver.allocator(strategy) ?? .loadBalanced, tells: driver.wantsEvents
        ) {
            driver.serve(&$0, now: $1, into: &$2, output: &$3)
        }
        return SimulatedRun(script.graph, result, allocator: choice.title)
    }
}

/// A duration, or a plain number in the unit of an instance's times.
struct TimeLimit: ExpressibleByArgument {
    var seconds: Double

    init?(argument: String) {
        if let number = Double(argument), number >= 0, number.isFinite {
            seconds = number
        } else if let duration = Duration(argument: argument) {
            seconds = Double(duration.nanoseconds) * 1e-9
        } else {
            return nil
        }
    }
}
