import Testing

/// What the `on_event` of strategies is told, in runs and in the simulator.
@Suite struct StrategyEventTests {
    private static let script = """
        local handout = require "handout"
        local g = handout.graph "ev"
        local m = g:map("m", { over = { 10, 20 }, estimate = "1s" }, function(x) return x end)
        local bad = g:task("bad", { retries = 1, optional = true, after = m }, function() error "no" end)
        local last = g:task("end", { needs = { m }, after = bad }, function(list) return #list end)
        g:task("off", { when = g:when("never", { after = last }, function() return false end) }, function() end)
        return g
        """
    /// Prints events: kind, and some of their fields; and how often `score` was asked.
    private static let teller = """
        local handout = require "handout"
        local asked = 0
        return handout.allocator {
          score = function() asked = asked + 1 return 1 end,
          on_event = function(e)
            assert(math.type(e.seq) == "integer" and e.time >= 0 and type(e.run) == "string")
            local total = e.total or e.amounts
            local shown = { e.kind, e.name or e.task or "-", e.attempt or "-", e.worker or "-", e.ended or e.reason or "-",
              total and total.cpu or "-", e.message or "-", e.line or "-" }
            for i, v in ipairs(shown) do shown[i] = tostring(v) end
            print(table.concat(shown, " "))
            if e.kind == "run_finished" then print("asked " .. asked) end
            return AGAIN
          end,
        }
        """

    private func folder(_ strategy: String, again: String = "nil") -> Folder {
        let folder = Folder()
        folder.write("s.lua", StrategyEventTests.script)
        folder.write("al.lua", strategy.replacing("AGAIN", with: again))
        folder.write(
            "c.lua",
            "return require('handout').cluster { { name = 'w', cpu = 2, price = { { 0, 1 }, { '90ms', 2 } } } }")
        return folder
    }

    private func told(_ run: Tool.Result) -> [String] {
        run.errorText.split(separator: "\n").filter { $0.hasPrefix("allocator: ") }.map { String($0.dropFirst(11)) }
    }

    @Test func `a strategy is told of all that happens in a run, in order`() {
        let run = Tool.run(
            ["run", "s.lua", "--allocator", "al.lua", "-j", "1", "--progress", "none"],
            in: folder(StrategyEventTests.teller))
        #expect(run.output == "{\n  \"off\": null\n}\n")
        #expect(
            told(run) == [
                "run_started ev - - - - - -", "worker_joined - - local - 1.0 - -", "map_expanded m - - - - - -",
                "task_ready m[1] 1 - - - - -", "task_ready m[2] 1 - - - - -",
                "task_started m[1] 1 local - 1.0 - -", "task_finished m[1] 1 local - - - -",
                "task_started m[2] 1 local - 1.0 - -", "task_finished m[2] 1 local - - - -",
                "task_ready bad 1 - - - - -", "task_started bad 1 local - 1.0 - -",
                "task_failed bad 1 local error - s.lua:4: no 4", "task_ready bad 2 - - - - -",
                "task_started bad 2 local - 1.0 - -", "task_failed bad 2 local error - s.lua:4: no 4",
                "task_ready end 1 - - - - -", "task_started end 1 local - 1.0 - -",
                "task_finished end 1 local - - - -", "task_ready never 1 - - - - -",
                "task_started never 1 local - 1.0 - -",
                "task_finished never 1 local - - - -", "task_skipped off - - when - - -",
                "run_finished - - - - - - -", "asked \(told(run).last?.split(separator: " ").last ?? "")",
            ])
    }

    @Test func `in the simulator it is told of the same, and of workers`() {
        let folder = folder(StrategyEventTests.teller)
        let arguments = ["simulate", "s.lua", "--cluster", "c.lua", "--allocator", "al.lua"]
        let run = Tool.run(arguments, in: folder)
        let lines = told(run)
        #expect(lines.prefix(2) == ["run_started ev - - - - - -", "worker_joined - - w - 2.0 - -"])
        #expect(lines.contains("worker_changed - - w - 2.0 - -"))
        #expect(lines.contains("task_started m[2] 1 w - 1.0 - -"))
        #expect(lines.dropLast().last == "run_finished - - - - - - -")
        #expect(lines == told(Tool.run(arguments, in: folder)))
    }

    @Test func `what is remembered is asked again where on_event says so`() throws {
        func asked(_ again: String) throws -> Int {
            let folder = folder(StrategyEventTests.teller, again: again)
            folder.write("c.lua", "return require('handout').cluster { { name = 'w', cpu = 2, count = 20 } }")
            let run = Tool.run(
                ["simulate", "s.lua", "--cluster", "c.lua", "--allocator", "al.lua"], in: folder)
            return try #require(told(run).last?.split(separator: " ").last.flatMap { Int($0) })
        }
        // Of twenty workers only those are asked about anew that were given something; with `true` all of them.
        let without = try asked("nil")
        #expect(try asked("e.kind == 'task_finished'") >= without + 40)
    }

    @Test func `an on_event that errs is warned of three times, and the strategy is off`() {
        let run = Tool.run(
            ["run", "s.lua", "--allocator", "al.lua", "-j", "1", "--progress", "none"],
            in: folder(
                """
                return require("handout").allocator {
                  score = function() return 1 end,
                  on_event = function(e) error("not " .. e.kind) end,
                }
                """))
        #expect(run.output == "{\n  \"off\": null\n}\n")
        #expect(
            run.errorText.split(separator: "\n").filter { $0.hasPrefix("warning: ") } == [
                "warning: al.lua:3: not run_started (this round is decided by load-balanced)",
                "warning: al.lua:3: not worker_joined (this round is decided by load-balanced)",
                "warning: al.lua:3: not map_expanded (the third in a row: load-balanced decides for the rest of the run)",
            ])
    }
}
