import Testing

/// `handout-lua plan`.
@Suite struct PlanTests {
    private func folder() -> Folder {
        let folder = Folder()
        folder.write(
            "s.lua",
            """
            local handout = require "handout"
            local g = handout.graph { name = "s", limits = { db = 1 } }
            local a = g:map("a", { over = { 1, 2, 3 }, estimate = "2s" }, function(x) return x * x end)
            local b = g:map("b", { over = a, resources = { db = 1 } }, function(x) return x + 1 end)
            g:reduce("sum", { over = b }, function(list) return #list end)
            return g
            """)
        return folder
    }

    @Test func `it says where and when each task would run, and from what that is taken`() {
        let result = Tool.run(["plan", "s.lua", "-j2"], in: folder())
        #expect(result.status == 0 && result.errorText == "")
        #expect(
            result.output == """
                7 tasks on 1 worker under load-balanced: 6 s
                2 declarations without an estimate: 1 s a task

                start  finish  worker  task
                0      2       local   a[1]
                0      2       local   a[2]
                2      4       local   a[3]
                2      3       local   b[1]
                3      4       local   b[2]
                4      5       local   b[3]
                5      6       local   sum

                """)
    }

    @Test func `the pool of one is used by one at a time, whatever the allocator and the cluster`() {
        let folder = folder()
        folder.write("c.lua", "return require('handout').cluster { { name = 'w', count = 3, cpu = 2, price = 2 } }")
        for allocator in ["first-available", "locality", "cost", "time", "heft"] {
            let arguments = ["plan", "s.lua", "--cluster", "c.lua", "--allocator", allocator, "--json"]
            let result = Tool.run(arguments + ["--evaluations", "50", "--assume-time", "3s"], in: folder)
            #expect(result.status == 0, "\(allocator): \(result.errorText)")
            let entries = result.json?["schedule"]?.elements ?? []
            #expect(entries.count == 7)
            let ends = entries.filter { $0["task"]?.string?.hasPrefix("b[") ?? false }.compactMap {
                $0["finish"]?.double
            }
            #expect(Set(ends).count == 3, "\(allocator)")
        }
    }

    @Test func `what it cannot plan is one error`() {
        let folder = folder()
        folder.write(
            "gpu.lua", "local g = require('handout').graph 'x'\ng:task('t', { gpu = 1 }, function() end)\nreturn g")
        let cases: [([String], Int32, String)] = [
            (["gpu.lua"], 2, "gpu.lua:2: task 't': needs 1 gpu, more than any worker has: worker 'local' has 0"),
            (["no.lua"], 3, "no.lua: cannot be read: No such file or directory"),
            (["i.json"], 2, "i.json: plan takes scripts; simulate takes instance and trace files too"),
            (["s.lua", "--evaluations", "0"], 2, "--evaluations: expected 1 or more, got 0"),
            (["s.lua", "--allocator", "best"], 2, "--allocator: expected time, cost,"),
        ]
        for (arguments, status, said) in cases {
            let result = Tool.run(["plan"] + arguments, in: folder)
            #expect(result.status == status && result.output == "")
            #expect(result.errorText.contains(said), "\(result.errorText)")
        }
    }
}
