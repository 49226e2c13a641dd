import Glibc
import HandoutCore
import HandoutPlan
import LuaRuntime
import Testing

@testable import Handout

/// Scripts that once crashed the process, took its memory, or had tasks run with something else than was planned.
@Suite struct RegressionTests {
    /// A script with modules, in memory.
    private struct Program {
        var body: String
        var modules: [(name: String, text: String)] = []

        func plan(_ limits: PlanLimits = PlanLimits()) throws -> Plan {
            let text = "local handout = require \"handout\"\nlocal g = handout.graph(\"x\")\n\(body)\nreturn g\n"
            var limits = limits
            limits.time = max(limits.time, 600_000_000_000)  // sanitizers are slow
            return try Planner(limits: limits).plan(
                ProgramSources(
                    entry: try ProgramSource(name: "", file: "t.lua", bytes: Array(text.utf8)),
                    modules: modules.map {
                        try ProgramSource(name: $0.name, file: "\($0.name).lua", bytes: Array($0.text.utf8))
                    }))
        }

        /// The outputs, `name=JSON`, and the messages of failures; on one slot, so that tasks run in order of priority.
        func run(rerunsScript: Bool) throws -> [String] {
            var options = LocalRunOptions()
            options.slots = 1
            options.keepGoing = true
            options.rerunsScript = rerunsScript
            options.planTime = 600_000_000_000  // of the wall clock: sanitizers are slow
            let outcome = try LocalRun(plan: plan(), parameters: [], options: options).run { _, _ in }
            var found: [String] = []
            for output in outcome.outputs {
                let value = try output.value.map { String(decoding: try $0.json(), as: UTF8.self) }
                found.append("\(output.name)=\(value ?? "null")")
            }
            return found.sorted() + outcome.failures.map { "\($0.name): \($0.report.message)" }.sorted()
        }
    }

    /// Functions among options belong to no row that shows them by itself.
    @Test func `functions of options are found by running the script again`() throws {
        let script = Program(
            body: """
                local base = 2
                local function half(n) return n / base / 2 end
                local d = handout.graph{ name = "d", priority = function() return 1 end }
                d:task("t", function() return 1 end)
                g:map("m", { over = { 1, 2 }, cpu = function(inputs) return half(inputs[1]) end }, function()
                  return handout.task.amounts.cpu
                end)
                g:include("d", d)
                base = 4
                """)
        for rerunsScript in [false, true] {
            #expect(try script.run(rerunsScript: rerunsScript) == ["d/t=1", "m=[0.125,0.25]"])
        }
    }

    /// What planning reads is the same where the script runs again, whatever lies there by then.
    @Test func `a script that runs again is given what planning read`() throws {
        var template = Array("/tmp/handout-test-XXXXXX\0".utf8.map { CChar(bitPattern: $0) })
        guard mkdtemp(&template) != nil else { return }
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let path = folder + "/f"
        defer { rmdir(folder) }
        close(open(path, O_CREAT | O_WRONLY, 0o600))
        let text = """
            local handout = require "handout"
            local g = handout.graph("x")
            local size, names, ok, message = #handout.read("f"), handout.glob("*"), pcall(handout.read, "nix")
            g:task("t", function() return { size, names, ok, message } end)
            return g
            """
        var planner = Planner()
        planner.directory = folder
        let plan = try planner.plan(
            ProgramSources(entry: try ProgramSource(name: "", file: "t.lua", bytes: Array(text.utf8))))
        unlink(path)
        for rerunsScript in [false, true] {
            var options = LocalRunOptions()
            options.rerunsScript = rerunsScript
            options.planTime = 600_000_000_000  // of the wall clock: sanitizers are slow
            let outcome = try LocalRun(plan: plan, parameters: [], options: options).run { _, _ in }
            let value = try outcome.outputs.first?.value.map { String(decoding: try $0.json(), as: UTF8.self) }
            #expect(value == "[0,[\"f\"],false,\"read: 'nix': No such file or directory\"]")
        }
        #expect(plan.recordings.map(\.call) == ["read", "glob", "read"])
        #expect(plan.recordings.map(\.argument) == ["f", "*", "nix"])
        let bundle = plan.bundle
        #expect(Bundle(bytes: bundle.bytes)?.recordings == bundle.recordings && bundle.recordings.count == 3)
    }

    /// Runs with the compiled forms that planning kept, and with functions found by running the script again.
    private func expect(
        _ body: String, modules: [(name: String, text: String)] = [], _ expected: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        for rerunsScript in [false, true] {
            let found = try Program(body: body, modules: modules).run(rerunsScript: rerunsScript)
            #expect(found == expected, "rerunsScript: \(rerunsScript)", sourceLocation: sourceLocation)
        }
    }

    private func refusal(_ body: String, _ limits: PlanLimits = PlanLimits()) -> String? {
        do throws(any Error) { _ = try Program(body: body).plan(limits) } catch {
            return (error as? PlanRefusal)?.problems.first?.message
        }
        return nil
    }

    // MARK: Declarations

    @Test func `no code of the script runs while needs are read`() throws {
        let many = "for i = 1, 200 do handout.graph(\"x\" .. i) end"
        try expect(
            """
            local a = g:task("a", function() return 1 end)
            local before = pairs
            pairs = function(t) \(many) return before(t) end
            g:output("b", g:task("b", { needs = { { k = a } } }, function(t) return t.k end))
            pairs = nil
            local t = setmetatable({ k = a }, { __pairs = function(t) \(many) return next, {}, nil end })
            g:output("c", g:task("c", { needs = { t } }, function(t) return t.k end))
            """, ["b=1", "c=1"])
    }

    @Test func `a declaration that fails for want of stack leaves no half of a row`() throws {
        try expect(
            """
            local a = g:task("a", function() return 1 end)
            local nest = { a }
            for i = 1, 40 do nest = { nest } end
            local depth, failed = 0, 0
            local function at(d, limit, f)
              depth = d
              if d == limit then f() return 0 end
              return 1 + at(d + 1, limit, f)
            end
            pcall(at, 1, -1)
            for d = depth - 40, depth do
              local declare = function() g:task("t" .. d, { needs = { nest } }, function() return "t" end) end
              if not pcall(at, 1, d, declare) then failed = failed + 1 end
            end
            assert(failed > 0)
            g:output("last", g:task("last", { needs = { a } }, function(n) return n + 1 end))
            g:output("other", g:task("other", function() return "other" end))
            """, ["last=2", "other=\"other\""])
    }

    @Test func `the table of a parameter is read without metamethods`() {
        #expect(
            refusal(
                """
                handout.param(setmetatable({}, { __index = function(_, key)
                  collectgarbage()
                  return key == "name" and ("q"):rep(60) .. math.random(9) or 5
                end }))
                """) == "param: expected a string as name")
    }

    @Test(arguments: ["{ t, t }", "{ a = t, b = t }"])
    func `needs that name one table again and again meet the memory limit`(nested: String) {
        var limits = PlanLimits()
        limits.memory = 32 << 20
        let message = refusal(
            """
            local t = { g:task("a", function() end) }
            for i = 1, 45 do t = \(nested) end
            g:task("b", { needs = { t } }, function() end)
            """, limits)
        #expect(message == "planning needed more than 32 MiB of memory (--plan-memory sets it)")
    }

    // MARK: Modules

    @Test func `a task that catches the error of a module goes on as a task`() throws {
        try expect(
            """
            pcall(require, "bad")
            g:output("a", g:task("a", { priority = 2 }, function()
              local _, first = pcall(require, "bad")
              local _, second = pcall(require, "bad")
              return { first, first == second, (pcall(function() LEAK = 1 end)), (pcall(handout.graph, "z")) }
            end))
            g:output("b", g:task("b", { priority = 1 }, function() return LEAK == nil end))
            """, modules: [("bad", "error(\"no\")")], ["a=[\"bad.lua:1: no\",true,false,false]", "b=true"])
    }

    @Test func `a module may give a handle`() throws {
        try expect(
            "g:output(\"a\", g:task(\"a\", function() return 1 end))\nrequire \"h\"\nrequire \"h\"",
            modules: [("h", "return require(\"handout\").graph(\"y\"):task(\"t\", function() end)")], ["a=1"])
    }

    @Test func `a NaN in a module is no change`() throws {
        try expect(
            "local m = require \"nan\"\ng:output(\"a\", g:task(\"a\", function() return m.f() end))",
            modules: [("nan", "return { nan = 0 / 0, f = function() return 3 end }")], ["a=3"])
    }

    @Test func `a changed module is noticed where running the script has loaded it`() throws {
        try expect(
            """
            require "m"
            function global() end
            g:output("a", g:task("a", { priority = 2 }, function() require("m").n = 2 end))
            g:output("b", g:task("b", { priority = 1 }, function() return require("m").n end))
            """, modules: [("m", "return { n = 1 }")],
            ["a=null", "b=1", "a: the task changed module 'm': modules are constants in a task"])
    }

    // MARK: What tasks leave behind

    @Test func `a shared variable that a task changed is set again for functions which that task did not use`() throws {
        try expect(
            """
            local n = 0
            local function raise() n = n + 1 return n end
            local function read() return n end
            g:task("both", { priority = 3 }, function() if n == -1 then raise() end return read() end)
            g:task("raises", { priority = 2 }, function() return raise() end)
            g:output("n", g:task("reads", { priority = 1 }, function() return read() end))
            """,
            ["n=0", "raises: the task changed captured variable 'n': captured values are constants in a task"])
    }

    @Test func `what a task leaves behind is no memory of one with a small limit`() throws {
        try expect(
            """
            g:task("large", { priority = 2 }, function() local t = {} for i = 1, 300000 do t[i] = { i } end end)
            g:output("small", g:task("small", { priority = 1, memory = "2MiB" }, function() return 1 end))
            """, ["small=1"])
    }

    @Test func `a global whose name has a zero byte is no change`() throws {
        try expect(
            "_G[\"a\\0b\"] = { 1 }\ng:output(\"a\", g:task(\"a\", function() return 1 end))", ["a=1"])
    }

    // MARK: The script runs again

    @Test func `a script that runs again is no coroutine to itself`() throws {
        try expect(
            """
            local yielded = pcall(coroutine.yield, 1, 2, 3)
            local _, main = coroutine.running()
            local seen = { yielded, main, coroutine.isyieldable() }
            function global() return seen end
            g:output("a", g:task("a", function() return global() end))
            """, ["a=[false,true,false]"])
    }

    @Test func `a script that runs again has the random numbers of its planning, and the task its own`() throws {
        let body = """
            local m = require "m"
            planned, own = math.random(1 << 30), { m.n }
            local first, module = planned, m.n
            local function numbers() return { planned == first, own[1] == module, m.n == module, math.random(1 << 30) } end
            for i = 1, 4 do
              g:output("o" .. i, g:task("t" .. i, { priority = PRIORITY }, numbers))
            end
            """
        let modules = [(name: "m", text: "return { n = math.random(1 << 30) }")]
        let runs = try ["i", "-i"].flatMap { priority in
            try [false, true].map { rerunsScript in
                try Program(body: body.replacing("PRIORITY", with: priority), modules: modules).run(
                    rerunsScript: rerunsScript)
            }
        }
        #expect(Set(runs).count == 1)
        #expect(Set(runs[0].map { $0.dropFirst(3) }).count == 4)
        #expect(runs[0].allSatisfy { $0.dropFirst(3).hasPrefix("[true,true,true,") })
    }

    @Test func `a task declared in a coroutine of the script does not suspend that`() throws {
        try expect(
            """
            local each = coroutine.wrap(function()
              for i = 1, 3 do coroutine.yield({ g:task("t" .. i, function() return i end), i }) end
            end)
            for pair in each do g:output("o" .. pair[2], pair[1]) end
            """, ["o1=1", "o2=2", "o3=3"])
    }

    @Test func `functions that the script passed over are found in any order`() throws {
        let tasks = (1...5).map {
            "g:output(\"o\($0)\", g:task(\"t\($0)\", { priority = \($0) }, function()\n return \($0) end))"
        }
        try expect(tasks.joined(separator: "\n"), (1...5).map { "o\($0)=\($0)" })
    }

    @Test func `functions on one line are told apart in any order`() throws {
        try expect(
            """
            local p, q = function() return "p" end, function() return "q" end
            g:output("p", g:task("a", { priority = 1 }, p))
            g:output("q", g:task("b", { priority = 2 }, q))
            """, ["p=\"p\"", "q=\"q\""])
    }

    @Test func `modules that are met in another order are told apart`() throws {
        func module(_ value: String) -> String { "return {\nf = function()\n return \"\(value)\"\nend }" }
        try expect(
            """
            local m
            g:output("a", g:task("a", { priority = 9 }, function() return m.f() end))
            g:output("b", g:task("b", require("first").f))
            m = require "second"
            g:output("c", g:task("c", m.f))
            """, modules: [("first", module("first")), ("second", module("second"))],
            ["a=\"second\"", "b=\"first\"", "c=\"second\""])
    }

    @Test func `chunks of load are known by their names`() throws {
        try expect(
            """
            local f = load("return function() return 'A' end", "=A")()
            load("local g, f = ... g:output('x', g:task('x', f))", "=B")(g, f)
            g:output("y", g:task("y", { priority = 5 }, load("return function() return 'C' end", "=C")()))
            """, ["x=\"A\"", "y=\"C\""])
    }
}
