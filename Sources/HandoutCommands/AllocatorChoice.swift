import ArgumentParser
import HandoutCore
import HandoutPlan
import HandoutScheduler
import HandoutStrategy
import LuaRuntime

/// What `--allocator` or a graph's `g:allocator` names.
enum AllocatorChoice {
    /// One that is built in; options as text.
    case builtIn(String, [String: String])
    /// A file of Lua.
    case file(String, [String: String])
    /// The script's own.
    case script

    /// Reads `NAME|FILE[,key=value…]`.
    init(_ text: String) throws(CommandFailure) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        var options: [String: String] = [:]
        for part in parts.dropFirst() {
            guard let equals = part.firstIndex(of: "="), equals != part.startIndex else {
                throw CommandFailure(
                    .usage, "--allocator: expected name,key=value, got '\(TextEscape.shown(text))'")
            }
            options[String(part[..<equals])] = String(part[part.index(after: equals)...])
        }
        let name = parts[0]
        if name.hasSuffix(".lua") || name.contains("/") {
            self = .file(name, options)
        } else if SimulationAllocators.names.contains(name) {
            self = .builtIn(name, options)
        } else {
            throw CommandFailure(
                .usage,
                "--allocator: expected \(SimulationAllocators.names.joined(separator: ", ")) or a file of Lua, "
                    + "got '\(TextEscape.shown(name))'")
        }
    }

    /// What a plan's graph says; nil: nothing.
    init?(_ plan: Plan) {
        switch plan.strategy {
        case .builtIn(let name, let options):
            self = .builtIn(name, options.mapValues { "\(Double($0) / 1e9)" })
        case .lua: self = .script
        case nil: return nil
        }
    }

    var isInLua: Bool {
        if case .builtIn = self { return false }
        return true
    }

    /// For reports: the name, or the file.
    var title: String {
        switch self {
        case .builtIn(let name, _): name
        case .file(let path, _): path.split(separator: "/").last.map(String.init) ?? path
        case .script: "the script's own"
        }
    }

    /// The strategy in Lua that it means; nil: one that is built in. `budget`: of a call.
    func strategy(
        _ plan: Plan, _ parameters: [GivenParameter], budget: StrategyBudget, slot: LeaseSlot?
    ) throws(CommandFailure) -> LuaStrategy? {
        switch self {
        case .builtIn: return nil
        case .file(let path, let options):
            return try AllocatorChoice.strategy(file: path, options, seed: plan.seed, budget: budget, slot: slot)
        case .script:
            return try AllocatorChoice.said { () throws(PlanRefusal) in
                try LuaStrategy(
                    plan: plan, parameters: parameters, budget: budget, slot: slot, log: AllocatorChoice.log)
            }
        }
    }

    static func strategy(
        file path: String, _ options: [String: String], seed: UInt64, budget: StrategyBudget, slot: LeaseSlot?
    ) throws(CommandFailure) -> LuaStrategy {
        try said { () throws(PlanRefusal) in
            let sources: ProgramSources
            do throws(ProgramError) { sources = try ProgramSources(path: path) } catch { throw PlanRefusal(error) }
            return try LuaStrategy(
                file: sources, options: options, seed: seed, budget: budget, slot: slot, log: log)
        }
    }

    private static let log: @Sendable (Int, String) -> Void = { _, text in
        Terminal.standard.line("allocator: " + TextEscape.shown(text))
    }

    private static func said(
        _ make: () throws(PlanRefusal) -> LuaStrategy
    ) throws(CommandFailure) -> LuaStrategy {
        do { return try make() } catch {
            let status: ExitStatus = error.problems.contains { $0.code == "file" } ? .environment : .usage
            throw CommandFailure(
                status, error.problems.map { TextEscape.shown($0.text, keepLines: true) }.joined(separator: "\n"))
        }
    }
}
