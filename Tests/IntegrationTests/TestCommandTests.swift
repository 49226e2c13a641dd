import Testing

/// `handout-lua test`.
@Suite struct TestCommandTests {
    private let folder = Folder()

    private func run(_ arguments: [String] = []) -> Tool.Result { Tool.run(["test"] + arguments, in: folder) }

    private let graph = graphScript(
        """
        g:map("double", { over = { 1, 2 }, needs = { } }, function(x) return x * 2 end)
        g:task("fetch", { grant = { exec = { "curl" }, env = { "KEY" } } }, function()
          return handout.exec({ "curl", handout.env "KEY" }).stdout
        end)
        """)

    @Test func `tests pass and fail, a line each, with message and traceback`() {
        folder.write("t.lua", graph)
        folder.write(
            "t_test.lua",
            """
            local script = require("handout.test").load("t.lua")
            print "said by the file"
            return {
              ["a call"] = function() assert(script:call("double", { 4, 1 }) == 8) end,
              ["a run"] = function()
                local run = script:run { env = { KEY = "k" }, exec = function(argv) return { stdout = argv[2] } end }
                assert(run.ok and run.outputs.fetch == "k" and run.outputs.double[2] == 4)
                assert(run.states["double[2]"] == "done")
              end,
              ["fails\\27"] = function() error "on purpose" end,
            }
            """)
        let result = run()
        #expect(
            result.output.hasPrefix(
                """
                ok t_test.lua: a call
                ok t_test.lua: a run
                FAILED t_test.lua: fails\\x1B
                  t_test.lua:10: on purpose
                  stack traceback:

                """))
        #expect(result.output.hasSuffix("\n1 of 3 tests failed\n"))
        #expect(result.errorText == "said by the file\n")
        #expect(result.status == 1)
    }

    @Test func `a forgotten grant is found`() {
        folder.write("t.lua", graphScript("g:task(\"t\", function() handout.exec { \"curl\" } end)"))
        folder.write("t_test.lua", "return { x = function() require('handout.test').load('t.lua'):call('t') end }")
        let result = run()
        #expect(
            result.output.contains(
                "exec: 'curl' is not granted: the task asks for it with grant = { exec = { \"curl\" } }"))
        #expect(result.status == 1)
    }

    @Test func `with json one object is printed`() {
        folder.write(
            "a_test.lua",
            "return { good = function() end, bad = function() error('\\xFF', 0) end, text = function() print('x') end }"
        )
        let result = run(["--json", "a_test.lua"])
        #expect(result.json?["ok"] == .bool(false))
        #expect(
            result.output.hasPrefix(
                "{\"ok\":false,\"passed\":2,\"failed\":1,\"tests\":[{\"file\":\"a_test.lua\",\"message\":\"?\",\"name\":\"bad\",\"ok\":false,\"seconds\":"
            ))
        #expect(result.errorText == "x\n")
        #expect(result.status == 1)
    }

    @Test func `files are found here and in tests, each has a state of its own, and modules beside it`() {
        folder.folder("tests")
        folder.folder("lua_modules")
        folder.write("a_test.lua", "shared = 1\nreturn { a = function() assert(require('near') == 7) end }")
        folder.write("near.lua", "return 7")
        folder.write(
            "tests/b_test.lua", "assert(shared == nil)\nreturn { b = function() assert(require('far') == 8) end }")
        folder.write("lua_modules/far.lua", "return 8")
        folder.write("tests/far.lua", "return 8")
        folder.write("c.lua", "error 'not a test'")
        let result = run()
        #expect(result.output == "ok a_test.lua: a\nok tests/b_test.lua: b\n2 tests passed\n")
        #expect(result.errorText == "")
        #expect(result.status == 0)
    }

    @Test func `a file that is no test file fails`() {
        folder.write("a_test.lua", "return 5")
        folder.write("b_test.lua", "return {")
        let result = run()
        #expect(
            result.output.contains(
                "FAILED a_test.lua\n  a_test.lua: a test file returns a table of name and function, got a number\n"))
        #expect(result.output.contains("FAILED b_test.lua\n  b_test.lua:1: unexpected symbol near <eof>\n"))
        #expect(result.output.hasSuffix("2 of 2 tests failed\n"))
        #expect(result.status == 1)
    }

    @Test func `no files and files that are not there`() {
        let none = run()
        #expect(none.errorText == "test: no file is named, and there is no *_test.lua or tests/*_test.lua here\n")
        #expect(none.status == 2)
        let missing = run(["x_test.lua"])
        #expect(missing.errorText == "test: 'x_test.lua': No such file or directory\n")
        #expect(missing.status == 3)
        #expect(run(["--what"]).status == 2)
    }
}
