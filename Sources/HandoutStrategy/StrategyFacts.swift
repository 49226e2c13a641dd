import CLuaShim
import HandoutPlan

/// What a strategy is, as its file says.
package struct StrategyFacts: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        /// The file names one that is built in; options are durations in nanoseconds.
        case builtIn(String, options: [String: UInt64])
        /// `filter` and `score`, asked a class (or with `perTask` a task) and worker.
        case score(perTask: Bool)
        /// `allocate`, asked for rounds.
        case allocate
    }
    package var kind: Kind
    package var name: String?
    /// Nanoseconds a call.
    package var budget: UInt64
    /// It wants to be told of events.
    package var hasEvents: Bool

    init?(_ facts: handout_strategy_facts) {
        let name = facts.name.map { String(cString: $0) }
        switch UInt32(facts.kind) {
        case HANDOUT_STRATEGY_BUILT_IN.rawValue:
            var options: [String: UInt64] = [:]
            if let option = facts.option { options[String(cString: option)] = facts.option_duration }
            kind = .builtIn(name ?? "", options: options)
        case HANDOUT_STRATEGY_SCORE.rawValue: kind = .score(perTask: facts.per_task != 0)
        case HANDOUT_STRATEGY_ALLOCATE.rawValue: kind = .allocate
        default: return nil
        }
        self.name = name
        budget = facts.budget
        hasEvents = facts.has_event != 0
    }
}

/// How long one call of a strategy may take.
package enum StrategyBudget: Sendable, Equatable {
    /// What the strategy asks for, 50 ms by default, by the clock.
    case own
    /// Nanoseconds by the clock.
    case time(UInt64)
    /// Instructions of Lua: the same call ends the same way each time. For the simulator.
    case instructions(UInt64)
    /// What the strategy asks for, in instructions: those of 50 ms are 5 000 000.
    case ownInstructions

    /// Instructions that stand for so many nanoseconds.
    static func instructions(for nanoseconds: UInt64) -> UInt64 { max(1, nanoseconds / 10) }
}

/// What was wrong with a call of a strategy.
package struct StrategyProblem: Error, Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        /// It raised.
        case raised
        /// It answered in another shape, or named what is not there.
        case wrongAnswer
        /// Its budget was used up.
        case late
        case memory
        case cancelled
    }
    package var kind: Kind
    /// Without the place.
    package var message: String
    package var file: String?
    package var line: Int?

    /// `cheapest.lua:14: score: expected a finite number, got nan`
    package var text: String { PlanProblem(code: "strategy", message: message, file: file, line: line).text }

    init(ended: Int32, _ error: UnsafePointer<handout_plan_error>?) {
        switch UInt32(bitPattern: ended) {
        case HANDOUT_STRATEGY_WRONG.rawValue: kind = .wrongAnswer
        case HANDOUT_STRATEGY_LATE.rawValue: kind = .late
        case HANDOUT_STRATEGY_MEMORY.rawValue: kind = .memory
        case HANDOUT_STRATEGY_STOPPED.rawValue: kind = .cancelled
        default: kind = .raised
        }
        message = error?.pointee.message.map { String(cString: $0) } ?? "not enough memory"
        file = error?.pointee.file.map { String(cString: $0) }
        line = error.flatMap { $0.pointee.line > 0 ? Int($0.pointee.line) : nil }
    }
}
