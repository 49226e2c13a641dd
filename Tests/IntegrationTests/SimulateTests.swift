import Testing

@Suite struct SimulateTests {
    private let instance = """
        {"name": "small", "tasks": [
          {"id": "a", "resources": {"cpu": 1}, "runtime": 4},
          {"id": "b<\\u001b>", "resources": {"cpu": 1}, "runtime": 2, "deps": [{"task": "a", "bytes": 30}]}],
         "workers": [{"id": "slow", "resources": {"cpu": 2}, "price": 1},
                     {"id": "fast", "speed": 2, "resources": {"cpu": 1}, "price": 3}],
         "network": {"bandwidth": 10, "latency": 1}}
        """

    private func folder() -> Folder {
        let folder = Folder()
        folder.write("small.json", instance)
        return folder
    }

    @Test func `one allocator prints its figures and the schedule`() {
        let folder = folder()
        let result = Tool.run(["simulate", "small.json", "--allocator", "heft"], in: folder)
        #expect(result.status == 0)
        #expect(
            result.output == """
                allocator  makespan  cost  utilisation  bytes moved
                heft       3         9     50 %         0

                start  finish  worker  task
                0      2       fast    a
                2      3       fast    b<\\u{1b}>

                """)
    }

    @Test func `trackers that a cluster file names are not asked, which is said`() {
        let folder = Folder()
        folder.write(
            "c.lua",
            """
            return require("handout").cluster {
              { name = "w", count = 2, trackers = "t.lua", resources = { matlab = 1 } }, { name = "x", cpu = 2 },
            }
            """)
        folder.write(
            "s.lua",
            """
            local g = require("handout").graph "s"
            g:task("a", { estimate = "2s", resources = { matlab = 1 } }, function() end)
            return g
            """)
        for verb in ["simulate", "plan", "check"] {
            let result = Tool.run([verb, "s.lua", "--cluster", "c.lua"], in: folder)
            #expect(result.status == 0)
            #expect(
                result.errorText
                    == "c.lua: note: the trackers of worker 'w-1' and 1 more are not asked: a worker has what the file says\n",
                "\(verb)")
        }
    }

    @Test func `several are compared, and a late one is said to be late`() {
        let folder = folder()
        let arguments = ["simulate", "small.json", "--allocator", "time", "--allocator", "cost", "--deadline", "2.5"]
        let result = Tool.run(arguments + ["--evaluations", "100"], in: folder)
        #expect(
            result.output == """
                allocator  makespan  cost  utilisation  bytes moved
                time       3 (late)  9     50 %         0
                cost       3 (late)  9     50 %         0

                """)
    }

    /// Plans are made again while workers come, go, are slow and are lost; what that finds depends on nothing but the seed.
    @Test func `the same seed gives the same run where plans are made again`() {
        let folder = Folder()
        folder.write(
            "many.lua",
            """
            local handout = require "handout"
            local g = handout.graph "many"
            local list = g:task("list", { estimate = "2s" }, function() return {} end)
            local each = g:map("each", { over = list, estimate = "10s" }, function(x) return x end)
            g:reduce("all", { over = each, estimate = "1s" }, function(a) return a end)
            return g

            """)
        folder.write(
            "workers.lua",
            """
            local handout = require "handout"
            return handout.cluster{
              { name = "a", cpu = 2 }, { name = "b", joins = "15s", speed = 2 }, { name = "c", lifetime = "30s", cpu = 2 } }

            """)
        for allocator in ["time", "cost"] {
            let arguments = [
                "simulate", "many.lua", "--cluster", "workers.lua", "--allocator", allocator, "--evaluations", "200",
                "--assume-elements", "30", "--slow", "0.4", "--lose", "0.05", "--seed", "3", "--json",
            ]
            let first = Tool.run(arguments, in: folder)
            #expect(first.status == 0, "\(first.errorText)")
            #expect(first.output == Tool.run(arguments, in: folder).output)
        }
    }

    /// Two tasks share the one licence, and the price falls after an hour: `time` runs them one after the other at once, `cost`
    /// waits as far as the deadline lets it.
    @Test func `plans know pools, and prices that change`() {
        let folder = Folder()
        folder.write(
            "cluster.lua",
            """
            local handout = require "handout"
            return handout.cluster{
              { name = "spot", count = 2, cpu = 1, price = { { "0s", 5 }, { "1h", 1 } } },
              shared = { licence = 1 },
            }
            """)
        folder.write(
            "nights.lua",
            """
            local handout = require "handout"
            local g = handout.graph("nights")
            local first = g:task("first", { estimate = "30m", resources = { licence = 1 } }, function() return 1 end)
            local second = g:task("second", { estimate = "30m", resources = { licence = 1 } }, function() return 2 end)
            local options = { needs = { first, second }, estimate = "30m" }
            g:output("sum", g:task("sum", options, function(a, b) return a + b end))
            return g
            """)
        func run(_ allocator: String, _ deadline: String) -> String {
            let arguments = ["simulate", "nights.lua", "--cluster", "cluster.lua", "--evaluations", "3000"]
            return Tool.run(arguments + ["--allocator", allocator, "--deadline", deadline], in: folder).output
        }
        #expect(
            run("time", "5h") == """
                allocator  makespan  cost  utilisation  bytes moved
                time       5400      5.5   50 %         0

                start  finish  worker  task
                0      1800    spot-1  first
                1800   3600    spot-1  second
                3600   5400    spot-1  sum

                """)
        #expect(
            run("cost", "5h") == """
                allocator  makespan  cost  utilisation  bytes moved
                cost       9000      1.5   30 %         0

                start  finish  worker  task
                3600   5400    spot-1  first
                5400   7200    spot-1  second
                7200   9000    spot-1  sum

                """)
        // By 2 h only two of the three can wait.
        #expect(
            run("cost", "2h") == """
                allocator  makespan  cost  utilisation  bytes moved
                cost       7200      3.5   37.5 %       0

                start  finish  worker  task
                0      1800    spot-1  second
                3600   5400    spot-1  first
                5400   7200    spot-1  sum

                """)
    }

    @Test func `as JSON one is an object and several are a list`() {
        let folder = folder()
        let one = Tool.run(
            ["simulate", "small.json", "--allocator", "cost", "--json", "--evaluations", "100"], in: folder)
        #expect(
            one.output == #"{"allocator":"cost","makespan":6.0,"cost":3.0,"utilisation":0.25,"bytes_moved":0.0,"#
                + #""schedule":[{"task":"a","worker":"slow","start":0.0,"finish":4.0},"#
                + #"{"task":"b\u003c\u001b\u003e","worker":"slow","start":4.0,"finish":6.0}]}"# + "\n")
        let two = Tool.run(
            ["simulate", "small.json", "--allocator", "heft", "--allocator", "peft", "--json"], in: folder)
        #expect(two.output.hasPrefix(#"[{"allocator":"heft","#))
        #expect(two.output.hasSuffix("]}]\n"))
    }

    @Test func `the picture escapes names`() {
        let folder = folder()
        let result = Tool.run(["simulate", "small.json", "--allocator", "heft", "--gantt", "out.svg"], in: folder)
        #expect(result.status == 0)
        let picture = String(decoding: contents(of: folder.path + "/out.svg") ?? [], as: UTF8.self)
        #expect(picture.contains("<title>b&lt;\\u{1b}&gt;: 2 to 3</title>"))
        #expect(!picture.contains("\u{1b}") && !picture.contains("b<"))
    }

    @Test func `what cannot be read or chosen is refused`() {
        let folder = folder()
        folder.write("bad.json", #"{"tasks": [{"id": "a"}], "workers": [{"id": "w"}]}"#)
        let bad = Tool.run(["simulate", "bad.json"], in: folder)
        #expect(bad.status == 2)
        #expect(bad.errorText == "bad.json: tasks[0].runtime: missing\n")
        let missing = Tool.run(["simulate", "none.json"], in: folder)
        #expect(missing.status == 3)
        #expect(missing.errorText == "none.json: No such file or directory\n")
        let unknown = Tool.run(["simulate", "small.json", "--allocator", "best"], in: folder)
        #expect(unknown.status == 2)
        #expect(
            unknown.errorText
                == "--allocator: expected time, cost, first-available, load-balanced, locality, heft, peft, cpop, min-min, max-min, lookahead or a file of Lua, got 'best'\n"
        )
    }
}
