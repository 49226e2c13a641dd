import Glibc
import Testing

@Suite struct CommandLineTests {
    private let folder = Folder()

    private func run(_ body: String, _ arguments: [String] = []) -> Tool.Result {
        folder.tool("run", graphScript(body), ["--progress", "none"] + arguments)
    }

    // MARK: Outputs and shapes

    @Test func `run prints one object with an output a line, by name, and nothing else`() {
        let result = run(
            "g:task(\"b\", function() return { 1, { x = 2 } } end)\ng:task(\"a\", function() return \"x\" end)\ng:task(\"c\", f)"
        )
        #expect(result.output == "{\n  \"a\": \"x\",\n  \"b\": [1,{\"x\":2}],\n  \"c\": null\n}\n")
        #expect(result.errorText == "")
        #expect(result.status == 0)
    }

    @Test func `declared outputs are printed instead of the tasks that nothing refers to`() {
        let result = run(
            "local a = g:task(\"a\", function() return 1 end)\ng:task(\"b\", { needs = { a } }, function(v) return v + 1 end)\ng:output(\"first\", a)"
        )
        #expect(result.output == "{\n  \"first\": 1\n}\n")
    }

    @Test func `run with json prints the whole contract`() throws {
        let result = run(
            "g:task(\"a\", function() return 1 end)\nlocal b = g:task(\"b\", function() error(\"no\", 0) end)\ng:task(\"c\", { needs = { b } }, f)",
            ["--json", "--keep-going", "-j", "1"])
        let json = try #require(result.json)
        #expect(json.keys == ["ok", "run", "outputs", "failures", "tasks", "seconds"])
        #expect(json["ok"] == .bool(false))
        #expect(json["outputs"] == JSON("{\"a\":1,\"c\":null}"))
        #expect(
            json["failures"]
                == JSON(
                    """
                    [{"task":"b","attempt":1,"kind":"error","message":"no","file":"t.lua","line":5,"worker":"local"}]
                    """))
        #expect(json["tasks"] == JSON("{\"done\":1,\"failed\":1,\"skipped\":1,\"cached\":0}"))
        let run = Array((json["run"]?.string ?? "").utf8)
        #expect(run.count == 20 && run[8] == UInt8(ascii: "-") && run[15] == UInt8(ascii: "-"))
        #expect((json["seconds"]?.double ?? -1) >= 0)
        #expect(result.status == 1)
    }

    @Test func `check counts tasks, edges and depth`() {
        let script = graphScript(
            "local a = g:task(\"a\", f)\nlocal b = g:task(\"b\", { needs = { a, a } }, f)\ng:map(\"m\", { over = b, after = a }, f)"
        )
        #expect(
            folder.tool("check", script, ["--json"]).output
                == "{\"ok\":true,\"tasks\":3,\"edges\":4,\"depth\":3,\"errors\":[]}\n")
        #expect(folder.tool("check", script).output == "graph 'x': 3 tasks, 4 edges, depth 3\n")
    }

    @Test func `check shows parameters with their values and help`() {
        let result = folder.tool(
            "check",
            graphScript("handout.param(\"n\", 3, \"how many\")\nhandout.param(\"s\", \"x\")\ng:task(\"a\", f)"),
            ["-p", "n=5"])
        #expect(
            result.output == "graph 'x': 1 task, 0 edges, depth 1\nparameter n = 5  how many\nparameter s = \"x\"\n")
    }

    @Test func `targets choose outputs and tasks, and only what they need runs`() {
        let body = """
            local a = g:task("a", function() return 1 end)
            local b = g:task("b", { needs = { a } }, function(v) return v + 1 end)
            g:task("bad", function() error("must not run") end)
            g:output("result", b)
            """
        #expect(run(body, ["result"]).output == "{\n  \"result\": 2\n}\n")
        #expect(run(body, ["a", "result"]).output == "{\n  \"a\": 1,\n  \"result\": 2\n}\n")
        let unknown = run(body, ["resul"])
        #expect(unknown.errorText == "target 'resul': no output or task of that name (did you mean 'result'?)\n")
        #expect(unknown.status == 2)
        let json = run(body, ["none-such", "--json"])
        #expect(json.status == 2)
        #expect(json.json?["errors"]?[0]?["message"]?.string == "target 'none-such': no output or task of that name")
    }

    @Test func `without keep-going a failure stops the run and prints no outputs`() {
        let result = run(
            "g:task(\"a\", function() error(\"x\", 0) end)\nfor i = 1, 50 do g:task(\"b\" .. i, function() return i end) end",
            ["-j", "1"])
        #expect(result.output == "")
        #expect(
            result.errorText
                == "t.lua:4: task 'a' failed: x\n    [C]: in global 'error'\n    t.lua:4: in function <t.lua:4>\n    [C]: in ?\n"
        )
        #expect(result.status == 1)
    }

    @Test func `the environment's faults have status 3, the user's 2`() {
        let missing = Tool.run(["run", "none.lua"], in: folder)
        #expect(missing.status == 3)
        #expect(missing.errorText == "none.lua: cannot be read: No such file or directory\n")
        #expect(run("g:task(\"a\", f)", ["--dir", "none"]).status == 3)
        #expect(run("g:task(\"a\", f)", ["--params", "none.json"]).status == 3)
        #expect(run("g:task(\"a\", f)", ["-j", "0"]).status == 2)
        #expect(Tool.run(["bogus"], in: folder).status == 2)
        #expect(Tool.run(["run"], in: folder).status == 2)
        #expect(Tool.run(["--version"], in: folder).status == 0)
        #expect(Tool.run(["doctor"], in: folder).status == 0)
    }

    // MARK: Parameters

    private let parameters = """
        local p = { b = handout.param("b", false), i = handout.param("i", 3), x = handout.param("x", 1.5), s = handout.param("s", "x"),
          l = handout.param("l", { 1, 2 }), w = handout.param("w", {}), t = handout.param("t", { a = 1 }),
          r = handout.param("r"), c = handout.param{ name = "c", default = "x", choices = { "x", "y" } } }
        g:task("out", function() return p end)
        """

    @Test func `parameters have their defaults`() {
        #expect(
            run(parameters, ["-p", "r=1"]).output == """
                {
                  "out": {"b":false,"c":"x","i":3,"l":[1,2],"r":"1","s":"x","t":{"a":1},"w":[],"x":1.5}
                }

                """)
    }

    @Test func `parameters are read by the type of the default`() {
        folder.write("value", "from a file\n")
        let arguments = [
            "r=@value", "b=true", "i=0x10", "x=2", "s=a=b,c", "l=4,5,6", "w=a,b", "t={\"z\":[1,null]}", "c=y",
        ]
        #expect(
            run(parameters, arguments.flatMap { ["-p", $0] }).output == """
                {
                  "out": {"b":true,"c":"y","i":16,"l":[4,5,6],"r":"from a file\\n","s":"a=b,c","t":{"z":[1,false]},"w":["a","b"],"x":2.0}
                }

                """)
    }

    @Test func `parameters come from a file, and p wins`() {
        folder.write("p.json", "{\"r\":\"v\",\"i\":7,\"w\":[\"q\"],\"x\":3}")
        #expect(
            run(parameters, ["--params", "p.json", "-p", "i=8"]).output == """
                {
                  "out": {"b":false,"c":"x","i":8,"l":[1,2],"r":"v","s":"x","t":{"a":1},"w":["q"],"x":3.0}
                }

                """)
    }

    @Test func `a list given as JSON has elements of the type of the default`() {
        let result = run(parameters, ["-p", "r=1", "-p", "l=[1,\"a\"]"])
        #expect(result.status == 2)
        #expect(result.errorText.contains("parameter 'l': expected a list of elements that are each an integer, got "))
    }

    // MARK: Logs and escapes

    @Test func `logs, prints and failures go to standard error, escaped`() {
        let result = run(
            """
            g:task("t", function()
              print("p", 1, nil, "\\27[2J")
              handout.log("warning", "%s is %d", "x", 3)
              handout.log("debug", "two\\nlines\\u{202e}")
              handout.progress(0.5, "half")
              return 1
            end)
            """)
        #expect(
            result.errorText == """
                t: p\t1\tnil\t\\u{1b}[2J
                t: warning: x is 3
                t: debug: two
                t: debug: lines\\u{202e}

                """)
        #expect(result.output == "{\n  \"t\": 1\n}\n")
    }

    @Test func `print while planning is shown once, at most 64 KiB`() {
        let one = run("print(\"hello\", 1)\ng:task(\"t\", f)\ng:task(\"u\", f)", ["-j", "2"])
        #expect(one.errorText == "plan: hello\t1\n")
        let many = run("for i = 1, 100 do print((\"x\"):rep(1000)) end\ng:task(\"t\", f)")
        #expect(
            many.errorText == String(repeating: "plan: \(String(repeating: "x", count: 1000))\n", count: 65)
                + "plan: (more than 64 KiB: the rest is left out)\n")
    }

    @Test func `the log of an attempt is cut at 1 MiB`() {
        let result = run(
            "g:task(\"t\", function() local s = (\"x\"):rep(99999) for i = 1, 20 do print(s) end return 1 end)")
        #expect(
            result.errorText == String(repeating: "t: \(String(repeating: "x", count: 99999))\n", count: 10)
                + "t: warning: log cut: more than 1 MiB in this attempt\n")
    }

    @Test func `progress with plain lines says how the run ended`() {
        let result = folder.tool("run", graphScript("g:task(\"t\", f)"), ["--progress", "plain"])
        #expect(result.errorText.hasPrefix("finished: 1 done in "))
        #expect(result.errorText.split(separator: "\n").count == 1)
    }

    @Test func `a failure shows task, attempt, message and the user's traceback`() {
        let result = run(
            """
            local function inner(x)
              return x.y.z
            end
            g:task("t", { retries = 1, backoff = 0.001 }, function()
              local v = inner({})
              return v
            end)
            """)
        #expect(
            result.errorText == """
                t.lua:5: task 't' failed in attempt 2: attempt to index a nil value (field 'y')
                    t.lua:5: in upvalue 'inner'
                    t.lua:8: in function <t.lua:7>
                    [C]: in ?

                """)
    }

    // MARK: Retries

    @Test func `retries count attempts, and what is left of them`() {
        let result = run(
            """
            g:task("t", { retries = 5, backoff = { first = "1ms", factor = 3, max = "2ms" } }, function()
              if handout.task.attempt < 4 then error("not yet") end
              return { handout.task.attempt, handout.task.retries_left }
            end)
            g:task("a", { retries = 1 }, function()
              if handout.task.attempt == 1 then handout.retry("later", { after = "5ms" }) end
              return handout.task.attempt
            end)
            """)
        #expect(result.output == "{\n  \"a\": 2,\n  \"t\": [4,2]\n}\n")
        #expect(result.errorText == "")
    }

    @Test func `what is retried, and what is not`() throws {
        let result = run(
            """
            g:task("error", { retries = 2 }, function() error("e", 0) end)
            g:task("fail", { retries = 2 }, function() handout.fail("f") end)
            g:task("caught", { retries = 2 }, function() local ok, e = pcall(handout.fail, "c") return e.message end)
            g:task("memory", { retries = 2, memory = "4MiB" }, function() local t = {} for i = 1, 1e7 do t[i] = { i } end end)
            g:task("asked", { retries = 2 }, function() handout.retry("a", { ended = "memory" }) end)
            g:task("late", { retries = 2, timeout = 0.02 }, function() while true do end end)
            g:task("two", { retries = 2 }, function() return 1, 2 end)
            g:task("data", { retries = 2 }, function() return { { print } } end)
            """, ["--json", "--keep-going", "-j", "1"])
        let failures = try #require(result.json?["failures"]?.elements)
        let said = failures.map {
            "\($0["task"]?.string ?? "") \($0["attempt"]?.integer ?? 0) \($0["kind"]?.string ?? ""): \($0["message"]?.string ?? "")"
        }
        #expect(
            said.sorted() == [
                "asked 1 memory: a",
                "data 1 result: result[1][1]: a function cannot leave its task",
                "error 3 error: e",
                "fail 1 error: f",
                "late 3 timeout: timeout of 0.02 s reached",
                "memory 1 memory: memory limit of 4 MiB reached",
                "two 1 result: the task returned 2 values, expected one",
            ])
        #expect(result.json?["outputs"]?["caught"] == .string("c"))
    }

    @Test func `the seed decides math random, and the task's name`() {
        let body =
            "for i = 1, 2 do g:task(\"t\" .. i, function() return math.random(1 << 50) end) end\nlocal n = math.random(1 << 50)\ng:task(\"p\", function() return n end)"
        let first = run(body, ["--seed", "5", "-j", "2"]).json
        #expect(first == run(body, ["--seed", "5", "-j", "1"]).json)
        #expect(first?["t1"] != first?["t2"])
        let other = run(body, ["--seed", "6"]).json
        #expect(first?["t1"] != other?["t1"] && first?["p"] != other?["p"])
        #expect(run(body, ["--seed", "0"]).json == run(body).json)
    }

    // MARK: Values

    @Test func `values outside Lua`() {
        let result = run(
            """
            g:task("v", function()
              return { 0/0, 1/0, -1/0, -0.0, 2^63, 2^53, 1.5, 1e100, math.mininteger, math.maxinteger, {}, { {} }, { a = {} }, "\\xff\\0",
                { [true] = 1, [false] = 2 }, { [1] = 1, [3] = 3 }, { 1, x = 2 }, { [1.5] = 0 }, "\\u{1F600}\\127\\"\\\\\\n", "</script>\\u{2028}" }
            end)
            """)
        #expect(
            result.output == """
                {
                  "v": [{"$float":"nan"},{"$float":"inf"},{"$float":"-inf"},-0.0,9.223372036854776e+18,9007199254740992.0,1.5,1e+100,\
                -9223372036854775808,9223372036854775807,[],[[]],{"a":[]},{"$bytes":"/wA="},{"false":2,"true":1},{"1":1,"3":3},\
                {"1":1,"x":2},{"1.5":0},"\u{1F600}\u{7F}\\"\\\\\\n","</script>\\u2028"]
                }

                """)
    }

    @Test func `a clash of keys is a failure of kind result, and the other outputs are printed`() {
        let body =
            "g:task(\"a\", function() return { [1] = 1, [\"1\"] = 2 } end)\ng:task(\"b\", function() return 1 end)"
        let result = run(body, ["--keep-going"])
        #expect(result.status == 1)
        #expect(result.output == "{\n  \"a\": null,\n  \"b\": 1\n}\n")
        #expect(result.errorText.contains("two keys become the same text: \"1\""))
        #expect(run(body, ["--json"]).json?["failures"]?[0]?["kind"]?.string == "result")
    }

    @Test func `json encodes and decodes as the reference says`() {
        let result = run(
            """
            local json = handout.json
            g:task("t", function()
              return { json.encode{ b = { 1, 2.0, "x", false }, a = {} }, json.decode('{"a":null,"b":[null,1,1.0,"\\\\u00e9"]}'),
                select(2, pcall(json.decode, "[1,")), select(2, pcall(json.encode, print)), json.decode("[]"), #json.decode("[[1],[2]]") }
            end)
            """)
        #expect(
            result.output == """
                {
                  "t": ["{\\"a\\":[],\\"b\\":[1,2.0,\\"x\\",false]}",{"b":[false,1,1.0,"é"]},\
                "json.decode: position 4: expected a value, got the end","json.encode: value: a function cannot be written as JSON",[],2]
                }

                """)
    }

    // MARK: Files

    @Test func `files are read beneath the run directory only`() {
        folder.folder("d")
        folder.folder("d/sub")
        folder.folder("d/.hidden")
        folder.write("d/f", "l1\nl2\n\nl4")
        folder.write("d/.secret", "x")
        folder.write("d/.hidden/f", "x")
        folder.write("outside", "x")
        folder.link("d/in", to: "f")
        folder.link("d/out", to: "/etc/passwd")
        folder.link("d/up", to: "../outside")
        folder.link("d/abs", to: folder.path + "/d/sub")
        folder.fifo("d/fifo")
        let d = folder.path + "/d"
        func outside(_ path: String) -> String {
            " is outside of the run directory '\(d)' and not granted: the task asks for it with grant = "
                + "{ read = { \"\(path)\" } }"
        }
        let cases: [(path: String, said: String)] = [
            ("f", "= l1\nl2\n\nl4"), ("./f", "= l1\nl2\n\nl4"), ("sub/../f", "= l1\nl2\n\nl4"),
            ("in", "= l1\nl2\n\nl4"),
            (d + "/f", "= l1\nl2\n\nl4"), ("../outside", outside("../outside")),
            ("up", ": leads out of the run directory"), ("out", ": leads out of the run directory"),
            ("abs/x", ": leads out of the run directory"), (".secret", ": hidden files and folders are not read"),
            (".hidden/f", ": hidden files and folders are not read"),
            ("sub/../.secret", ": hidden files and folders are not read"),
            ("fifo", ": is not a regular file"), ("sub", ": is a directory"), (".", ": is a directory"),
            ("none", ": No such file or directory"), ("f/", "= l1\nl2\n\nl4"),
            ("/etc/passwd", outside("/etc/passwd")),
            ("/dev/zero", outside("/dev/zero")),
            (d + "x/f", outside(d + "x/f")),
        ]
        let list = cases.map { "\"\($0.path)\"" }.joined(separator: ", ")
        let result = run(
            "g:map(\"m\", { over = { \(list) } }, function(path)\n  local ok, text = pcall(handout.fs.read, path)\n  return ok and \"= \" .. text or tostring(text)\nend)",
            ["--dir", "d"])
        let values = result.json?["m"]?.elements.compactMap(\.string) ?? []
        #expect(values == cases.map { $0.said.hasPrefix("= ") ? $0.said : "fs.read: '\($0.path)'\($0.said)" })
    }

    @Test func `ranges and lines of files`() {
        folder.write("f", "l1\nl2\n\nl4")
        folder.write("empty", "")
        folder.write("crlf", "a\r\nb\r\n\n")
        let result = run(
            """
            local read, lines = handout.fs.read, handout.fs.lines
            g:task("t", function()
              return { read("f", { offset = 3, length = 2 }), read("f", { offset = 100 }), read("f", { length = 0 }),
                lines("f"), lines("f", { chunk = 2 }), lines("f", { chunk = 3 }), lines("f", { chunk = 100 }), lines("empty"), lines("crlf"),
                select(2, pcall(lines, "f", { chunk = 0 })), select(2, pcall(read, "f", { ofset = 1 })), select(2, pcall(read, "f", { offset = -1 })),
                select(2, pcall(read, "")), select(2, pcall(read, "f\\0x")), tostring(select(2, pcall(handout.fs.write, "x", "y"))) }
            end)
            """)
        #expect(
            result.output == """
                {
                  "t": ["l2","","",["l1","l2","","l4"],["l1\\nl2\\n","\\nl4"],["l1\\nl2\\n\\n","l4"],["l1\\nl2\\n\\nl4"],[],["a\\r","b\\r",""],\
                "fs.lines: chunk: expected at least 1, got 0","fs.read: unknown option \\"ofset\\" (did you mean 'offset'?)",\
                "fs.read: offset: expected a whole number, at least 0","fs.read: the path is empty",\
                "fs.read: 'f\\\\x00x': a path has no zero byte","fs.write: 'x' is not granted: the task asks for it with grant = { write = { \\"x\\" } }"]
                }

                """)
    }

    // MARK: Needs, maps and reduces

    @Test func `needs arrive in the shape in which they were asked for`() {
        let result = run(
            """
            local a, b = g:task("a", function() return 1 end), g:task("b", function() end)
            g:output("list", g:task("list", { needs = { a, { a, { a } }, { x = a } }, args = { "c", { 2 } } }, function(...) return { select("#", ...), ... } end))
            g:output("named", g:task("named", { needs = { x = a, y = { a, b }, z = { q = b } } }, function(n, ...)
              return { select("#", ...), n.x, #n.y, n.y[2], n.z.q == nil, next(n.z) == nil } end))
            g:output("one", g:task("one", { needs = a }, function(...) return { select("#", ...), ... } end))
            g:output("none", g:task("none", { needs = {} }, function(...) return select("#", ...) end))
            g:output("absent", g:task("absent", { needs = { b, a } }, function(x, y) return { x == nil, y } end))
            """)
        #expect(
            result.output == """
                {
                  "absent": [true,1],
                  "list": [5,1,[1,[1]],{"x":1},"c",[2]],
                  "named": [0,1,2,false,true,true],
                  "none": 0,
                  "one": [1,1]
                }

                """)
    }

    @Test func `a thousand tasks fan into one`() {
        let result = run(
            """
            local all = {}
            for i = 1, 1000 do all[i] = g:task("t" .. i, function() return i end) end
            g:task("sum", { needs = { all } }, function(list) local s = 0 for _, v in ipairs(list) do s = s + v end return { #list, s } end)
            """)
        #expect(result.output == "{\n  \"sum\": [1000,500500]\n}\n")
    }

    @Test func `after orders without handing a value on, for maps too`() {
        let result = run(
            """
            local m = g:map("m", { over = { 1, 2, 3 } }, function(x) return x end)
            local a = g:task("a", { after = m }, function(...) return select("#", ...) end)
            g:task("b", { after = { a, m } }, function(...) return select("#", ...) end)
            """)
        #expect(result.output == "{\n  \"b\": 0\n}\n")
        let failed = run(
            "local a = g:task(\"a\", function() error(\"x\", 0) end)\ng:task(\"b\", { after = a }, f)",
            ["--json", "--keep-going"])
        #expect(failed.json?["tasks"] == JSON("{\"done\":0,\"failed\":1,\"skipped\":1,\"cached\":0}"))
    }

    @Test func `maps over literal, keyed and run-time lists, and over maps`() {
        let result = run(
            """
            local function out(name, handle) g:output(name, handle) return handle end
            local list = g:task("list", function() return { 1, 2, 3 } end)
            local keyed = g:task("keyed", function() return { x = 1, ["y z"] = 2 } end)
            local none = g:task("none", function() return {} end)
            out("a", g:map("a", { over = { 10, 20 } }, function(x, k) return x + k end))
            out("b", g:map("b", { over = { q = 1, p = 2 } }, function(x, k) return k .. x end))
            out("c", g:map("c", { over = {} }, f))
            local d = out("d", g:map("d", { over = list, needs = { list }, args = { 100 } }, function(x, k, l, n) return x * k + #l + n end))
            out("e", g:map("e", { over = keyed }, function(x, k) return { handout.task.id, handout.task.key, handout.task.name } end))
            out("f", g:map("f", { over = none }, f))
            out("g", g:map("g", { over = d }, function(x, k) return x - 100 end))
            out("h", g:map("h", { over = list }, function(x) if x ~= 2 then return x end end))
            out("i", g:map("i", { over = keyed }, function(x) if x ~= 2 then return x end end))
            out("j", g:map("j", { over = g:map("jj", { over = list }, function(x) return { x } end) }, function(x, k) return { x[1], k } end))
            """)
        #expect(
            result.output == """
                {
                  "a": [11,22],
                  "b": {"p":"p2","q":"q1"},
                  "c": [],
                  "d": [104,107,112],
                  "e": {"x":["e[x]","x","e"],"y z":["e[y%20z]","y z","e"]},
                  "f": [],
                  "g": [4,7,12],
                  "h": [1,false,3],
                  "i": {"x":1},
                  "j": [[1,1],[2,2],[3,3]]
                }

                """)
    }

    @Test func `a list that is none when it is known fails with the place of the map`() throws {
        let result = run(
            """
            local n = g:task("n", function() return 5 end)
            local m = g:task("m", function() return { 1, x = 2 } end)
            g:map("a", { over = n }, f)
            g:reduce("b", { over = m }, f)
            """, ["--json", "--keep-going", "-j", "1"])
        let failures = try #require(result.json?["failures"]?.elements)
        #expect(
            failures.map {
                "\($0["task"]?.string ?? "") \($0["kind"]?.string ?? "") \($0["file"]?.string ?? ""):\($0["line"]?.integer ?? 0) \($0["attempt"]?.integer ?? 0)"
            }.sorted()
                == ["a result t.lua:6 1", "b result t.lua:7 1"])
        #expect(
            failures.contains {
                $0["message"]?.string == "over: expected a list or a keyed table, got a number of task 'n'"
            })
        #expect(result.status == 1)
    }

    @Test(arguments: 2...9)
    func `a reduce equals a fold for every arity and length`(arity: Int) {
        let result = run(
            """
            local function join(list) return table.concat(list, ",") end
            local function count(n) local t = {} for i = 1, n do t[i] = tostring(i) end return t end
            for n = 0, 30 do
              g:output("l" .. n, g:reduce("literal" .. n, { over = count(n), arity = \(arity) }, join))
              local source = g:task("source" .. n, { args = { count(n) } }, function(t) return t end)
              g:output("t" .. n, g:reduce("task" .. n, { over = source, arity = \(arity) }, join))
              local map = g:map("map" .. n, { over = source }, function(x) return x end)
              g:output("m" .. n, g:reduce("of-map" .. n, { over = map, arity = \(arity) }, join))
            end
            """, ["-j", "2"])
        let json = result.json
        for n in 0...30 {
            let expected = n == 0 ? "" : (1...n).map { "\($0)" }.joined(separator: ",")
            for kind in ["l", "t", "m"] { #expect(json?["\(kind)\(n)"]?.string == expected) }
        }
        #expect(result.status == 0)
    }

    @Test func `a reduce of nothing calls its function with an empty list, of a keyed table in key order`() {
        let result = run(
            """
            g:reduce("none", { over = {} }, function(l, ...) return { #l, select("#", ...) } end)
            g:reduce("one", { over = { 7 } }, function(l) return { #l, l[1] } end)
            g:reduce("keyed", { over = { b = "B", a = "A", c = "C" }, arity = 2, args = { "-" } }, function(l, s) return table.concat(l, s) end)
            g:reduce("absent", { over = g:map("m", { over = { 1, 2, 3 } }, function(x) if x ~= 2 then return x end end) }, function(l) return { #l, l[2] } end)
            """)
        #expect(
            result.output
                == "{\n  \"absent\": [3,false],\n  \"keyed\": \"A-B-C\",\n  \"none\": [0,0],\n  \"one\": [1,7]\n}\n")
    }

    @Test func `memory is limited for each task`() {
        let result = run(
            """
            g:task("small", { memory = "8MiB" }, function() return #(("x"):rep(1 << 24)) end)
            g:task("grows", { memory = "8MiB" }, function() local t = {} for i = 1, 1e7 do t[i] = i end end)
            g:task("large", { memory = "64MiB" }, function() return #(("x"):rep(1 << 24)) end)
            g:task("unset", function() return #(("x"):rep(1 << 26)) end)
            """, ["--json", "--keep-going", "-j", "1", "--task-memory", "32MiB"])
        let kinds = (result.json?["failures"]?.elements ?? []).map {
            "\($0["task"]?.string ?? "") \($0["kind"]?.string ?? "")"
        }
        #expect(kinds.sorted() == ["grows memory", "small memory", "unset memory"])
        #expect(result.json?["outputs"]?["large"] == .integer(1 << 24))
    }

    @Test func `what task tells`() {
        let result = run(
            "g:task(\"t\", { memory = \"10MiB\", cpu = 0.5, timeout = 60 }, function()\n  local t = handout.task\n"
                + "  return { t.id, t.name, t.key == nil, t.attempt, t.retries_left, t.worker, t.variant, t.amounts, t.indices, t.missing, t.deadline <= 60, #t.run, t.none == nil }\nend)"
        )
        #expect(
            result.output == """
                {
                  "t": ["t","t",true,1,0,"local",1,{"cpu":0.5,"memory":10485760},[],[],true,20,true]
                }

                """)
    }

    @Test func `calls of planning are refused inside a task`() {
        let result = run(
            """
            g:task("graph", function() return select(2, pcall(handout.graph, "y")) end)
            g:task("param", function() return select(2, pcall(handout.param, "y", 1)) end)
            """)
        #expect(result.json?["graph"]?.string == "handout.graph is only there while planning, not in a task")
        #expect(result.json?["param"]?.string == "handout.param is only there while planning, not in a task")
    }

    // MARK: Signals and pipes

    /// Tasks that say that they run and then spin until the clock says otherwise.
    private let slow = """
        for i = 1, 3 do
          g:task("t" .. i, function()
            handout.log("info", "runs")
            local start = os.clock()
            while os.clock() - start < 0.4 do end
            return i
          end)
        end
        """

    private func interrupted(times: Int, _ arguments: [String] = []) -> Tool.Result {
        folder.write("t.lua", graphScript(slow))
        var sent = 0
        return Tool.run(["run", "t.lua", "-j", "1"] + arguments, in: folder, limit: 30) { process, text in
            if sent == 0, text.contains("t1: runs\n") {
                sent = 1
                kill(process, SIGINT)
            }
            if sent == 1, times == 2, text.contains("interrupted: ") {
                sent = 2
                kill(process, SIGINT)
            }
        }
    }

    @Test func `one interrupt waits for what runs and starts nothing more`() {
        let result = interrupted(times: 1, ["--json"])
        #expect(result.status == 130)
        #expect(result.json?["ok"] == .bool(false))
        #expect(result.json?["outputs"] == JSON("{\"t1\":1,\"t2\":null,\"t3\":null}"))
        #expect(result.json?["tasks"] == JSON("{\"done\":1,\"failed\":0,\"skipped\":2,\"cached\":0}"))
        #expect(
            result.errorText.hasPrefix(
                "t1: runs\ninterrupted: waiting for what is running (Ctrl-C again ends it)\nended: 1 done, 2 skipped in "
            ))
    }

    @Test func `SIGUSR1 pauses a run, SIGUSR2 lets it go on`() throws {
        folder.write(
            "t.lua",
            graphScript(
                """
                local first = g:task("t1", { grant = { read = { "." } } }, function()
                  handout.log("info", "runs")
                  while not handout.fs.exists("go") do end
                end)
                for i = 2, 3 do g:task("t" .. i, { after = first }, function() end) end
                """))
        var sent = 0
        let arguments = ["run", "t.lua", "-j", "1", "--allow", "read=.", "--json", "--events", "e.jsonl"]
        let result = Tool.run(arguments, in: folder, limit: 60) { process, text in
            if sent == 0, text.contains("t1: runs\n") {
                sent = 1
                kill(process, SIGUSR1)
            }
            if sent == 1, text.contains("paused: ") {
                sent = 2
                folder.write("go", "")
                // Events are written ten times a second: the task that ran has ended, and the run is still paused.
                for _ in 0..<300 where !self.events("e.jsonl").contains("task_finished") { usleep(100_000) }
                kill(process, SIGUSR2)
            }
        }
        #expect(result.status == 0)
        #expect(result.json?["tasks"] == JSON("{\"done\":3,\"failed\":0,\"skipped\":0,\"cached\":0}"))
        #expect(
            result.errorText.contains(
                "paused: nothing more is started (SIGUSR2 lets it go on)\ngoing on\n"), "\(result.errorText)")
        let kinds = events("e.jsonl")
        let paused = try #require(kinds.firstIndex(of: "run_paused"))
        let resumed = try #require(kinds.firstIndex(of: "run_resumed"))
        #expect(paused < resumed && !kinds[paused..<resumed].contains("task_started"))
        #expect(kinds[paused..<resumed].contains("task_finished"))
        #expect(kinds[resumed...].count { $0 == "task_started" } == 2)
    }

    /// Kinds of the events that a file has so far.
    private func events(_ name: String) -> [String] {
        (contents(of: folder.path + "/" + name) ?? []).split(separator: UInt8(ascii: "\n")).compactMap {
            JSON(Array($0))?["kind"]?.string
        }
    }

    @Test func `an interrupt while the script is planned ends the program`() {
        folder.write("t.lua", graphScript("print('planning') while true do end"))
        var isSent = false
        let result = Tool.run(["run", "t.lua"], in: folder, limit: 60) { process, text in
            if !isSent, text.contains("planning") {
                isSent = true
                kill(process, SIGINT)
            }
        }
        // Not the refusal that the limit of planning would be.
        #expect(isSent && result.signal == SIGINT)
        #expect(result.output.isEmpty && !result.errorText.contains("longer"))
    }

    @Test func `two interrupts end what runs`() {
        let result = interrupted(times: 2, ["--json"])
        #expect(result.status == 130)
        #expect(result.json?["outputs"] == JSON("{\"t1\":null,\"t2\":null,\"t3\":null}"))
        #expect(result.json?["tasks"] == JSON("{\"done\":0,\"failed\":0,\"skipped\":3,\"cached\":0}"))
    }

    @Test func `an interrupted run without json prints nothing`() {
        let result = interrupted(times: 1)
        #expect(result.status == 130)
        #expect(result.output == "")
    }

    @Test func `output on a closed pipe is an error of the environment`() {
        folder.write("t.lua", graphScript("g:task(\"t\", function() return (\"x\"):rep(1000000) end)"))
        let result = Tool.run(["run", "t.lua"], in: folder, closedOutput: true)
        #expect(result.status == 3)
        #expect(result.errorText == "standard output: Broken pipe\n")
    }
}
