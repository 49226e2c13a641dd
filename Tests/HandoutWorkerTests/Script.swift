import HandoutCore
import HandoutPlan
import HandoutScheduler
import LuaRuntime

@testable import Handout

/// A script in memory, planned and run in this process.
struct Script {
    var text: String
    var directory = "/"

    init(_ text: String) { self.text = text }

    /// A script in which `handout` and the graph `g` are there.
    init(body: String) {
        self.init("local handout = require \"handout\"\nlocal g = handout.graph(\"x\")\n\(body)\nreturn g\n")
    }

    func plan() throws -> Plan {
        try Planner().plan(ProgramSources(entry: try ProgramSource(name: "", file: "t.lua", bytes: Array(text.utf8))))
    }

    /// What came of a run: outputs as JSON by name, failures as `task attempt kind: message`, and counts.
    struct Outcome: Equatable {
        var outputs: [String: String]
        var failures: [String]
        var counts: [Int]
        var seconds = 0.0

        static func == (left: Outcome, right: Outcome) -> Bool {
            left.outputs == right.outputs && left.failures == right.failures && left.counts == right.counts
        }
    }

    func run(slots: Int, _ plan: Plan? = nil) throws -> Outcome {
        var options = LocalRunOptions()
        options.slots = slots
        options.keepGoing = true
        options.planTime = 600_000_000_000  // of the wall clock there: sanitizers are slow
        let run = try LocalRun(plan: plan ?? self.plan(), parameters: [], options: options)
        let outcome = try run.run { _, _ in }
        var outputs: [String: String] = [:]
        for output in outcome.outputs {
            outputs[output.name] = try output.value.map { String(decoding: try $0.json(), as: UTF8.self) } ?? "null"
        }
        return Outcome(
            outputs: outputs,
            failures: outcome.failures.map {
                "\($0.name) \($0.report.attempt) \($0.report.ended): \($0.report.message)"
            }.sorted(),
            counts: [outcome.counts.done, outcome.counts.failed, outcome.counts.skipped], seconds: outcome.seconds)
    }
}
