import Testing

/// `run --verify`: every task twice.
@Suite struct VerifyTests {
    private let folder = Folder()

    @Test(arguments: ["thread", "process"])
    func `what is not repeatable is listed, and only that`(isolation: String) {
        folder.write(
            "t.lua",
            graphScript(
                """
                g:task("clock", function() return { x = 1, y = { 1, os.clock() } } end)
                g:task("random", function() return math.random(1000000) end)
                g:task("keys", function() local t = {} for i = 1, 100 do t["k" .. i] = i end return t end)
                g:task("logs", function() handout.log("info", "once") end)
                g:map("m", { over = { 1, 2, 3 } }, function(x) return { x, n = x } end)
                g:task("file", { grant = { write = { "out" } } }, function()
                  local there = handout.fs.exists("out")
                  handout.fs.write("out", "x")
                  if there then error("there already") end
                  return there
                end)
                g:task("wrong", { optional = true }, function() error("always") end)
                g:task("late", { timeout = 0.1, optional = true }, function() while true do end end)
                """))
        let arguments = ["run", "t.lua", "--verify", "--isolation", isolation, "--json", "--keep-going"]
        let result = Tool.run(arguments, in: folder)
        #expect(result.status == 1)
        #expect(result.json?["ok"] == .bool(false))
        #expect(result.json?["tasks"] == JSON("{\"done\":8,\"failed\":2,\"skipped\":0,\"cached\":0}"))
        let found = result.json?["unrepeatable"]?.elements ?? []
        #expect(found.map { $0["task"]?.string } == ["clock", "file"], "\(result.output)")
        #expect(found.first?["message"]?.string?.hasPrefix("result.y[2]: 0.") == true)
        #expect(found.first?["line"]?.integer == 4)
        #expect(found.last?["message"]?.string == "the second time it failed (error): t.lua:12: there already")
        #expect(result.errorText.contains("t.lua:4: task 'clock' is not repeatable: result.y[2]: 0."))
        #expect(result.errorText.split(separator: "\n").filter { $0 == "logs: once" }.count == 1)
    }

    @Test func `what is repeatable is said to be`() {
        folder.write(
            "t.lua",
            graphScript(
                """
                local a = g:task("a", function() return ("x"):rep(100000) end)
                local m = g:map("m", { over = { 1, 2, 3, 4 } }, function(x) return x end)
                g:reduce("r", { over = m, arity = 2 }, function(l) return (l[1] or 0) + (l[2] or 0) end)
                g:task("b", { needs = { a } }, function(s) return #s end)
                """))
        let result = Tool.run(["run", "t.lua", "--verify", "--json", "-j", "2"], in: folder)
        #expect(result.status == 0, "\(result.errorText)")
        #expect(result.json?["unrepeatable"] == .array([]))
        #expect(result.json?["outputs"] == JSON("{\"b\":100000,\"r\":10}"))
    }
}
