import Glibc
import Testing

/// A way of looping in Lua code (`../shared/spikes/hook.c`).
struct EndlessLoop: CustomTestStringConvertible, Sendable {
    var name: String
    var body: String
    var testDescription: String { name }

    static let all = [
        EndlessLoop(name: "tight loop", body: "while true do end"),
        EndlessLoop(name: "for loop", body: "for i = 1, 1e18 do end"),
        EndlessLoop(name: "pcall loop", body: "while true do pcall(function() while true do end end) end"),
        EndlessLoop(
            name: "spinning handler", body: "xpcall(function() while true do end end, function() while true do end end)"
        ),
        EndlessLoop(
            name: "spinning __close",
            body: """
                local function f() local x <close> = setmetatable({}, { __close = function() while true do end end }) while true do end end
                while true do pcall(f) end
                """),
        EndlessLoop(name: "coroutine", body: "local f = coroutine.wrap(function() while true do end end) f()"),
        EndlessLoop(
            name: "fresh coroutines",
            body: "while true do coroutine.wrap(function() local x = 1 for i = 1, 50 do x = x + i end end)() end"),
        EndlessLoop(
            name: "nested coroutines",
            body: "local function n(d) if d == 0 then while true do end end coroutine.wrap(n)(d - 1) end n(20)"),
        EndlessLoop(name: "allocation", body: "while true do local t = {} for i = 1, 100 do t[i] = { i } end end"),
        EndlessLoop(
            name: "string building", body: "local s = '' while true do s = s .. 'x' if #s > 1e5 then s = '' end end"),
        EndlessLoop(
            name: "sort with a Lua comparator",
            body:
                "local t = {} for i = 1, 1e5 do t[i] = math.random() end while true do table.sort(t, function(a, b) return a < b end) end"
        ),
        EndlessLoop(
            name: "gsub callback", body: "local s = ('a'):rep(1e6) while true do s:gsub('a', function() end) end"),
        // Calls into C without end, each of a millisecond or so.
        EndlessLoop(name: "rep", body: "local n = 0 while true do n = n + #(('x'):rep(4e6)) end"),
        EndlessLoop(
            name: "concat",
            body: "local t = {} for i = 1, 3e4 do t[i] = 'abcdefgh' end while true do table.concat(t) end"),
    ]
}

@Suite(.serialized) struct DeadlineTests {
    private var isStrict: Bool { getenv("HANDOUT_TEST_STRICT") != nil }

    @Test(arguments: EndlessLoop.all)
    func `a loop ends at its deadline, with the place where it was`(_ loop: EndlessLoop) throws {
        let script =
            "local handout = require \"handout\"\nlocal g = handout.graph(\"x\")\n"
            + "g:task(\"t\", { timeout = \"200ms\" }, function()\n\(loop.body)\nend)\nreturn g\n"
        let result = Folder().tool("run", script, ["--json", "-j", "1", "--progress", "none"], limit: 20)
        let json = try #require(result.json)
        let seconds = try #require(json["seconds"]?.double)
        let failure = try #require(json["failures"]?[0])
        if getenv("HANDOUT_TEST_REPORT") != nil {
            let line = Array("deadline \(loop.name): \(seconds)\n".utf8)
            _ = write(STDERR_FILENO, line, line.count)
        }
        #expect(failure["kind"]?.string == "timeout")
        #expect(failure["message"]?.string == "timeout of 0.2 s reached")
        #expect(failure["file"]?.string == "t.lua")
        #expect((4...5).contains(failure["line"]?.integer ?? 0))
        #expect(result.status == 1)
        // Making the state counts too; beside other tests on a busy machine the bound is wide.
        #expect(seconds >= 0.2 && seconds < (isStrict ? 0.225 : 2))
    }

    @Test func `a timeout is of one attempt, and the next one may do better`() {
        let result = Folder().tool(
            "run",
            graphScript(
                """
                g:task("t", { retries = 1, timeout = "100ms" }, function()
                  if handout.task.attempt == 2 then return handout.task.deadline > 0 and handout.task.deadline <= 0.1 end
                  while true do end
                end)
                """), ["--progress", "none"])
        #expect(result.output == "{\n  \"t\": true\n}\n")
        #expect(result.status == 0)
    }

    @Test func `tasks that end in time are not disturbed by the deadlines of others`() {
        let result = Folder().tool(
            "run",
            graphScript(
                """
                local all = {}
                for i = 1, 300 do
                  all[i] = g:task("t" .. i, { timeout = i % 30 == 0 and 0.002 or 60 }, function()
                    if i % 30 == 0 then while true do end end
                    local n = 0
                    for k = 1, 2000 do n = n + k end
                    return n
                  end)
                end
                """), ["--json", "--keep-going", "-j", "2", "--progress", "none"])
        #expect(result.json?["tasks"] == JSON("{\"done\":290,\"failed\":10,\"skipped\":0,\"cached\":0}"))
        #expect((result.json?["failures"]?.elements ?? []).allSatisfy { $0["kind"]?.string == "timeout" })
    }

    @Test func `the time of the whole run ends it`() {
        let result = Folder().tool(
            "run", graphScript("g:task(\"t\", function() while true do end end)"), ["--timeout", "200ms", "-j", "1"],
            limit: 20)
        #expect(result.status == 1)
        #expect(result.output == "")
        #expect(result.errorText.hasPrefix("--timeout reached: the run is ended\nended: 0 done, 1 skipped in 0."))
    }
}
