package import CLuaShim
import HandoutCore
package import HandoutPlan
package import LuaRuntime

/// A strategy in Lua (`lua-api.md`, section 6), in a Lua state of its own.
///
/// It knows nothing of a scheduler: it is given views, structs that its caller fills and owns, and gives back choices.
/// Whatever is wrong with an answer comes as a `StrategyProblem`; what then decides is the caller's. After a limit was met
/// the strategy begins anew with the next call: what it remembered is gone.
///
/// One call at a time. Where budgets are of time, all calls are made on the thread of the slot that was given.
package final class LuaStrategy {
    package let facts: StrategyFacts
    private let storage: FileStorage
    private let options: ParameterStorage
    private let source: Source
    private let budget: StrategyBudget
    private var native: OpaquePointer

    private enum Source { case file, graph }

    /// The strategy that a file returns.
    ///
    /// - Parameters:
    ///   - options: given by the user, as text by name.
    ///   - slot: of the thread that makes the calls, or where instructions are counted, of any thread: for `interrupt`. Nil: no
    ///     deadline holds, and no call can be interrupted.
    ///   - log: receives what the strategy logs and prints; level 0 debug, 1 info, 2 warning, 3 error.
    /// - Throws: `PlanRefusal` with every problem found.
    package convenience init(
        file sources: ProgramSources, options: [String: String] = [:], seed: UInt64 = 0,
        budget: StrategyBudget = .own, slot: LeaseSlot? = nil, limits: FileLimits = FileLimits(),
        log: @escaping @Sendable (_ level: Int, _ text: String) -> Void = { _, _ in }
    ) throws(PlanRefusal) {
        let storage = FileStorage(sources, slot: slot, limits: limits, seed: seed, log: log)
        try self.init(storage, .file, options, budget)
    }

    /// The strategy that the script of a plan gave `g:allocator`: the script is run again.
    package convenience init(
        plan: Plan, parameters: [GivenParameter] = [], options: [String: String] = [:],
        budget: StrategyBudget = .own, slot: LeaseSlot? = nil, limits: FileLimits = FileLimits(),
        log: @escaping @Sendable (_ level: Int, _ text: String) -> Void = { _, _ in }
    ) throws(PlanRefusal) {
        let storage = FileStorage(
            plan.program, slot: slot, limits: limits, seed: plan.seed, parameters: parameters,
            recordings: plan.recordings, log: log)
        try self.init(storage, .graph, options, budget)
    }

    private init(
        _ storage: FileStorage, _ source: Source, _ options: [String: String], _ budget: StrategyBudget
    ) throws(PlanRefusal) {
        self.storage = storage
        self.source = source
        self.budget = budget
        self.options = ParameterStorage(
            options.sorted { $0.key < $1.key }.map {
                GivenParameter(name: $0.key, value: .text(Array($0.value.utf8)))
            })
        native = try LuaStrategy.make(storage, source, self.options, budget)
        guard let facts = StrategyFacts(handout_strategy_facts_of(native).pointee) else {
            handout_strategy_free(native)
            throw PlanRefusal(code: "script", "\(storage.program.entry.file): it gives no strategy")
        }
        self.facts = facts
    }

    deinit { handout_strategy_free(native) }

    private static func make(
        _ storage: FileStorage, _ source: Source, _ options: ParameterStorage, _ budget: StrategyBudget
    ) throws(PlanRefusal) -> OpaquePointer {
        var config = handout_strategy_config()
        config.file = UnsafePointer(storage.config)
        config.from_graph = source == .graph ? 1 : 0
        config.options = UnsafePointer(options.base)
        config.option_count = options.count
        switch budget {
        case .instructions(let count): config.instructions = count
        case .ownInstructions: config.instructions = StrategyBudget.instructions(for: 50_000_000)
        case .own, .time: break
        }
        guard let native = handout_strategy_new(&config) else {
            throw PlanRefusal(code: "memory", "\(storage.program.entry.file): not enough memory")
        }
        let problems = handout_strategy_facts_of(native).pointee.problems
        guard problems.count == 0 else {
            let refusal = PlanRefusal(problems)
            handout_strategy_free(native)
            throw refusal
        }
        switch budget {
        case .time(let nanoseconds): handout_strategy_set_budget(native, nanoseconds, 0)
        case .ownInstructions:
            let own = handout_strategy_facts_of(native).pointee.budget
            handout_strategy_set_budget(native, 0, StrategyBudget.instructions(for: own))
        case .own, .instructions: break
        }
        return native
    }

    // MARK: Calls

    /// Bytes that the Lua state has in use.
    package var memory: Int { handout_strategy_memory(native) }

    /// Asks `filter` and `score` about the task and each worker of the view; `choices` has a place a worker. Reasons in it
    /// hold until the next call.
    package func score(
        _ task: UnsafePointer<handout_task_view>, _ view: UnsafePointer<handout_strategy_view>,
        into choices: UnsafeMutableBufferPointer<handout_choice>
    ) throws(StrategyProblem) {
        precondition(choices.count >= Int(view.pointee.worker_count), "a place a worker")
        try renew()
        try check(handout_strategy_score(native, view, task, choices.baseAddress))
    }

    /// Asks for a round. The placements hold until the next call.
    package func allocate(
        _ view: UnsafePointer<handout_strategy_view>
    ) throws(StrategyProblem) -> (placements: UnsafeBufferPointer<handout_placement>, wait: UInt64) {
        try renew()
        var placements: UnsafePointer<handout_placement>?
        var count: UInt32 = 0
        var wait: UInt64 = 0
        try check(handout_strategy_allocate(native, view, &placements, &count, &wait))
        return (UnsafeBufferPointer(start: placements, count: Int(count)), wait)
    }

    /// Tells of an event, an encoded table as section 8 has it; true: what was scored is asked again.
    package func tell(_ event: EncodedValue) throws(StrategyProblem) -> Bool {
        guard facts.hasEvents else { return false }
        try renew()
        var again: Int32 = 0
        try check(handout_strategy_event(native, event.bytes, event.bytes.count, &again))
        return again != 0
    }

    /// The call that goes on, or comes next, is to end as soon as it can, as `cancelled`; `false` takes that back. From any
    /// thread.
    package func interrupt(_ on: Bool = true) { storage.slot?.cancel(on) }

    private func check(_ ended: Int32) throws(StrategyProblem) {
        guard ended != 0 else { return }
        throw StrategyProblem(ended: ended, handout_strategy_problem(native))
    }

    /// Makes the strategy anew where a limit ended it.
    private func renew() throws(StrategyProblem) {
        guard handout_strategy_is_dead(native) != 0 else { return }
        do throws(PlanRefusal) {
            let fresh = try LuaStrategy.make(storage, source, options, budget)
            handout_strategy_free(native)
            native = fresh
        } catch {
            let first = error.problems.first
            throw StrategyProblem(
                kind: .raised, message: first?.message ?? "it could not be run again", file: first?.file,
                line: first?.line)
        }
    }
}

extension StrategyProblem {
    package init(kind: Kind, message: String, file: String? = nil, line: Int? = nil) {
        self.kind = kind
        self.message = message
        self.file = file
        self.line = line
    }
}
