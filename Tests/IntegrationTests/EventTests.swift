import Testing

/// `run --events`: the run as JSON lines.
struct EventTests {
    private static let script = """
        local handout = require "handout"
        local g = handout.graph { name = "x", retries = 1 }
        local m = g:map("m", { over = { 10, 20 } }, function(x)
          handout.log("warning", "at %d", x)
          return x
        end)
        g:task("bad", { after = m }, function() error("no", 0) end)
        g:task("lost", { after = g:task("worse", function() handout.fail "never" end) }, function() end)
        return g

        """

    private func events(_ folder: Folder) throws -> [JSON] {
        try #require(contents(of: folder.path + "/events.jsonl")).split(separator: UInt8(ascii: "\n")).map {
            try #require(JSON(Array($0)))
        }
    }

    @Test func `every event is one line, in order, with what the reference names`() throws {
        let folder = Folder()
        let result = folder.tool(
            "run", EventTests.script, ["-j", "1", "--keep-going", "--events", "events.jsonl", "--progress", "none"])
        #expect(result.status == 1)
        let events = try events(folder)
        #expect(events.compactMap { $0["seq"]?.integer } == Array(1...events.count))
        let times = events.compactMap { $0["time"]?.double }
        #expect(times.count == events.count && times == times.sorted())
        let kinds = events.compactMap { $0["kind"]?.string }
        #expect(kinds.prefix(2) == ["run_started", "worker_joined"])
        #expect(kinds.last == "run_finished")
        #expect(Set(events.compactMap { $0["run"]?.string }).count == 1)
        func of(_ kind: String, _ task: String) -> [JSON] {
            events.filter { $0["kind"]?.string == kind && $0["task"]?.string == task }
        }
        #expect(of("map_expanded", "m").map { $0["count"]?.integer } == [2])
        #expect(of("task_logged", "m[2]").map { $0["text"]?.string } == ["at 20"])
        #expect(of("task_logged", "m[2]").map { $0["level"]?.string } == ["warning"])
        #expect(of("task_finished", "m[1]").count == 1)
        #expect(of("task_failed", "bad").map { $0["final"] } == [.bool(false), .bool(true)] as [JSON?])
        #expect(of("task_failed", "bad").map { $0["message"]?.string } == ["no", "no"])
        #expect(of("task_started", "bad").map { $0["attempt"]?.integer } == [1, 2])
        #expect(of("task_ready", "bad").map { $0["attempt"]?.integer } == [1, 2])
        #expect(of("task_ready", "lost").isEmpty)
        let lifeOfOne = events.filter { $0["task"]?.string == "m[1]" }.compactMap { $0["kind"]?.string }
        #expect(lifeOfOne == ["task_ready", "task_started", "task_logged", "task_finished"])
        #expect(of("task_failed", "worse").map { $0["final"] } == [.bool(true)] as [JSON?])
        #expect(of("task_skipped", "lost").map { $0["reason"]?.string } == ["upstream"])
    }

    @Test func `task_started tells the variant that the attempt holds, and its amounts`() throws {
        let folder = Folder()
        let result = folder.tool(
            "run",
            """
            local handout = require "handout"
            local g = handout.graph "v"
            g:task("a", { variants = { { gpu = 1 }, { cpu = 0.5, memory = "1MiB" } } }, function()
              return handout.task.variant
            end)
            g:task("b", {}, function() return handout.task.variant end)
            return g
            """, ["--events", "events.jsonl", "--progress", "none"])
        #expect(result.output == "{\n  \"a\": 2,\n  \"b\": 1\n}\n", "\(result.errorText)")
        let started = try events(folder).filter { $0["kind"]?.string == "task_started" }
        let of = { (task: String) in started.first { $0["task"]?.string == task } }
        #expect(of("a")?["variant"]?.integer == 2)
        #expect(of("a")?["amounts"] == JSON(#"{"cpu":0.5,"memory":1048576}"#))
        #expect(of("b")?["variant"]?.integer == 1)
    }

    @Test func `a full device loses no results and is said at the end`() {
        let result = Folder().tool(
            "run", "local h = require 'handout' local g = h.graph 'x' g:task('t', function() return 1 end) return g",
            ["--events", "/dev/full", "--progress", "none"])
        #expect(result.output == "{\n  \"t\": 1\n}\n")
        #expect(result.errorText == "--events: '/dev/full': No space left on device\n")
        #expect(result.status == 3)
    }
}
