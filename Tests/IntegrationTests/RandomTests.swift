import Testing

/// `math.random`: the same in every state, whatever ran in it before.
struct RandomTests {
    @Test func `a task's numbers do not depend on the state that runs it`() {
        // The script's own globals make every state run the script first, which draws numbers of its own.
        let script = """
            local handout = require "handout"
            local g = handout.graph("x")
            local planned = math.random(100)
            function anything() return 1 end
            for i = 1, 4 do g:task("a" .. i, function() return math.random(1000000) end) end
            return g
            """
        for threads in ["1", "8"] {
            let result = Folder().tool("run", script, ["-j", threads])
            #expect(
                result.output == "{\n  \"a1\": 824630,\n  \"a2\": 640675,\n  \"a3\": 396639,\n  \"a4\": 103934\n}\n")
        }
    }

    @Test func `a module that a task meets first leaves the task its own numbers`() {
        let folder = Folder()
        folder.write("m.lua", "local n = math.random(10)\nreturn { n = n }\n")
        let script = """
            local handout = require "handout"
            local g = handout.graph("x")
            local m = require "m"
            g:task("with", function() local a = math.random(1000) local _ = m.n return { a, math.random(1000) } end)
            g:task("inside", function() math.random() require "m" return math.random(1000) end)
            return g
            """
        let first = folder.tool("run", script, ["-j", "1"]).output
        #expect(first.contains("\"with\""))
        for threads in ["2", "8"] { #expect(folder.tool("run", script, ["-j", threads]).output == first) }
    }
}
