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
            let outcome = try LocalRun(plan: plan(), parameters: [], options: options).run { _, _ in }
            var found: [String] = []
            for output in outcome.outputs {
                let value = try output.value.map { String(decoding: try $0.json(), as: UTF8.self) }
                found.append("\(output.name)=\(value ?? "null")")
            }
            return found.sorted() + outcome.failures.map { "\($0.name): \($0.report.message)" }.sorted()
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

    @Test func `the handle of a refused call has no id`() throws {
        #expect(refusal("assert(handout.cluster{}.id == nil)") == "handout.cluster is for a cluster file (--cluster FILE)")
        let entry = "local h = require \"handout\"\nprint(h.cluster{}.id)\nreturn h.graph(\"x\")"
        #expect(throws: PlanRefusal.self) { try Script(entry).plan() }
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

    // MARK: Parts of values, and what is missing

    private static let missing = """
        local function missing()
          local found = {}
          for place, why in pairs(handout.task.missing) do found[tostring(place)] = why end
          return found
        end
        local function bad() error({ message = "bad" }) end

        """

    /// A list has false where nothing was picked; asked for alone, nothing is nil.
    @Test func `an element of a list of picked elements is absent where nothing was picked`() throws {
        try expect(
            RegressionTests.missing + """
                local l = g:task("l", function() return { 4, 5, 6 } end)
                local some = l:at(function(e, k) return { k, 1, 3 } end)
                g:map("m", { over = { a = 1 }, needs = { some:at(1), some:at(2), some, some:at("x"), some:at(9) } },
                  function(e, k, a, b, c, d, f) return { tostring(a), b, c, tostring(d), tostring(f), missing() } end)
                """,
            [
                "m={\"a\":[\"nil\",4,[false,4,6],\"nil\",\"nil\",{\"1\":\"skipped\",\"4\":\"skipped\",\"5\":\"skipped\"}]}"
            ])
    }

    @Test func `parts of what an instance picks are those of its own element, whenever that is there`() throws {
        try expect(
            """
            local inner = handout.graph "inner"
            local n = inner:input "n"
            inner:output("o", inner:map("im", { over = n }, function(e) return e * 2 end))
            local m = g:map("m", { over = { { 1, 2 }, { 3 }, { 5, 6, 7 } } }, inner)
            g:map("q", { over = { 1, 2, 3 }, needs = { m:at():at(1), m:at():at(function(e, k) return { k, 1 } end), m:at():at() } },
              function(e, k, ...) return { ... } end)
            g:map("r", { over = { 1, 2, 3 }, unless = m:at():at(2) }, function(e, k, ...) return k end)
            """, ["q=[[2,[2,2],2],[6,[false,6]],[10,[14,10],14]]", "r=[false,2,false]"])
    }

    /// What it needs failed before it began to wait for the rest, which came in the same moment.
    @Test func `an inline instance whose element failed is not computed`() throws {
        try expect(
            RegressionTests.missing + """
                local a = g:map("a", { over = { 1, 2 } }, bad)
                local b = g:map("b", { over = a }, function(e) return e end)
                local l = g:task("l", { priority = -1, after = b, always = true }, function() return {} end)
                local c = g:map("c", { inline = true, over = b, needs = l:at(function() return {} end), after = l:at() },
                  function(e) return tostring(e) end)
                g:task("t", { needs = { c, l }, always = true }, function(...) return { ..., missing() } end)
                """, ["t=[[false,false],{\"1\":\"skipped\"}]", "a[1]: bad", "a[2]: bad"])
    }

    @Test func `an inline map that never got its instances has no value`() throws {
        try expect(
            RegressionTests.missing + """
                local s = handout.graph "s"
                s:output("o", s:task("t", { needs = { s:input "n" } }, function(x) return x end))
                local none, t = g:task("none", function() return {} end), g:task("t", bad)
                local m = g:map("m", { over = none }, s)
                local i = g:map("i", { inline = true, over = none, needs = { t, m:at() } }, function() return 1 end)
                g:map("n", { over = i, needs = { m:at(function(e, k) return k end) } }, function(x) return x end)
                """, ["n=null", "t: bad"])
    }

    @Test func `with always a list picked from what failed is a list of nothing, and true`() throws {
        try expect(
            RegressionTests.missing + """
                local a = g:map("a", { over = { 1, 2 } }, bad)
                local t = g:task("t", { priority = -1 }, bad)
                local function some() return { 1, 2 } end
                for i, of in ipairs { a:at(some), t:at(some) } do
                  g:map("u" .. i, { over = { x = 1 }, unless = of, always = true }, function() return "never" end)
                  g:map("w" .. i, { over = { x = 1 }, when = of, needs = of, always = true }, function(e, k, l) return l end)
                end
                """,
            [
                "u1=[]", "u2=[]", "w1={\"x\":[false,false]}", "w2={\"x\":[false,false]}", "a[1]: bad", "a[2]: bad",
                "t: bad",
            ])
    }

    @Test func `an included graph that something failed before gives nothing of what it was given`() throws {
        try expect(
            RegressionTests.missing + """
                local s = handout.graph "s"
                local n, m = s:input("n", { 1, 2 }), s:input("m")
                s:output("n", n)
                s:output("part", n:at(1))
                s:output("m", m)
                local bad, one = g:task("bad", bad), g:task("one", function() return { 1 } end)
                local all = g:map("all", { over = { 1, 2 } }, function(e) if e == 1 then error({ message = "1" }) end return e end)
                local after, gated = g:include("after", s, { m = one }, { after = bad }), g:include("unless", s, { m = one }, { unless = one })
                local free, both = g:include("free", s, { m = all }), g:include("both", s, { m = all, n = one }, { unless = bad })
                for name, i in pairs { after = after, gated = gated, free = free, both = both } do
                  for part, handle in pairs(i) do g:output(name .. "_" .. part, handle) end
                end
                g:output("t", g:task("t", { needs = { after.m, both.m, free.m }, always = true },
                  function(a, b, c) return { tostring(a), tostring(b), c, missing() } end))
                g:output("w", g:task("w", { when = free.m, always = true }, function() return 1 end))
                g:output("x", g:task("x", { when = both.m, always = true }, function() return 1 end))
                """,
            [
                "after_m=null", "after_n=null", "after_part=null", "both_m=null", "both_n=null", "both_part=null",
                "free_m=[false,2]", "free_n=[1,2]", "free_part=1", "gated_m=null", "gated_n=null", "gated_part=null",
                "t=[\"nil\",\"nil\",[false,2],{\"1\":\"skipped\",\"2\":\"skipped\",\"3\":\"failed\"}]", "w=1", "x=null",
                "all[1]: 1", "bad: bad",
            ])
    }
}
