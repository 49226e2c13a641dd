import Testing

/// Captured variables: their value in the task, the fingerprint that depends on them, and what is refused.
@Suite struct CaptureTests {
    /// Runs on one thread and compares the whole standard output.
    private func expectOutputs(_ body: String, _ expected: String, sourceLocation: SourceLocation = #_sourceLocation) {
        let result = Folder().tool("run", graphScript(body), ["-j", "1"])
        #expect(result.output == expected + "\n", sourceLocation: sourceLocation)
        #expect(result.errorText == "", sourceLocation: sourceLocation)
        #expect(result.status == 0, sourceLocation: sourceLocation)
    }

    /// Runs on with `--keep-going` and compares both outputs.
    private func expectFailure(
        _ body: String, _ expected: String, _ errors: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let result = Folder().tool("run", graphScript(body), ["-j", "1", "--keep-going", "--progress", "none"])
        #expect(result.output == expected + "\n", sourceLocation: sourceLocation)
        #expect(result.errorText == errors + "\n", sourceLocation: sourceLocation)
        #expect(result.status == 1, sourceLocation: sourceLocation)
    }

    /// The fingerprint of each task.
    private func fingerprints(_ body: String, _ arguments: [String] = []) -> [String: String] {
        let result = Folder().tool("graph", graphScript(body), ["--format", "json"] + arguments)
        #expect(result.errorText == "")
        var found: [String: String] = [:]
        for task in result.json?["tasks"]?.elements ?? [] {
            found[task["id"]?.string ?? "?"] = task["fingerprint"]?.string
        }
        return found
    }

    private func expectSame(
        _ first: String, _ second: String, _ task: String = "t", sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let one = fingerprints(first)[task]
        #expect(one != nil && one == fingerprints(second)[task], sourceLocation: sourceLocation)
    }

    private func expectDifferent(
        _ first: String, _ second: String, _ task: String = "t", sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let one = fingerprints(first)[task]
        #expect(one != nil && one != fingerprints(second)[task], sourceLocation: sourceLocation)
    }

    // MARK: Assigned after the declaration

    @Test func `a local assigned after the declaration has its last value`() {
        expectOutputs("local later\ng:task(\"t\", function() return later end)\nlater = 7", "{\n  \"t\": 7\n}")
    }

    @Test func `a local assigned later in the same iteration has that iteration's value`() {
        expectOutputs(
            """
            for i = 1, 3 do
              local k = 0
              g:task("t" .. i, function() return k end)
              k = i * 100
            end
            """, "{\n  \"t1\": 100,\n  \"t2\": 200,\n  \"t3\": 300\n}")
    }

    @Test func `a helper assigned after the declaration is the one that runs`() {
        expectOutputs(
            """
            for i = 1, 2 do
              local helper
              g:task("t" .. i, function() return helper() end)
              local k = i
              helper = function() return k end
              k = k * 5
            end
            """, "{\n  \"t1\": 5,\n  \"t2\": 10\n}")
    }

    @Test func `one variable captured by several tasks has one value, the last`() {
        expectOutputs(
            """
            local x = 1
            local function make(a) return function() return { a, x } end end
            g:task("a", make("a"))
            x = 2
            g:task("b", make("b"))
            g:task("c", function() local y = x return y end)
            x = 3
            """, "{\n  \"a\": [\"a\",3],\n  \"b\": [\"b\",3],\n  \"c\": 3\n}")
    }

    @Test func `a variable assigned later changes the fingerprint`() {
        let script = { (value: String) in "local later\ng:task(\"t\", function() return later end)\nlater = \(value)" }
        expectDifferent(script("7"), script("8"))
        expectDifferent(script("7"), script("7.0"))
        expectDifferent(script("7"), script("\"7\""))
        expectSame(script("{ 1, 2, x = { 3 } }"), script("{ x = { 3 }, [1] = 1, [2] = 2 }"))
    }

    // MARK: Helpers

    @Test func `a helper changed in its body changes the fingerprint of who captures it, at any distance`() {
        let script = { (number: Int) in
            """
            local function inner() return \(number) end
            local function outer() return inner() + 1 end
            g:task("t", function() return outer() end)
            g:task("other", function() return 1 end)
            """
        }
        expectDifferent(script(1), script(2))
        expectSame(script(1), script(2), "other")
        expectOutputs(script(4), "{\n  \"other\": 1,\n  \"t\": 5\n}")
    }

    @Test func `comments, layout and place do not change a fingerprint, tokens do`() {
        expectSame(
            "g:task(\"t\", function(a) return a + 1 end)",
            "\n\n-- above\ng:task(\"t\", { retries = 2 },\n  function( a ) -- inside\n  return a+1 --[[ long\n ]] end)")
        expectDifferent("g:task(\"t\", function(a) return a + 1 end)", "g:task(\"t\", function(b) return b + 1 end)")
        expectDifferent("g:task(\"t\", function() return '1' end)", "g:task(\"t\", function() return 1 end)")
    }

    @Test func `a fingerprint depends on the captured value, not on its neighbour's`() {
        let script = { (a: Int, b: Int) in
            "local a, b = \(a), \(b)\ng:task(\"t\", function() return a end)\ng:task(\"u\", function() return b end)"
        }
        expectSame(script(1, 2), script(1, 3))
        expectDifferent(script(1, 2), script(1, 3), "u")
    }

    @Test func `mutual recursion between captured functions works, and both bodies count`() {
        let script = { (step: Int) in
            """
            local even, odd
            even = function(n) if n == 0 then return true end return odd(n - 1) end
            odd = function(n) if n == 0 then return false end return even(n - \(step)) end
            g:task("t", function() return { even(10), odd(7), even(2) } end)
            g:task("u", function() return odd(3) end)
            """
        }
        expectOutputs(script(1), "{\n  \"t\": [true,true,true],\n  \"u\": true\n}")
        expectDifferent(script(1), script(2))
        expectDifferent(script(1), script(2), "u")
    }

    @Test func `a task's function may call itself`() {
        expectOutputs(
            """
            local down
            down = function(n) if not n then return down(5) end if n == 0 then return "done" end return down(n - 1) end
            g:task("t", down)
            local function fact(n) if n < 2 then return 1 end return n * fact(n - 1) end
            g:task("u", function() return fact(10) end)
            """, "{\n  \"t\": \"done\",\n  \"u\": 3628800\n}")
    }

    @Test func `two functions on one line are two, in tasks and in helpers`() {
        expectOutputs(
            """
            g:task("a", function() return 1 end) g:task("b", function() return 2 end)
            local f, h = function() return 3 end, function() return 4 end
            g:task("c", function() return f() * 10 + h() end) g:task("d", function() return h() * 10 + f() end)
            local function mk(x) return function() return x end, function() return -x end end
            local p, q = mk(5) local r, s = mk(6)
            g:task("p", p) g:task("q", q) g:task("r", r) g:task("s", s)
            """,
            """
            {
              "a": 1,
              "b": 2,
              "c": 34,
              "d": 43,
              "p": 5,
              "q": -5,
              "r": 6,
              "s": -6
            }
            """)
        let found = fingerprints("g:task(\"a\", function() return 1 end) g:task(\"b\", function() return 2 end)")
        #expect(found["a"] != found["b"])
    }

    @Test func `two functions on one line with the same code and different captures are told apart`() {
        expectOutputs(
            """
            local x, y = 1, 2
            g:task("a", function() return x end) g:task("b", function() return y end)
            local s, t = "s", "t"
            local F, H = function() return s end, function() return t end
            g:task("c", function() return F() .. H() end)
            """, "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": \"st\"\n}")
    }

    @Test func `closures in loops have the value of their iteration, their helpers too`() {
        expectOutputs(
            """
            for i = 1, 3 do
              local function helper() return i end
              g:task("t" .. i, function() return helper() * 10 + i end)
            end
            for k, v in pairs{ a = 1, b = 2 } do g:task(k, function() return k .. v end) end
            """,
            """
            {
              "a": "a1",
              "b": "b2",
              "t1": 11,
              "t2": 22,
              "t3": 33
            }
            """)
    }

    @Test func `a map's and a reduce's functions capture as a task's do`() {
        expectOutputs(
            """
            local add, sep
            local m = g:map("m", { over = { 1, 2, 3 } }, function(x) return x + add end)
            g:output("r", g:reduce("r", { over = m, arity = 2 }, function(l) return table.concat(l, sep) end))
            add, sep = 10, "|"
            """, "{\n  \"r\": \"11|12|13\"\n}")
    }

    @Test func `variables shared by several closures are one variable within a task`() {
        expectFailure(
            """
            local n = 0
            local function up() n = n + 1 end
            local function get() return n end
            g:task("a", function() up() up() error("n is " .. get(), 0) end)
            g:task("b", function() return get() end)
            """, "{\n  \"a\": null,\n  \"b\": 0\n}",
            """
            t.lua:7: task 'a' failed: n is 2
                [C]: in global 'error'
                t.lua:7: in function <t.lua:7>
                [C]: in ?
            """)
    }

    @Test func `a variable that a helper changes and puts back is seen by other helpers in between`() {
        expectOutputs(
            """
            local level = 0
            local function show() return level end
            local function with(f) level = level + 1 local s = f() level = level - 1 return s end
            g:task("t", function() return with(function() return { show(), level } end) end)
            """, "{\n  \"t\": [1,1]\n}")
    }

    @Test func `a variable stays one variable when another task captures only one of its helpers`() {
        expectOutputs(
            """
            local level = 0
            local function show() return level end
            local function with() level = level + 1 local s = show() level = level - 1 return s end
            g:task("b", function() return show() end)
            g:task("t", function() return with() end)
            g:task("u", function() level = level + 1 local s = show() local w = with() level = level - 1 return { s, w } end)
            """, "{\n  \"b\": 0,\n  \"t\": 1,\n  \"u\": [1,2]\n}")
    }

    @Test func `helpers share their iteration's variable, whatever other iterations declare`() {
        expectOutputs(
            """
            for i = 1, 3 do
              local level = i * 10
              local function show() return level end
              local function with() level = level + 1 local s = show() level = level - 1 return s end
              if i ~= 2 then g:task("s" .. i, function() return show() end) end
              g:task("t" .. i, function() return with() + show() end)
            end
            """,
            """
            {
              "s1": 10,
              "s3": 30,
              "t1": 21,
              "t2": 41,
              "t3": 61
            }
            """)
    }

    // MARK: Tables

    @Test func `a captured table arrives whole, and each iteration's is its own`() {
        expectOutputs(
            """
            local t = { 1, 2.5, "x", { y = { z = true } }, [false] = 1 }
            g:task("shared", function() return { t[1], t[2], t[3], t[4].y.z, t[false] } end)
            for i = 1, 2 do
              local own = { i, { i * 2 } }
              g:task("own" .. i, function() return own end)
            end
            """, "{\n  \"own1\": [1,[2]],\n  \"own2\": [2,[4]],\n  \"shared\": [1,2.5,\"x\",true,1]\n}")
    }

    @Test func `a task that changes a captured table fails naming it, and the next one sees the original`() {
        expectFailure(
            """
            local shared = { 1, { 2 } }
            g:task("a", function() shared[2][1] = 99 return 1 end)
            g:task("b", function() return shared end)
            for i = 1, 2 do
              local own = { i }
              g:task("c" .. i, function() own[1] = own[1] + 1 return own[1] end)
            end
            """, "{\n  \"a\": null,\n  \"b\": [1,[2]],\n  \"c1\": null,\n  \"c2\": null\n}",
            """
            t.lua:5: task 'a' failed: the task changed captured variable 'shared': captured values are constants in a task
            t.lua:9: task 'c1' failed: the task changed captured variable 'own': captured values are constants in a task
            t.lua:9: task 'c2' failed: the task changed captured variable 'own': captured values are constants in a task
            """)
    }

    @Test func `one function over one table fails each time and never sees a change`() {
        expectFailure(
            """
            local shared = {}
            local function make(i) return function() assert(next(shared) == nil) shared[i] = true end end
            for i = 1, 3 do g:task("t" .. i, make(i)) end
            """, "{\n  \"t1\": null,\n  \"t2\": null,\n  \"t3\": null\n}",
            (1...3).map {
                "t.lua:6: task 't\($0)' failed: the task changed captured variable 'shared': captured values are constants in a task"
            }.joined(separator: "\n"))
    }

    @Test func `a task that changes a captured number fails naming it, through a helper too`() {
        expectFailure(
            """
            local n = 0
            g:task("a", function() n = n + 1 return n end)
            local count = 0
            local function bump() count = count + 1 return count end
            g:task("b", function() return bump() end)
            g:task("c", function() return { n, count } end)
            g:task("d", function() return bump ~= nil end)
            """, "{\n  \"a\": null,\n  \"b\": null,\n  \"c\": [0,0],\n  \"d\": true\n}",
            """
            t.lua:5: task 'a' failed: the task changed captured variable 'n': captured values are constants in a task
            t.lua:8: task 'b' failed: the task changed captured variable 'count': captured values are constants in a task
            """)
    }

    @Test func `a task that replaces a captured helper fails naming it`() {
        expectFailure(
            """
            local function helper() return 1 end
            g:task("a", function() helper = function() return 2 end return helper() end)
            g:task("b", function() return helper() end)
            """, "{\n  \"a\": null,\n  \"b\": 1\n}",
            "t.lua:5: task 'a' failed: the task changed captured variable 'helper': captured values are constants in a task"
        )
    }

    @Test func `a change of a large captured table is found with verify`() {
        let script = graphScript(
            """
            local big = {}
            for i = 1, 5000 do big[i] = i end
            g:task("a", function() big[4000] = 0 return 1 end)
            g:task("b", function() return big[4000] end)
            """)
        let result = Folder().tool("run", script, ["-j", "1", "--keep-going", "--progress", "none", "--verify"])
        #expect(result.output == "{\n  \"a\": null,\n  \"b\": 4000\n}\n")
        #expect(
            result.errorText
                == "t.lua:6: task 'a' failed: the task changed captured variable 'big': captured values are constants in a task\n"
        )
    }

    @Test func `a metatable of a captured table is dropped`() {
        expectOutputs(
            """
            local t = setmetatable({ 1 }, { __index = function() error("touched") end, __pairs = error, __len = error })
            g:task("t", function() return { t[1], t[2] == nil, getmetatable(t) == nil } end)
            """, "{\n  \"t\": [1,true,true]\n}")
    }

    // MARK: Libraries, modules, globals

    @Test func `captured library functions and tables are those of the task`() {
        expectOutputs(
            """
            local pairs, next, format, str, mt, sorted, json = pairs, next, string.format, string, math, handout.sorted, handout.json
            g:task("t", function()
              local n = 0
              for _ in pairs{ 1, 2, 3 } do n = n + 1 end
              return { n, pairs == _G.pairs, next({ 7 }, nil), format("%02d", 3), str.rep("a", 2), mt.floor(1.5), json.encode{ 1 },
                       sorted == handout.sorted, str == string }
            end)
            """, "{\n  \"t\": [3,true,1,\"03\",\"aa\",1,\"[1]\",true,true]\n}")
    }

    @Test func `what handout has in tasks can be captured`() {
        let script = graphScript(
            """
            local task, fs, log, fail, read, retry, progress = handout.task, handout.fs, handout.log, handout.fail, handout.fs.read,
              handout.retry, handout.progress
            g:task("id", function() return task.id end)
            g:task("fs", function() return fs.read("data") .. read("data") .. #fs.lines("data") end)
            g:task("log", function() log("info", "hello %d", 3) progress(1) return 1 end)
            g:task("fail", function() fail("over") end)
            g:task("retry", { retries = 1 }, function() if task.attempt == 1 then retry("again") end return task.attempt end)
            """)
        let folder = Folder()
        folder.write("data", "x")
        let result = folder.tool("run", script, ["-j", "1", "--keep-going", "--progress", "none"])
        #expect(
            result.output
                == "{\n  \"fail\": null,\n  \"fs\": \"xx1\",\n  \"id\": \"id\",\n  \"log\": 1,\n  \"retry\": 2\n}\n")
        #expect(result.errorText.contains("log: hello 3\n"))
        #expect(result.errorText.contains("t.lua:9: task 'fail' failed: over\n"))
    }

    @Test func `captured modules are the same module, and their tokens count`() {
        let module = { (number: Int) in
            "local M = {}\nlocal secret = \(number)\nfunction M.get() return secret end\nreturn M\n"
        }
        let script = graphScript(
            "local m = require \"mod\"\ng:task(\"t\", function() return m.get() end)\ng:task(\"u\", function() return require(\"mod\").get() end)"
        )
        var found: [String?] = []
        for number in [5, 6] {
            let folder = Folder()
            folder.write("mod.lua", module(number))
            #expect(folder.tool("run", script).output == "{\n  \"t\": \(number),\n  \"u\": \(number)\n}\n")
            found.append(folder.tool("graph", script, ["--format", "json"]).json?["tasks"]?[0]?["fingerprint"]?.string)
        }
        #expect(found[0] != nil && found[0] != found[1])
    }

    @Test func `a module required only inside a task is refused there`() {
        let folder = Folder()
        folder.write("mod.lua", "return {}")
        let result = folder.tool(
            "run", graphScript("g:task(\"t\", function() return require \"mod\" end)"), ["--progress", "none"])
        #expect(result.status == 1)
        #expect(
            result.errorText.hasPrefix(
                "t.lua:4: task 't' failed: module 'mod' was not required while planning: require it outside the task\n")
        )
    }

    @Test func `a task cannot change a module`() {
        let folder = Folder()
        folder.write("mod.lua", "local M = { n = 1 }\nreturn M\n")
        let result = folder.tool(
            "run",
            graphScript(
                "local m = require \"mod\"\ng:task(\"a\", function() m.n = 2 return m.n end)\ng:task(\"b\", function() return m.n end)"
            ),
            ["-j", "1", "--keep-going", "--progress", "none"])
        #expect(result.output == "{\n  \"a\": null,\n  \"b\": 1\n}\n")
        #expect(result.status == 1)
    }

    @Test func `globals defined after the tasks are there`() {
        expectOutputs(
            """
            g:task("t", function() return double(base.n) end)
            function double(x) return x * 2 end
            base = { n = 21 }
            """, "{\n  \"t\": 42\n}")
    }

    @Test func `a global function or table that a task mentions counts in its fingerprint`() {
        let script = { (factor: Int, n: Int) in
            "g:task(\"t\", function() return double(base.n) end)\nfunction double(x) return x * \(factor) end\nbase = { n = \(n) }\ng:task(\"u\", function() return 1 end)"
        }
        expectDifferent(script(2, 1), script(3, 1))
        expectDifferent(script(2, 1), script(2, 5))
        expectSame(script(2, 1), script(3, 1), "u")
    }

    @Test func `globals are read-only in a task`() {
        let result = Folder().tool(
            "run",
            graphScript(
                """
                G = { a = 1 }
                function helper() return 1 end
                g:task("a", function() H = 5 end)
                g:task("b", function() G.a = 2 return 1 end)
                g:task("c", function() rawset(_G, "H", 1) end)
                g:task("d", function() helper = nil end)
                g:task("e", function() return { G.a, helper(), H == nil } end)
                """), ["-j", "1", "--keep-going", "--json", "--progress", "none"])
        let failures = (result.json?["failures"]?.elements ?? []).map {
            "\($0["task"]?.string ?? "") \($0["message"]?.string ?? "")"
        }
        #expect(
            failures == [
                "a t.lua:6: globals are read-only in a task: 'H' cannot be assigned",
                "b the task changed the table of global 'G': globals are read-only in a task",
                "c t.lua:8: globals are read-only in a task: 'H' cannot be assigned",
                "d t.lua:9: globals are read-only in a task: 'helper' cannot be assigned",
            ])
        #expect(result.json?["outputs"]?["e"] == .array([.integer(1), .integer(1), .bool(true)]))
    }

    // MARK: Many and deep

    @Test func `two hundred captured variables arrive`() {
        // 150 a closure, so that the script's own locals fit beside them; two helpers carry more than 200 together.
        let locals = (1...95).map { "local a\($0) = \($0)" }.joined(separator: " ")
        let sum = (1...95).map { "a\($0)" }.joined(separator: " + ")
        let more = (1...95).map { "local b\($0) = \($0)" }.joined(separator: " ")
        let moreSum = (1...95).map { "b\($0)" }.joined(separator: " + ")
        expectOutputs(
            """
            \(locals)
            local function first() return \(sum) end
            do
              local make
              do
                \(more)
                make = function() return \(moreSum) + first() end
              end
              g:task("t", function() return make() end)
            end
            """, "{\n  \"t\": \(95 * 96)\n}")
        let wide = (1...180).map { "local v\($0) = \($0)" }.joined(separator: " ")
        let wideSum = (1...180).map { "v\($0)" }.joined(separator: " + ")
        expectOutputs(
            "do\n  \(wide)\n  g:task(\"t\", function() return \(wideSum) end)\nend", "{\n  \"t\": \(180 * 181 / 2)\n}")
    }

    @Test func `a chain of 150 helpers works`() {
        expectOutputs(
            """
            local h = function() return 1 end
            for i = 1, 149 do
              local inner = h
              h = function() return inner() + 1 end
            end
            g:task("t", function() return h() end)
            """, "{\n  \"t\": 150\n}")
    }

    @Test func `a thousand closures of one function keep a thousand values on every thread`() {
        let script = graphScript(
            """
            local all = {}
            for i = 1, 1000 do
              local t = { i }
              local function helper() return t[1] end
              all[i] = g:task("t" .. i, function() return helper() + i end)
            end
            g:output("list", g:task("list", { needs = { all } }, function(list) return list end))
            """)
        let expected = "{\n  \"list\": [\((1...1000).map { "\($0 * 2)" }.joined(separator: ","))]\n}\n"
        for threads in ["1", "4"] { #expect(Folder().tool("run", script, ["-j", threads]).output == expected) }
    }

    @Test func `functions made by load are tasks too, each text its own`() {
        let script = { (number: Int) in
            """
            for i = 1, 2 do
              g:task("t" .. i, assert(load("local n = ... return function() return n + " .. i + \(number) .. " end"))(i))
            end
            """
        }
        expectOutputs(script(0), "{\n  \"t1\": 2,\n  \"t2\": 4\n}")
        let found = fingerprints(script(0))
        #expect(found["t1"] != found["t2"])
        expectDifferent(script(0), script(1), "t1")
    }

    @Test func `a class whose first closure hides another class behind a branch still runs`() {
        expectOutputs(
            """
            local function make(i)
              local helper
              if i == 3 then helper = function() return "special" end else helper = function() return i end end
              return function() return helper() end
            end
            for i = 1, 4 do g:task("t" .. i, make(i)) end
            """, "{\n  \"t1\": 1,\n  \"t2\": 2,\n  \"t3\": \"special\",\n  \"t4\": 4\n}")
    }
}
