import Testing

/// Options of tasks that are functions of `(inputs, attempt)`.
@Suite struct MeasureTests {
    private func run(_ body: String, _ arguments: [String] = [], in folder: Folder = Folder()) -> Tool.Result {
        let given = ["--keep-going", "--progress", "none", "-j", "2", "--json"] + arguments
        return folder.tool("run", graphScript(body), given)
    }

    /// `task kind attempt: message`, sorted.
    private func failures(_ result: Tool.Result) -> [String] {
        (result.json?["failures"]?.elements ?? []).map { failure in
            "\(failure["task"]?.string ?? "?") \(failure["kind"]?.string ?? "?") \(failure["attempt"]?.integer ?? -1): "
                + (failure["message"]?.string ?? "?")
        }.sorted()
    }

    private func output(_ result: Tool.Result) -> String {
        let text = result.output
        guard let begin = text.firstRange(of: "\"outputs\":"), let end = text.firstRange(of: ",\"failures\":") else {
            return text + result.errorText
        }
        return String(text[begin.upperBound..<end.lowerBound])
    }

    @Test func `a retry with more memory gets a task through that needs it`() {
        let result = run(
            """
            g:task("t", { retries = 3, memory = function(_, attempt) return attempt.number * 64 << 20 end }, function()
              local t = {}
              for i = 1, 100 do t[i] = ("x"):rep(1 << 20) .. i end
              return { #t, handout.task.attempt, handout.task.amounts.memory >> 20 }
            end)
            """)
        #expect(output(result) == "{\"t\":[100,2,128]}")
        #expect(failures(result) == [] && result.status == 0)
    }

    @Test func `with no more memory than before it is not tried again`() {
        let eats = "function() local t = {} for i = 1, 100 do t[i] = (\"x\"):rep(1 << 20) .. i end end"
        let result = run(
            """
            g:task("fixed", { retries = 3, memory = "48MiB" }, \(eats))
            g:task("same", { retries = 3, memory = function() return "48MiB" end }, \(eats))
            g:task("none", { retries = 3, memory = function(_, a) return a.number == 1 and 0 or "255MiB" end },
              function() handout.retry("full", { ended = "memory" }) end)
            g:task("less", { retries = 3, memory = function(_, a) return a.number == 2 and "56MiB" or "48MiB" end }, \(eats))
            """)
        let less = "is no more than was not enough before"
        #expect(
            failures(result) == [
                "fixed memory 1: memory limit of 48 MiB reached",
                "less memory 3: option 'memory': 48MiB \(less): 56MiB",
                "none memory 2: option 'memory': 255MiB \(less): 256MiB",
                "same memory 2: option 'memory': 48MiB \(less): 48MiB",
            ])
    }

    @Test func `what functions give holds for the attempt`() {
        let result = run(
            """
            g:task("all", { cpu = function() return 0.25 end, memory = function() return "96MiB" end, estimate = function() return "5m" end,
              gpu = function() return 0 end, timeout = function() return "1h" end, priority = function() return -1 end,
              resources = { tokens = function() return 1.5 end } }, function()
              return { handout.task.amounts, handout.task.deadline > 3000 }
            end)
            g:task("brief", { timeout = function() return 0.05 end }, function() while true do end end)
            g:task("variants", { variants = { { gpu = 4 }, { cpu = 0.5 } }, memory = function() return 1 << 21 << 3 end }, function()
              return { handout.task.variant, handout.task.amounts }
            end)
            """.replacingGraph(with: "{ name = \"x\", limits = { tokens = 2 } }"))
        #expect(
            output(result)
                == "{\"all\":[{\"cpu\":0.25,\"memory\":100663296,\"tokens\":1.5},true],\"brief\":null,"
                + "\"variants\":[2,{\"cpu\":0.5,\"memory\":16777216}]}")
        #expect(failures(result) == ["brief timeout 1: timeout of 0.05 s reached"])
    }

    @Test func `inputs are the arguments, large ones only their size, and attempts are told of those before`() {
        let result = run(
            """
            local seen = function(inputs, attempt) error(handout.json.encode{ inputs, attempt }, 0) end
            local big = g:task("big", function() return ("x"):rep(65534) end)
            local small = g:task("small", function() return ("x"):rep(65533) end)
            local list = g:task("list", function() return { 1, { a = 2.5 } } end)
            g:task("t", { needs = { big, small, list }, args = { false }, priority = function(inputs)
              error(#inputs[2] .. " " .. handout.json.encode{ inputs.n, inputs.bytes, inputs[3], inputs[4], inputs[1] == nil }, 0)
            end }, function() end)
            g:map("m", { over = { k = 7 }, needs = { list }, cpu = seen }, function() end)
            g:reduce("r", { over = { 1, 2, 3 }, arity = 2, cpu = function(inputs)
              if #inputs[1] == 1 then return 1 end
              error(handout.json.encode(inputs), 0) end }, function(l) return l[1] end)
            g:task("again", { retries = 1, cpu = function(inputs, attempt)
              if attempt.number == 2 then seen(inputs, attempt) end
              return 0.5 end }, function() error("first", 0) end)
            """)
        let none = "\"cancelled\":0,\"crash\":0,\"error\":0,\"lost\":0,\"memory\":0,\"result\":0,\"timeout\":0"
        let one = none.replacing("\"error\":0", with: "\"error\":1")
        #expect(
            failures(result) == [
                "again error 2: option 'cpu': [{\"bytes\":[],\"n\":0},{\"amounts\":{\"cpu\":0.5},\"counts\":{\(one)},"
                    + "\"ended\":\"error\",\"message\":\"first\",\"number\":2,\"worker\":\"local\"}]",
                "m[k] error 1: option 'cpu': [{\"1\":7,\"2\":\"k\",\"3\":[1,{\"a\":2.5}],\"bytes\":[1,2,14],\"n\":3},"
                    + "{\"counts\":{\(none)},\"number\":1}]",
                "r[1.1] error 1: option 'cpu': {\"1\":[1,2],\"bytes\":[3],\"n\":1}",
                "t error 1: option 'priority': 65533 [4,[65537,65536,14,1],[1,{\"a\":2.5}],false,true]",
            ])
    }

    @Test func `a function that gives nothing of use fails the attempt, and says what was expected`() {
        let result = run(
            """
            local f = function() end
            g:task("a", { cpu = function() end }, f)
            g:task("b", { cpu = function() return -1 end }, f)
            g:task("c", { memory = function() return "lots" end }, f)
            g:task("d", { memory = function() return 5 end }, f)
            g:task("e", { gpu = function() return 1.5 end }, f)
            g:task("f", { timeout = function() return {} end }, f)
            g:task("g", { estimate = function() return "soon" end }, f)
            g:task("h", { priority = function() return 1.5 end }, f)
            g:task("i", { resources = { a = function() return "x" end } }, f)
            g:task("j", { cpu = function() return 64 end }, f)
            g:task("k", { resources = { matlab = function() return 2 end } }, f)
            g:task("l", { retries = 1, cpu = function() error("boom") end }, f)
            g:task("m", { cpu = function() while true do end end }, f)
            g:task("n", { cpu = function() handout.log("info", "x") end }, f)
            g:task("o", { cpu = function() f = 1 return 1 end }, function() return f end)
            """)
        let number = "expected a number from 0 to 1000000000"
        #expect(
            failures(result) == [
                "a error 1: option 'cpu': the function at t.lua:5: \(number), got nil",
                "b error 1: option 'cpu': the function at t.lua:6: \(number), got -1",
                "c error 1: option 'memory': the function at t.lua:7: expected a size such as \"512MiB\", got \"lots\"",
                "d error 1: option 'memory': the function at t.lua:8: expected 0 or at least 1MiB, got 5 bytes",
                "e error 1: option 'gpu': the function at t.lua:9: above 1 it is a whole number, got 1.5",
                "f error 1: option 'timeout': the function at t.lua:10: expected a duration such as \"1h30m\" or seconds, got a table",
                "g error 1: option 'estimate': the function at t.lua:11: expected a duration such as \"1h30m\" or seconds, got \"soon\"",
                "h error 1: option 'priority': the function at t.lua:12: expected a whole number, got 1.5",
                "i error 1: option 'resources.a': the function at t.lua:13: \(number), got \"x\"",
                "j error 1: needs 64 cpu, more than any worker has: worker 'local' has 2 (-j sets it)",
                "k error 1: needs 2 matlab, more than any worker has: worker 'local' has 0",
                "l error 2: option 'cpu': t.lua:16: boom",
                "m error 1: option 'cpu': the function at t.lua:17 took longer than 100 ms",
                "n error 1: option 'cpu': t.lua:18: handout.log is only there inside a task",
                "o error 1: the task changed captured variable 'f': captured values are constants in a task",
            ])
    }

    @Test func `what fails before it begins has a place, and may be recovered from`() {
        let folder = Folder()
        let result = run(
            """
            g:task("a", { cpu = function() return 64 end }, function() end)
            g:task("b", { cpu = function() error{ message = "no", code = 5 } end, recover = function(err)
              return { err.kind, err.message, err.value.code, err.line, err.attempt, handout.task.amounts.cpu }
            end }, function() end)
            """, in: folder)
        #expect(output(result) == "{\"a\":null,\"b\":[\"error\",\"option 'cpu': no\",5,5,1,1]}")
        #expect(result.json?["failures"]?.elements.first?["line"]?.integer == 4)
    }

    @Test func `every task may ask for something else`() {
        let result = run(
            """
            local list = {}
            for i = 1, 3000 do list[i] = i end
            local m = g:map("m", { over = list, memory = function(inputs) return (64 << 20) + inputs[1] end }, function(i)
              return handout.task.amounts.memory - (64 << 20) == i and 1 or 0
            end)
            g:reduce("r", { over = m, arity = 100, estimate = function(inputs) return #inputs[1] end }, function(all)
              local n = 0
              for _, v in ipairs(all) do n = n + v end
              return n
            end)
            """)
        #expect(output(result) == "{\"r\":3000}")
    }

    @Test func `a handle that a function captures is refused`() {
        let result = Folder().tool(
            "check",
            graphScript(
                """
                local a = g:task("a", function() end)
                g:task("b", { memory = function() return a end }, function() end)
                """))
        #expect(result.status == 2)
        #expect(
            result.errorText
                == "t.lua:5: task 'b': captured variable 'a': a handle cannot be captured by a task (pass its value through needs)\n"
        )
    }
}

extension String {
    /// The body of a script whose graph is another one than that of `graphScript`.
    fileprivate func replacingGraph(with options: String) -> String { "g = handout.graph\(options)\n" + self }
}
