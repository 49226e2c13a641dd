import Testing

/// A script that is refused, and everything that `check` says about it: `code file:line: message`, a line each.
struct Refusal: CustomTestStringConvertible, Sendable {
    var name: String
    /// What stands in the script after `handout`, `g` and `f`, from line 4 on.
    var body: String
    var said: [String]

    init(_ name: String, _ body: String, _ said: String...) {
        self.name = name
        self.body = body
        self.said = said
    }

    var testDescription: String { name }
}

@Suite struct RefusalTests {
    @Test(arguments: refusals + amountRefusals)
    func `check says the whole message with its place`(_ refusal: Refusal) throws {
        let folder = Folder()
        let result = folder.tool("check", graphScript(refusal.body), ["--json"])
        let json = try #require(result.json)
        #expect(result.status == 2)
        #expect(result.errorText == "")
        #expect(json.keys == ["ok", "tasks", "edges", "depth", "errors"])
        #expect(json["ok"] == .bool(false))
        #expect(json["errors"].map(RefusalTests.lines) ?? [] == refusal.said)
    }

    @Test func `run and graph refuse as check does, with the same words on standard error`() {
        let script = graphScript("g:task(\"a\", { retries = -1, needs = 3 }, f)\ng:task(\"a\", f)")
        let expected = """
            t.lua:4: task 'a': option 'retries': expected a whole number from 0 to 100, got -1
            t.lua:4: task 'a': needs: expected a handle, or a list or table of handles, got 3
            t.lua:5: task 'a': the id is taken: declared before at line 4

            """
        for command in ["run", "check", "graph"] {
            let result = Folder().tool(command, script)
            #expect(result.status == 2)
            #expect(result.output == "")
            #expect(result.errorText == expected)
        }
    }

    @Test func `run with json prints the shape of check when nothing could run`() {
        let result = Folder().tool("run", graphScript("g:task(\"a b\", f)"), ["--json"])
        #expect(result.status == 2)
        #expect(
            result.output == """
                {"ok":false,"tasks":0,"edges":0,"depth":0,"errors":[{"code":"id","message":"task \\"a b\\": not an id: only \
                letters, digits and _ - . : @ + = , % are allowed (see handout.id)","file":"t.lua","line":4}]}

                """)
    }

    @Test func `a hundred problems are listed, and the others counted`() {
        let result = Folder().tool("check", graphScript("for i = 1, 130 do g:task(\"a\" .. i, 5, f) end"))
        let lines = result.errorText.split(separator: "\n")
        #expect(lines.count == 101)
        #expect(lines.first == "t.lua:4: task 'a1': options: expected a table, got 5")
        #expect(lines.dropFirst(99).first == "t.lua:4: task 'a100': options: expected a table, got 5")
        #expect(lines.last == "and 30 more")
    }

    @Test func `problems of one option table are listed in the same order each time`() {
        let script = graphScript(
            "g:task(\"a\", { cpu = -1, memory = -1, timeout = -1, retries = -1, priority = 0.5, zzz = 1 }, f)")
        let texts = Set((0..<5).map { _ in Folder().tool("check", script).errorText })
        #expect(texts.count == 1)
        #expect(texts.first?.split(separator: "\n").count == 6)
    }

    @Test func `planning that takes too long is refused with the line where it was`() {
        let result = Folder().tool("check", graphScript("while true do end"), ["--plan-time", "100ms"])
        #expect(result.status == 2)
        #expect(result.errorText == "t.lua:4: planning took longer than 0.1 s of CPU time (--plan-time sets it)\n")
    }

    @Test func `planning cannot swallow its time limit`() {
        let script = graphScript("while true do pcall(function() while true do end end) end")
        let result = Folder().tool("check", script, ["--plan-time", "100ms"])
        #expect(result.status == 2)
        #expect(result.errorText == "t.lua:4: planning took longer than 0.1 s of CPU time (--plan-time sets it)\n")
    }

    @Test func `planning that needs too much memory is refused with the line where it was`() {
        let script = graphScript("local t = {}\nfor i = 1, 1e9 do t[i] = { i } end")
        let result = Folder().tool("check", script, ["--plan-memory", "32MiB"])
        #expect(result.status == 2)
        #expect(result.errorText == "t.lua:5: planning needed more than 32 MiB of memory (--plan-memory sets it)\n")
        #expect(memoryIsPadded || result.peakMemory <= max(160 << 20, peakMemory()))
    }

    @Test func `what a plan keeps counts towards its memory limit`() {
        let script = graphScript(
            "local s = (\"x\"):rep(1000000)\nfor i = 1, 300 do g:task(\"t\" .. i, { args = { s .. i } }, f) end")
        let result = Folder().tool("check", script, ["--plan-memory", "32MiB"])
        #expect(result.status == 2)
        #expect(result.errorText == "t.lua:5: planning needed more than 32 MiB of memory (--plan-memory sets it)\n")
        #expect(memoryIsPadded || result.peakMemory <= max(160 << 20, peakMemory()))
    }

    @Test func `parameters given but not asked for are refused with the nearest`() {
        let script = graphScript("handout.param(\"depth\", 3)\ng:task(\"a\", f)")
        let result = Folder().tool("check", script, ["-p", "dept=4", "-p", "zzzzzzz=1"])
        #expect(result.status == 2)
        #expect(
            result.errorText == """
                parameter 'dept' is not one of the script's (did you mean 'depth'?)
                parameter 'zzzzzzz' is not one of the script's

                """)
    }

    @Test(arguments: givenParameters)
    func `parameters of the wrong type are refused`(_ given: GivenParameterCase) {
        let result = Folder().tool("check", graphScript(given.body + "\ng:task(\"a\", f)"), given.arguments)
        #expect(result.status == 2)
        #expect(result.errorText == given.message + "\n")
    }

    @Test func `modules that are missing, hidden or in a circle are refused`() {
        let folder = Folder()
        folder.write("a.lua", "return require 'b'")
        folder.write("b.lua", "return require 'a'")
        folder.write("bad.lua", "local x =\n= 1")
        folder.write("raises.lua", "\nerror('no')")
        folder.link("outside.lua", to: "/etc/passwd")
        let cases = [
            ("a", "b.lua:1: module 'a' requires itself"),
            ("bad", "bad.lua:2: unexpected symbol near '='"),
            ("raises", "raises.lua:2: no"),
            ("outside", "t.lua:4: module 'outside': outside.lua leads outside the directory of t.lua"),
            (
                "none",
                "t.lua:4: module 'none' not found: looked for none.lua, none/init.lua, lua_modules/none.lua, "
                    + "lua_modules/none/init.lua beside t.lua"
            ),
        ]
        for (name, message) in cases {
            let result = folder.tool("check", graphScript("require '\(name)'"))
            #expect(result.status == 2)
            #expect(result.errorText == message + "\n")
        }
    }

    @Test func `files and sources larger than planning takes are refused`() {
        let folder = Folder()
        folder.write("big", [UInt8](repeating: 0, count: (16 << 20) + 1))
        for part in 1...5 { folder.write("part\(part)", [UInt8](repeating: 0, count: 16_000_000)) }
        folder.write("m.lua", "return \"" + String(repeating: "x", count: 1 << 20) + "\"\n")
        for number in 1...256 { folder.write("q\(number).lua", "return \(number)") }
        let cases = [
            ("handout.read(\"big\")", "read: 'big': is larger than 16 MiB: read it in a task"),
            (
                "for i = 1, 5 do handout.read(\"part\" .. i) end",
                "read: more than 64 MiB were read while planning: read them in tasks"
            ),
            ("require \"m\"", "m.lua: 1048586 bytes, a source has at most 1 MiB"),
            ("load((\"x\"):rep(2000000))", "load: the source is larger than 1 MiB"),
            ("for i = 1, 256 do require(\"q\" .. i) end", "module 'q256': a program has at most 255 modules"),
        ]
        for (body, message) in cases {
            let result = folder.tool("check", graphScript(body))
            #expect(result.status == 2)
            #expect(result.errorText == "t.lua:4: \(message)\n")
        }
    }

    /// `code file:line: message` of each entry.
    static func lines(_ errors: JSON) -> [String] {
        errors.elements.map { error in
            let place = [error["file"]?.string, error["line"]?.integer.map { "\($0)" }].compactMap(\.self)
            return "\(error["code"]?.string ?? "?") \(place.joined(separator: ":")): \(error["message"]?.string ?? "?")"
        }
    }
}

struct GivenParameterCase: CustomTestStringConvertible, Sendable {
    var body: String
    var arguments: [String]
    var message: String

    init(_ body: String, _ argument: String, _ message: String) {
        self.body = body
        arguments = ["-p", argument]
        self.message = message
    }

    var testDescription: String { arguments[1] }
}

private let givenParameters = [
    GivenParameterCase(
        "handout.param(\"b\", true)", "b=1", "t.lua:4: parameter 'b': expected true or false, got \"1\""),
    GivenParameterCase("handout.param(\"i\", 1)", "i=1.5", "t.lua:4: parameter 'i': expected an integer, got \"1.5\""),
    GivenParameterCase("handout.param(\"i\", 1)", "i= 1", "t.lua:4: parameter 'i': expected an integer, got \" 1\""),
    GivenParameterCase("handout.param(\"i\", 1)", "i=", "t.lua:4: parameter 'i': expected an integer, got \"\""),
    GivenParameterCase("handout.param(\"x\", 1.5)", "x=a", "t.lua:4: parameter 'x': expected a float, got \"a\""),
    GivenParameterCase(
        "handout.param(\"l\", { 1 })", "l=1,a",
        "t.lua:4: parameter 'l': expected a list of elements that are each an integer, got \"a\""),
    GivenParameterCase(
        "handout.param(\"l\", { 1 })", "l=[1",
        "t.lua:4: parameter 'l': position 3: expected \",\" or \"]\", got the end"),
    GivenParameterCase("handout.param(\"t\", { a = 1 })", "t=5", "t.lua:4: parameter 't': expected a table, got \"5\""),
    GivenParameterCase(
        "handout.param{ name = \"c\", default = \"x\", choices = { \"x\", \"y\" } }", "c=z",
        "t.lua:4: parameter 'c': expected one of \"x\", \"y\", got \"z\""),
]

let idRule = "not an id: only letters, digits and _ - . : @ + = , % are allowed (see handout.id)"

/// `args[1]` and 200 more, without the middle.
private let deepPath =
    "args" + String(repeating: "[1]", count: 64) + "[1...]" + String(repeating: "[1]", count: 66)

private let refusals =
    [
        // Ids
        Refusal("an id that is a number", "g:task(5, f)", "id t.lua:4: task: the id is a string, got 5"),
        Refusal("an id that is nil", "g:task(nil, f)", "id t.lua:4: task: the id is a string, got nil"),
        Refusal("an empty id", "g:task(\"\", f)", "id t.lua:4: task \"\": not an id: it is empty"),
        Refusal("an id with a space", "g:task(\"a b\", f)", "id t.lua:4: task \"a b\": \(idRule)"),
        Refusal("an id with a slash", "g:task(\"a/b\", f)", "id t.lua:4: task \"a/b\": \(idRule)"),
        Refusal("an id with a NUL", "g:task(\"a\\0b\", f)", "id t.lua:4: task \"a\\x00b\": \(idRule)"),
        Refusal(
            "an id with an escape sequence", "g:task(\"a\\27[2J\", f)", "id t.lua:4: task \"a\\x1B[2J\": \(idRule)"),
        Refusal("an id that is no UTF-8", "g:task(\"\\xff\", f)", "id t.lua:4: task \"\\xFF\": \(idRule)"),
        Refusal("an overlong id", "g:task(\"\\xc0\\x80\", f)", "id t.lua:4: task \"\\xC0\\x80\": \(idRule)"),
        Refusal(
            "an id with a format character", "g:task(\"a\\u{200b}\", f)",
            "id t.lua:4: task \"a\\xE2\\x80\\x8B\": \(idRule)"),
        Refusal(
            "an id that turns the text around", "g:task(\"a\\u{202e}\", f)",
            "id t.lua:4: task \"a\\xE2\\x80\\xAE\": \(idRule)"),
        Refusal(
            "an id that begins like an option", "g:task(\"-a\", f)",
            "id t.lua:4: task \"-a\": not an id: it must begin with a letter, a digit or _"),
        Refusal(
            "an id of 201 bytes", "g:task((\"x\"):rep(201), f)",
            "id t.lua:4: task \"\(String(repeating: "x", count: 60))...\": not an id: it is longer than 200 bytes"),
        Refusal(
            "an id that is taken", "g:task(\"a\", f)\n\ng:map(\"a\", { over = {} }, f)",
            "duplicate t.lua:6: map 'a': the id is taken: declared before at line 4"),
        Refusal("a graph without a name", "handout.graph()", "id t.lua:4: graph: the name is a string, got nil"),
        Refusal("a graph whose name is no id", "handout.graph(\"<b>\")", "id t.lua:4: graph \"<b>\": \(idRule)"),

        // Options
        Refusal(
            "an unknown option near another", "g:task(\"a\", { retry = 3 }, f)",
            "option t.lua:4: task 'a': unknown option 'retry' (did you mean 'retries'?)"),
        Refusal(
            "an unknown option of a map", "g:map(\"a\", { over = {}, timout = 3 }, f)",
            "option t.lua:4: map 'a': unknown option 'timout' (did you mean 'timeout'?)"),
        Refusal(
            "an unknown option of a graph", "handout.graph{ name = \"y\", cpuu = 3 }",
            "option t.lua:4: graph 'y': unknown option 'cpuu' (did you mean 'cpu'?)"),
        Refusal(
            "an unknown option near none", "g:task(\"a\", { zzzzzz = 3 }, f)",
            "option t.lua:4: task 'a': unknown option 'zzzzzz'"),
        Refusal(
            "an option without a name", "g:task(\"a\", { 3 }, f)",
            "option t.lua:4: task 'a': option names are strings, got 1"),
        Refusal(
            "options that are a number", "g:task(\"a\", 5, f)",
            "option t.lua:4: task 'a': options: expected a table, got 5"),
        Refusal(
            "options that are a function", "g:task(\"a\", f, f)",
            "option t.lua:4: task 'a': options: expected a table, got a function"),
        Refusal(
            "retries below 0", "g:task(\"a\", { retries = -1 }, f)",
            "option t.lua:4: task 'a': option 'retries': expected a whole number from 0 to 100, got -1"),
        Refusal(
            "retries above 100", "g:task(\"a\", { retries = 101 }, f)",
            "option t.lua:4: task 'a': option 'retries': expected a whole number from 0 to 100, got 101"),
        Refusal(
            "retries of a fraction", "g:task(\"a\", { retries = 1.5 }, f)",
            "option t.lua:4: task 'a': option 'retries': expected a whole number from 0 to 100, got 1.5"),
        Refusal(
            "retries as text", "g:task(\"a\", { retries = \"2\" }, f)",
            "option t.lua:4: task 'a': option 'retries': expected a whole number from 0 to 100, got \"2\""),
        Refusal(
            "backoff of no duration", "g:task(\"a\", { backoff = \"x\" }, f)",
            "option t.lua:4: task 'a': option 'backoff': expected a duration such as \"1h30m\" or seconds, got \"x\""),
        Refusal(
            "backoff with an unknown key", "g:task(\"a\", { backoff = { factr = 2 } }, f)",
            "option t.lua:4: task 'a': option 'backoff': unknown key \"factr\" (did you mean 'factor'?)"),
        Refusal(
            "backoff that shrinks", "g:task(\"a\", { backoff = { factor = 0.5 } }, f)",
            "option t.lua:4: task 'a': option 'backoff.factor': expected a number from 1 to 1000000, got 0.5"),
        Refusal(
            "a timeout with units that ascend", "g:task(\"a\", { timeout = \"1m1h\" }, f)",
            "option t.lua:4: task 'a': option 'timeout': expected a duration such as \"1h30m\" or seconds, got \"1m1h\""
        ),
        Refusal(
            "a timeout below 0", "g:task(\"a\", { timeout = -1 }, f)",
            "option t.lua:4: task 'a': option 'timeout': expected a duration such as \"1h30m\" or seconds, got -1"),
        Refusal(
            "a timeout that is no number", "g:task(\"a\", { timeout = 0/0 }, f)",
            "option t.lua:4: task 'a': option 'timeout': expected a duration such as \"1h30m\" or seconds, got nan"),
        Refusal(
            "an endless timeout", "g:task(\"a\", { timeout = 1/0 }, f)",
            "option t.lua:4: task 'a': option 'timeout': expected a duration such as \"1h30m\" or seconds, got inf"),
        Refusal(
            "a priority of a fraction", "g:task(\"a\", { priority = 1.5 }, f)",
            "option t.lua:4: task 'a': option 'priority': expected a whole number, got 1.5"),
        Refusal(
            "memory in a unit of the wrong case", "g:task(\"a\", { memory = \"64mib\" }, f)",
            "option t.lua:4: task 'a': option 'memory': expected a size such as \"512MiB\", got \"64mib\""),
        Refusal(
            "memory in an unknown unit", "g:task(\"a\", { memory = \"64 XiB\" }, f)",
            "option t.lua:4: task 'a': option 'memory': expected a size such as \"512MiB\", got \"64 XiB\""),
        Refusal(
            "memory with a comma", "g:task(\"a\", { memory = \"1,5GiB\" }, f)",
            "option t.lua:4: task 'a': option 'memory': expected a size such as \"512MiB\", got \"1,5GiB\""),
        Refusal(
            "memory beyond 2^63", "g:task(\"a\", { memory = \"17179869185GiB\" }, f)",
            "option t.lua:4: task 'a': option 'memory': expected a size such as \"512MiB\", got \"17179869185GiB\""),
        Refusal(
            "memory of 1e300", "g:task(\"a\", { memory = 1e300 }, f)",
            "option t.lua:4: task 'a': option 'memory': expected a size such as \"512MiB\", got 1e+300"),
        Refusal(
            "memory of a fraction", "g:task(\"a\", { memory = 1.5 }, f)",
            "option t.lua:4: task 'a': option 'memory': expected a size such as \"512MiB\", got 1.5"),
        Refusal(
            "memory below 1 MiB", "g:task(\"a\", { memory = 64 }, f)",
            "option t.lua:4: task 'a': option 'memory': expected 0 or at least 1MiB, got 64 bytes"),
        Refusal(
            "cpu below 0", "g:task(\"a\", { cpu = -1 }, f)",
            "option t.lua:4: task 'a': option 'cpu': expected a number from 0 to 1000000000, got -1"),
        Refusal(
            "cpu that is a boolean", "g:task(\"a\", { cpu = true }, f)",
            "option t.lua:4: task 'a': option 'cpu': expected a number from 0 to 1000000000, got true"),
        Refusal(
            "cpu that is text", "g:task(\"a\", { cpu = \"two\" }, f)",
            "option t.lua:4: task 'a': option 'cpu': expected a number from 0 to 1000000000, got \"two\""),
        Refusal(
            "gpu below 0", "g:task(\"a\", { gpu = -1 }, f)",
            "option t.lua:4: task 'a': option 'gpu': expected a number from 0 to 1000000000, got -1"),
        Refusal(
            "gpu that no worker has", "g:task(\"a\", { gpu = 2 }, f)",
            "resources t.lua:4: task 'a': needs 2 gpu, more than any worker has: worker 'local' has 0"),
        Refusal(
            "a worker that nobody knows", "g:task(\"a\", { worker = \"no-such\" }, f)",
            "resources t.lua:4: task 'a': option 'worker': no worker 'no-such' is known or declared; there is 'local'"),
        Refusal(
            "a worker that is no name", "g:task(\"a\", { worker = 5 }, f)",
            "option t.lua:4: task 'a': option 'worker': expected the name of a worker, got 5"),
        Refusal(
            "an unknown isolation", "g:task(\"a\", { isolation = \"fork\" }, f)",
            "option t.lua:4: task 'a': option 'isolation': expected \"thread\" or \"process\", got \"fork\""),
        Refusal(
            "cache that is no boolean", "g:task(\"a\", { cache = 1 }, f)",
            "option t.lua:4: task 'a': option 'cache': expected true or false, got 1"),
        Refusal(
            "an estimate of no duration", "g:task(\"a\", { estimate = \"x\" }, f)",
            "option t.lua:4: task 'a': option 'estimate': expected a duration such as \"1h30m\" or seconds, got \"x\""),
        Refusal(
            "grants that are no table", "g:task(\"a\", { grant = 1 }, f)",
            "option t.lua:4: task 'a': option 'grant': expected a table such as { read = { \"data\" } }, got 1"),
        Refusal(
            "granted paths that are no list", "g:task(\"a\", { grant = { read = \"x\" } }, f)",
            "option t.lua:4: task 'a': option 'grant.read': expected a list of paths, got \"x\""),
        Refusal(
            "granted names that are no list", "g:task(\"a\", { grant = { exec = { x = \"y\" }, env = 1 } }, f)",
            "option t.lua:4: task 'a': option 'grant.env': expected a list of names of variables, got 1",
            "option t.lua:4: task 'a': option 'grant.exec': expected a list of program names, got a table"),
        Refusal(
            "granted things that are no strings", "g:task(\"a\", { grant = { write = { \"x\", 2, \"\" } } }, f)",
            "option t.lua:4: task 'a': option 'grant.write[2]': expected a string, got 2",
            "option t.lua:4: task 'a': option 'grant.write[3]': expected a string of 1 to 4000 bytes, none of them zero, got \"\""
        ),
        Refusal(
            "a granted variable with a value", "g:task(\"a\", { grant = { env = { \"A=1\" } } }, f)",
            "option t.lua:4: task 'a': option 'grant.env[1]': expected a name without '=', got \"A=1\""),
        Refusal(
            "a file that is read while planning and is not there", "handout.read(\"nix\")",
            "script t.lua:4: read: 'nix': No such file or directory"),
        Refusal(
            "a hidden file that is read while planning", "handout.read(\"a/../.x\")",
            "script t.lua:4: read: 'a/../.x': hidden files and folders are not read"),
        Refusal(
            "a path outside that is read while planning", "handout.glob(\"../*\")",
            "script t.lua:4: glob: '../*': is outside of the run directory"),
        Refusal(
            "an unknown grant", "g:task(\"a\", { grant = { rea = {} } }, f)",
            "option t.lua:4: task 'a': option 'grant': unknown key \"rea\" (did you mean 'read'?)"),
        Refusal(
            "over of a task", "g:task(\"a\", { over = {} }, f)",
            "option t.lua:4: task 'a': unknown option 'over'"),
        Refusal(
            "arity of a map", "g:map(\"a\", { over = {}, arity = 2 }, f)",
            "option t.lua:4: map 'a': unknown option 'arity'"),

        // Needs, after, args
        Refusal(
            "needs that are no handle", "g:task(\"a\", { needs = 3 }, f)",
            "needs t.lua:4: task 'a': needs: expected a handle, or a list or table of handles, got 3"),
        Refusal(
            "needs that are a graph", "g:task(\"a\", { needs = g }, f)",
            "needs t.lua:4: task 'a': needs: expected a handle, or a list or table of handles, got a graph"),
        Refusal(
            "a nested need that is no handle",
            "local a = g:task(\"a\", f)\ng:task(\"b\", { needs = { x = { y = { a, 3 } } } }, f)",
            "needs t.lua:5: task 'b': needs[\"x\"][\"y\"][2]: expected a handle, or a list or table of handles, got 3"),
        Refusal(
            "needs by position and by name", "local a = g:task(\"a\", f)\ng:task(\"b\", { needs = { a, x = a } }, f)",
            "needs t.lua:5: task 'b': needs: expected either positions 1 to n or names, not both and no gaps"),
        Refusal(
            "needs with a gap", "local a = g:task(\"a\", f)\ng:task(\"b\", { needs = { a, nil, a } }, f)",
            "needs t.lua:5: task 'b': needs: expected either positions 1 to n or names, not both and no gaps"),
        Refusal(
            "a need of another graph",
            "local a = handout.graph(\"y\"):task(\"a\", f)\ng:task(\"b\", { needs = { a } }, f)",
            "needs t.lua:5: task 'b': needs[1]: handle of another graph 'y', expected one of 'x'"),
        Refusal(
            "201 needs",
            "local a, t = g:task(\"a\", f), {}\nfor i = 1, 201 do t[i] = a end\ng:task(\"b\", { needs = t }, f)",
            "needs t.lua:6: task 'b': needs: at most 200 positions, got 201 (nest a list: needs = { list })"),
        Refusal(
            "after that is no handle", "g:task(\"a\", { after = { 1 } }, f)",
            "needs t.lua:4: task 'a': after[1]: expected a handle, or a list or table of handles, got 1"),
        Refusal(
            "after a task of another graph",
            "local a = handout.graph(\"y\"):task(\"a\", f)\ng:task(\"b\", { after = a }, f)",
            "needs t.lua:5: task 'b': after: handle of another graph 'y', expected one of 'x'"),
        Refusal(
            "an argument that is nil", "g:task(\"a\", { args = { 1, nil, 3 } }, f)",
            "option t.lua:4: task 'a': option 'args': expected a list without nil, got a table"),
        Refusal(
            "arguments that are no list", "g:task(\"a\", { args = 5 }, f)",
            "option t.lua:4: task 'a': option 'args': expected a list without nil, got 5"),
        Refusal(
            "an argument that is a handle", "local a = g:task(\"a\", f)\ng:task(\"b\", { args = { a } }, f)",
            "option t.lua:5: task 'b': args[1]: a handle cannot be an argument (pass its value through needs)"),
        Refusal(
            "an argument that is a function", "g:task(\"b\", { args = { f } }, f)",
            "option t.lua:4: task 'b': args[1]: a function cannot be an argument"),
        Refusal(
            "a nested argument that is a function, and a problem after it",
            "g:task(\"b\", { args = { { x = { print } } } }, f)\ng:task(\"c\", 5, f)",
            "option t.lua:4: task 'b': args[1].x[1]: a function cannot be an argument",
            "option t.lua:5: task 'c': options: expected a table, got 5"),
        Refusal(
            "an argument that contains itself", "local t = {}\nt.t = t\ng:task(\"b\", { args = { t } }, f)",
            "option t.lua:6: task 'b': args[1]: the table contains itself at args[1].t"),

        // Maps and reduces
        Refusal(
            "a map without over", "g:map(\"m\", {}, f)",
            "over t.lua:4: map 'm': option 'over' is missing: expected a list, a keyed table or a handle"),
        Refusal(
            "a map over a number", "g:map(\"m\", { over = 5 }, f)",
            "over t.lua:4: map 'm': option 'over': expected a list, a keyed table or a handle, got 5"),
        Refusal(
            "a map over a mixed table", "g:map(\"m\", { over = { 1, x = 2 } }, f)",
            "over t.lua:4: map 'm': option 'over': expected keys 1 to n or string keys only"),
        Refusal(
            "a map over a list with a gap", "g:map(\"m\", { over = { [1] = 1, [3] = 3 } }, f)",
            "over t.lua:4: map 'm': option 'over': expected keys 1 to n or string keys only"),
        Refusal(
            "a map over functions", "g:map(\"m\", { over = { print } }, f)",
            "over t.lua:4: map 'm': over[1]: a function cannot be an element"),
        Refusal(
            "a map over a handle of another graph",
            "local a = handout.graph(\"y\"):task(\"a\", f)\ng:map(\"b\", { over = a }, f)",
            "needs t.lua:5: map 'b': over: handle of another graph 'y', expected one of 'x'"),
        Refusal(
            "arity 1", "g:reduce(\"r\", { over = { 1 }, arity = 1 }, f)",
            "option t.lua:4: reduce 'r': option 'arity': expected a whole number, at least 2, got 1"),
        Refusal(
            "arity 2.5", "g:reduce(\"r\", { over = { 1 }, arity = 2.5 }, f)",
            "option t.lua:4: reduce 'r': option 'arity': expected a whole number, at least 2, got 2.5"),
        Refusal(
            "an arity that is text", "g:reduce(\"r\", { over = { 1 }, arity = \"3\" }, f)",
            "option t.lua:4: reduce 'r': option 'arity': expected a whole number, at least 2, got \"3\""),
        Refusal(
            "a reduce without over", "g:reduce(\"r\", {}, f)",
            "over t.lua:4: reduce 'r': option 'over' is missing: expected a list, a keyed table or a handle"),

        // Functions
        Refusal(
            "no function", "g:task(\"a\")",
            "function t.lua:4: task 'a': expected a Lua function as last argument, got nil"),
        Refusal(
            "code as text", "g:task(\"a\", {}, \"return 1\")",
            "function t.lua:4: task 'a': expected a Lua function as last argument, got \"return 1\""),
        Refusal(
            "a function of a library", "g:task(\"a\", print)",
            "function t.lua:4: task 'a': expected a Lua function as last argument, got a function made in C"),
        Refusal(
            "a wrapped coroutine", "g:task(\"a\", {}, coroutine.wrap(f))",
            "function t.lua:4: task 'a': expected a Lua function as last argument, got a function made in C"),
        Refusal(
            "a graph method on a string", "g.task(\"a\", f)",
            "script t.lua:4: task: expected a graph before the colon (g:task), got \"a\""),

        // Captured variables
        Refusal(
            "a captured handle", "local h = g:task(\"h\", f)\ng:task(\"b\", function() return h end)",
            "capture t.lua:5: task 'b': captured variable 'h': a handle cannot be captured by a task (pass its value through needs)"
        ),
        Refusal(
            "a captured handle in another task's closure of the same function",
            """
            local h = g:task("h", f)
            local function make(x)
              return function() return x end
            end
            g:task("bad", make(h))

            g:task("good", make(1))
            """,
            "capture t.lua:8: task 'bad': captured variable 'x': a handle cannot be captured by a task (pass its value through needs)"
        ),
        Refusal(
            "a captured graph", "g:task(\"b\", function() return g end)",
            "capture t.lua:4: task 'b': captured variable 'g': a graph cannot be captured by a task"),
        Refusal(
            "a captured coroutine", "local co = coroutine.create(f)\ng:task(\"b\", function() return co end)",
            "capture t.lua:5: task 'b': captured variable 'co': a thread cannot be captured by a task"),
        Refusal(
            "a captured function made in C", "local w = coroutine.wrap(f)\ng:task(\"b\", function() return w end)",
            "capture t.lua:5: task 'b': captured variable 'w': a function made in C cannot be captured by a task"),
        Refusal(
            "a captured table with a function in it", "local t = { a = { f } }\ng:task(\"b\", function() return t end)",
            "capture t.lua:5: task 'b': captured variable 't.a[1]': a function cannot be captured by a task"),
        Refusal(
            "a captured table that contains itself", "local t = {}\nt[1] = t\ng:task(\"b\", function() return t end)",
            "capture t.lua:6: task 'b': captured variable 't': the table contains itself at t[1]"),
        Refusal(
            "a handle captured by a captured helper",
            "local h = g:task(\"h\", f)\nlocal function help() return h end\ng:task(\"b\", function() return help() end)",
            "capture t.lua:6: task 'b': captured variable 'h': a handle cannot be captured by a task (pass its value through needs)"
        ),
        Refusal(
            "an _ENV of its own", "local _ENV = { g = g }\ng:task(\"b\", function() return y end)",
            "capture t.lua:5: task 'b': captured variable '_ENV': a function whose _ENV is not the global table cannot be a task"
        ),
        Refusal(
            "captured functions nested deeper than 150",
            "local h = f\nfor i = 1, 152 do\n  local inner = h\n  h = function() return inner() end\nend\ng:task(\"b\", function() return h() end)",
            "capture t.lua:9: task 'b': captured variable 'inner': captured functions nested deeper than 150"),

        // Outputs
        Refusal(
            "an output that is no handle", "g:output(\"x\", 5)",
            "output t.lua:4: output \"x\": expected a handle, got 5"),
        Refusal(
            "an output whose name is no string", "g:output(5, g:task(\"a\", f))",
            "output t.lua:4: output 5: not an id: it is no string"),
        Refusal(
            "an output whose name is no id", "g:output(\"a b\", g:task(\"a\", f))",
            "output t.lua:4: output \"a b\": \(idRule)"),
        Refusal(
            "an output whose name is taken", "local a = g:task(\"a\", f)\ng:output(\"x\", a)\ng:output(\"x\", a)",
            "duplicate t.lua:6: output \"x\": the name is taken"),
        Refusal(
            "an output of another graph", "g:output(\"x\", handout.graph(\"y\"):task(\"a\", f))",
            "output t.lua:4: output \"x\": handle of another graph 'y', expected one of 'x'"),

        // The script
        Refusal("a syntax error", "local x = = 1", "syntax t.lua:4: unexpected symbol near '='"),
        Refusal("a script that raises", "error(\"boom\")", "script t.lua:4: boom"),
        Refusal("a script that raises a table with a message", "error({ message = \"tab\" })", "script t.lua:4: tab"),
        Refusal("a script that raises another table", "error({ code = 1 })", "script t.lua:4: raised a table"),
        Refusal("a script that raises nil", "error()", "script t.lua:4: raised nil"),
        Refusal(
            "a script with an error of Lua's", "local x = nil + 1",
            "script t.lua:4: attempt to perform arithmetic on a nil value"),
        Refusal(
            "a script that returns no graph", "do return 5 end",
            "script t.lua: the script returned 5, expected a graph (end it with: return g)"),
        Refusal(
            "a script that returns a handle", "do return g:task(\"a\", f) end",
            "script t.lua: the script returned a handle, expected a graph (end it with: return g)"),
        Refusal(
            "a field of a handle", "local x = g:task(\"a\", f).value",
            "script t.lua:4: a handle has no field \"value\": it stands for a value that is not there while planning"),
        Refusal(
            "a module with a path as name", "require \"../x\"",
            "script t.lua:4: module '../x': a module name is letters, digits, '_' and '-' in parts joined by '.'"),

        // What planning may not
        Refusal(
            "the time while planning", "os.time()",
            "script t.lua:4: os.time is not available while planning: the plan must be the same each time it is made"),
        Refusal(
            "a command while planning", "os.execute(\"ls\")",
            "script t.lua:4: os.execute is not available: use handout.exec in a task"),
        Refusal(
            "the environment while planning", "os.getenv(\"HOME\")",
            "script t.lua:4: os.getenv is not available: use handout.param while planning, handout.env in a task"),
        Refusal(
            "a file while planning", "io.open(\"x\")",
            "script t.lua:4: io.open is not available: use handout.read while planning, handout.fs in a task"),
        Refusal("debug while planning", "debug.sethook()", "script t.lua:4: debug.sethook is not available"),
        Refusal("dofile", "dofile(\"x\")", "script t.lua:4: dofile is not available: use require"),
        Refusal(
            "package.loadlib", "package.loadlib(\"x\", \"y\")",
            "script t.lua:4: package.loadlib is not available: use require with Lua source"),
        Refusal(
            "next with a key", "next({ 1, 2 }, 1)",
            "script t.lua:4: next with a key has no defined order while planning: use pairs"),
        Refusal("a changed library", "string.rep = 1", "script t.lua:4: string is read-only: 'rep' cannot be assigned"),
        Refusal(
            "a library changed by rawset", "rawset(string, \"x\", 1)",
            "script t.lua:4: string is read-only: 'x' cannot be assigned"),
        Refusal(
            "a finalizer", "setmetatable({}, { __gc = f })",
            "script t.lua:4: a metatable with __gc is not available: use a <close> variable"),
        Refusal(
            "handout.log while planning", "handout.log(\"info\", \"x\")",
            "script t.lua:4: handout.log is only there inside a task"),
        Refusal(
            "handout.progress while planning", "handout.progress(0.5)",
            "script t.lua:4: handout.progress is only there inside a task"),
        Refusal(
            "handout.fail while planning", "handout.fail(\"x\")",
            "script t.lua:4: handout.fail is only there inside a task"),
        Refusal(
            "handout.retry while planning", "handout.retry(\"x\")",
            "script t.lua:4: handout.retry is only there inside a task"),
        Refusal(
            "handout.task while planning", "local x = handout.task.id",
            "script t.lua:4: handout.task is only there inside a task"),
        Refusal(
            "handout.fs while planning", "handout.fs.read(\"x\")",
            "script t.lua:4: handout.fs.read is only there inside a task (while planning: handout.read)"),

        // Parameters
        Refusal(
            "a parameter that is required", "handout.param(\"n\")",
            "parameter t.lua:4: parameter 'n' is required: give it with -p n=..."),
        Refusal(
            "a parameter of an unknown type", "handout.param{ name = \"n\", default = 1, type = \"int\" }",
            "parameter t.lua:4: parameter 'n': type: expected boolean, integer, float, string, list or table, got \"int\""
        ),
        Refusal(
            "a default of another type", "handout.param{ name = \"n\", default = \"x\", type = \"integer\" }",
            "parameter t.lua:4: parameter 'n': default: expected an integer, got \"x\""),
        Refusal(
            "a default that is no choice", "handout.param{ name = \"n\", default = 5, choices = { 1, 2 } }",
            "parameter t.lua:4: parameter 'n': expected one of 1, 2, got 5"),
        Refusal(
            "an unknown key of a parameter", "handout.param{ name = \"n\", default = 1, hlep = \"x\" }",
            "parameter t.lua:4: parameter 'n': unknown key \"hlep\" (did you mean 'help'?)"),
        Refusal(
            "a parameter asked for twice with different defaults", "handout.param(\"n\", 5)\nhandout.param(\"n\", 6)",
            "parameter t.lua:5: parameter 'n': asked for again with another default or type, first at line 4"),
        Refusal(
            "a parameter whose name is no id", "handout.param(\"a b\", 1)",
            "parameter t.lua:4: parameter 'a b': \(idRule)"),
        Refusal(
            "a default that is a function", "handout.param(\"n\", print)",
            "parameter t.lua:4: parameter 'n': default: a function cannot be a parameter"),

        Refusal(
            "a parameter without a name", "handout.param{ default = 1 }",
            "script t.lua:4: param: expected a string as name"),
        Refusal(
            "a default of both kinds of keys", "handout.param(\"n\", { 1, a = 2 })",
            "parameter t.lua:4: parameter 'n': default: expected either positions 1 to n or names, not both and no gaps"
        ),
        Refusal(
            "a default list of two types", "handout.param(\"n\", { 1, \"a\" })",
            "parameter t.lua:4: parameter 'n': expected a list of elements that are each an integer, got \"a\""),
        Refusal(
            "help and choices of another type", "handout.param{ name = \"n\", default = 1, help = {}, choices = 5 }",
            "parameter t.lua:4: parameter 'n': help: expected a string, got a table",
            "parameter t.lua:4: parameter 'n': choices: expected a list of values, got 5"),

        // Values while planning
        Refusal(
            "a size that is none", "handout.bytes(\"5 apples\")",
            "script t.lua:4: bytes: expected a size such as \"512MiB\", got \"5 apples\""),
        Refusal(
            "a duration that is none", "handout.seconds(\"1m1h\")",
            "script t.lua:4: seconds: expected a duration such as \"1h30m\" or seconds, got \"1m1h\""),
        Refusal(
            "keys that have no order", "for k in handout.sorted({ [f] = 1 }) do end",
            "script t.lua:4: sorted: a function as key has no defined order"),
        Refusal(
            "what has no JSON", "handout.json.encode(f)",
            "script t.lua:4: json.encode: value: a function cannot be written as JSON"),
        Refusal(
            "keys that are the same in JSON", "handout.json.encode({ [1] = 1, [\"1\"] = 2 })",
            "script t.lua:4: json.encode: two keys become the same text: \"1\" at result"),
        Refusal(
            "what is no JSON", "handout.json.decode(\"[1\")",
            "script t.lua:4: json.decode: position 3: expected \",\" or \"]\", got the end"),
        Refusal(
            "an argument nested too deep",
            "local t = {}\nfor i = 1, 201 do t = { t } end\ng:task(\"a\", { args = { t } }, f)",
            "option t.lua:6: task 'a': \(deepPath): nested deeper than 200 tables"),
        Refusal(
            "a key of an argument that is a table", "g:task(\"a\", { args = { { [{}] = 1 } } }, f)",
            "option t.lua:4: task 'a': args[1]: a table key cannot be an argument"),
        Refusal(
            "201 arguments", "local t = {}\nfor i = 1, 201 do t[i] = i end\ng:task(\"a\", { args = t }, f)",
            "option t.lua:6: task 'a': option 'args': at most 200 values, got 201"),
        Refusal(
            "a map over too many", "local t = {}\nfor i = 1, 10000001 do t[i] = 0 end\ng:map(\"m\", { over = t }, f)",
            "over t.lua:6: map 'm': option 'over': at most 10000000 elements, got 10000001"),
        Refusal(
            "every part of a backoff", "g:task(\"a\", { backoff = { first = \"x\", max = -1, factor = 0 } }, f)",
            "option t.lua:4: task 'a': option 'backoff.factor': expected a number from 1 to 1000000, got 0",
            "option t.lua:4: task 'a': option 'backoff.first': expected a duration such as \"1h30m\" or seconds, got \"x\"",
            "option t.lua:4: task 'a': option 'backoff.max': expected a duration such as \"1h30m\" or seconds, got -1"),
        Refusal(
            "a graph's defaults", "handout.graph{ name = \"y\", retries = 200, needs = 1 }",
            "option t.lua:4: graph 'y': option 'retries': expected a whole number from 0 to 100, got 200",
            "option t.lua:4: graph 'y': unknown option 'needs'"),
        Refusal(
            "the folder above that is read while planning", "handout.read(\"..\")",
            "script t.lua:4: read: '..': is outside of the run directory"),
        Refusal(
            "source in pieces", "load(function() end)",
            "script t.lua:4: load takes the whole source as one string, not a function that gives it in pieces"),
        Refusal(
            "handout.env while planning", "handout.env(\"X\")",
            "script t.lua:4: handout.env is only there inside a task"),
        Refusal(
            "handout.host while planning", "handout.host.x()",
            "script t.lua:4: handout.host.x is only there inside a task"),
        Refusal(
            "handout.exec while planning", "handout.exec{ \"ls\" }",
            "script t.lua:4: handout.exec is only there inside a task"),
        Refusal("loadfile", "loadfile(\"x\")", "script t.lua:4: loadfile is not available: use require"),

        // What other files have
        Refusal(
            "handout.cluster", "handout.cluster{}",
            "script t.lua:4: handout.cluster is for a cluster file (--cluster FILE)"),
        Refusal(
            "handout.tracker", "handout.tracker{}",
            "script t.lua:4: handout.tracker is for a file of trackers (worker --tracker FILE)"),
    ]
