import Testing

/// Strategies in Lua and claims, with the whole program.
@Suite struct StrategyTests {
    private static let script = """
        local handout = require "handout"
        local g = handout.graph { name = "s", limits = { db = 1 } }
        local list = {}
        for i = 1, 12 do list[i] = i end
        local a = g:map("a", { over = list, estimate = "2s" }, function(x) return x * x end)
        local b = g:map("b", { over = a, resources = { db = 1 }, estimate = "1s" }, function(x) return x + 1 end)
        g:reduce("sum", { over = b, estimate = "1s" }, function(list)
          local s = 0
          for _, x in ipairs(list) do s = s + x end
          return s
        end)
        return g
        """
    private static let result = "{\n  \"sum\": 662\n}\n"

    private func folder(_ strategy: String = "") -> Folder {
        let folder = Folder()
        folder.write("s.lua", StrategyTests.script)
        folder.write("al.lua", "local handout = require \"handout\"\nreturn handout.allocator " + strategy)
        folder.write(
            "c.lua",
            """
            return require("handout").cluster {
              { name = "w", count = 3, cpu = 2, price = 2 },
              { name = "cheap", cpu = 1, price = 1, labels = { zone = "eu" } },
            }
            """)
        return folder
    }

    @Test(arguments: [
        "{ score = function(task, worker) return worker.free.cpu end }",
        "{ per_task = true, score = function(task, worker) return -task.attempt end }",
        "{ filter = function() return false, \"never\" end }",
        "{ allocate = function(ready, workers) return {} end }",
        """
        { allocate = function(ready, workers)
            local out = {}
            for class in ready:classes() do
              for task in class:take(2) do out[#out + 1] = { task = task, worker = workers[1] } end
            end
            return out
          end }
        """,
    ])
    func `whatever a strategy chooses, the result is the same`(strategy: String) {
        let folder = folder(strategy)
        for threads in ["-j1", "-j4"] {
            let run = Tool.run(["run", "s.lua", "--allocator", "al.lua", threads, "--progress", "none"], in: folder)
            #expect(run.status == 0, "\(run.errorText)")
            #expect(run.output == StrategyTests.result)
        }
        let arguments = ["simulate", "s.lua", "--cluster", "c.lua", "--allocator", "al.lua", "--json"]
        let first = Tool.run(arguments, in: folder)
        #expect(first.status == 0, "\(first.errorText)")
        #expect(first.output == Tool.run(arguments, in: folder).output)
    }

    @Test func `a strategy that waits does so for an hour at most`() {
        let folder = folder("{ allocate = function(ready, workers) return {}, { wait = \"10m\" } end }")
        let result = Tool.run(["simulate", "s.lua", "--cluster", "c.lua", "--allocator", "al.lua"], in: folder)
        #expect(result.status == 0, "\(result.errorText)")
        #expect(result.output.contains("\n3600   3602    w-1     a[1]\n"), "\(result.output)")
    }

    @Test(arguments: [
        ("{ score = function() error(\"no\") end }", "al.lua:2: no"),
        ("{ score = function() return 0/0 end }", "expected a finite number"),
        ("{ allocate = function() return 5 end }", "expected a list of { task =, worker = }, got 5"),
        ("{ allocate = function() while true do end end }", "budget of 5000000 instructions was used up"),
        (
            "{ budget = \"1ms\", allocate = function() while true do end end }",
            "budget of 100000 instructions was used up"
        ),
    ])
    func `a strategy that errs is warned of three times and then off`(strategy: String, said: String) {
        let run = Tool.run(["run", "s.lua", "--allocator", "al.lua", "--progress", "none"], in: folder(strategy))
        #expect(run.status == 0)
        #expect(run.output == StrategyTests.result)
        let warnings = run.errorText.split(separator: "\n").filter { $0.hasPrefix("warning: ") }
        #expect(warnings.count <= 3 && !warnings.isEmpty, "\(run.errorText)")
        #expect(warnings.first?.contains(said) ?? false, "\(run.errorText)")
    }

    @Test func `built-in allocators are told apart in simulation, and known by name in runs`() {
        let folder = folder("{}")
        for name in ["first-available", "load-balanced", "cost", "time", "locality"] {
            let run = Tool.run(["run", "s.lua", "--allocator", name, "--progress", "none"], in: folder)
            #expect(run.output == StrategyTests.result, "\(name): \(run.errorText)")
            let simulated = Tool.run(
                ["simulate", "s.lua", "--cluster", "c.lua", "--allocator", name, "--evaluations", "200"], in: folder)
            #expect(simulated.status == 0, "\(name): \(simulated.errorText)")
        }
        let unknown = Tool.run(["run", "s.lua", "--allocator", "best"], in: folder)
        #expect(unknown.status == 2)
    }

    @Test func `no more of a limit runs at once than there is`() throws {
        let folder = Folder()
        // The clock is that of the process: it goes on while any thread runs.
        folder.write(
            "l.lua",
            """
            local handout = require "handout"
            local g = handout.graph { name = "l", limits = { db = 2 } }
            local list = {}
            for i = 1, 12 do list[i] = i end
            local spans = g:map("b", { over = list, resources = { db = 1 } }, function()
              local begun = os.clock()
              while os.clock() < begun + 0.004 do end
              return { begun, os.clock() }
            end)
            g:task("most", { needs = { spans } }, function(list)
              local most = 0
              for _, a in ipairs(list) do
                local at_once = 0
                for _, b in ipairs(list) do if b[1] <= a[1] and a[1] < b[2] then at_once = at_once + 1 end end
                most = math.max(most, at_once)
              end
              return most
            end)
            return g
            """)
        let run = Tool.run(["run", "l.lua", "-j6", "--progress", "none"], in: folder)
        #expect(run.output == "{\n  \"most\": 2\n}\n" || run.output == "{\n  \"most\": 1\n}\n", "\(run.output)")
    }

    @Test func `what this machine has is said by --resource`() {
        let folder = Folder()
        folder.write(
            "r.lua",
            """
            local handout = require "handout"
            local g = handout.graph "r"
            g:task("a", { gpu = 2, resources = { lic = 1.5 } }, function()
              return { handout.task.amounts, handout.task.indices, handout.task.variant }
            end)
            g:task("b", { variants = { { gpu = 9 }, { cpu = 0.5 } } }, function() return handout.task.variant end)
            return g
            """)
        let refused = Tool.run(["check", "r.lua"], in: folder)
        #expect(refused.status == 2)
        #expect(
            refused.errorText
                == "r.lua:3: task 'a': needs 2 gpu, more than any worker has: worker 'local' has 0\n")
        let run = Tool.run(
            ["run", "r.lua", "--resource", "gpu=2", "--resource", "lic=2", "--progress", "none"], in: folder)
        #expect(
            run.output == """
                {
                  "a": [{"cpu":1,"gpu":2,"lic":1.5},{"gpu":[0,1]},1],
                  "b": 2
                }

                """)
        let wrong = Tool.run(["run", "r.lua", "--resource", "gpu"], in: folder)
        #expect(wrong.status == 2)
        #expect(wrong.errorText == "--resource: expected name=amount, got 'gpu'\n")
    }

    @Test func `a strategy that hangs in a library function is off, and the run is right`() {
        let folder = folder(
            """
            {
              name = "backtracking",
              score = function() return ((("a"):rep(250)):find(".-.-.-.-.-.-b")) or 0 end,
            }
            """)
        for threads in ["-j1", "-j2"] {
            // A thread that is given up keeps what it has.
            let run = Tool.run(
                ["run", "s.lua", "--allocator", "al.lua", threads, "--progress", "none"], in: folder,
                environment: ["ASAN_OPTIONS=detect_leaks=0"])
            #expect(run.status == 0)
            #expect(run.output == StrategyTests.result)
            #expect(
                run.errorText
                    == "warning: strategy 'backtracking': it hangs in a library function, which cannot be stopped "
                    + "(load-balanced decides for the rest of the run)\n")
        }
    }

    @Test func `a run ends in time although its strategy has much of it left`() {
        let folder = folder("{ budget = \"10m\", allocate = function() while true do end end }")
        let run = Tool.run(
            ["run", "s.lua", "--allocator", "al.lua", "--timeout", "300ms", "--progress", "none"], in: folder)
        #expect(run.status == 1)
        #expect(run.output == "")
        #expect(run.errorText == "--timeout reached: the run is ended\n")
    }

    @Test
    func `on this machine a strategy sees what is free, the asking slot's last lease given back, and chooses variants`()
    {
        let folder = Folder()
        folder.write(
            "v.lua",
            """
            local handout = require "handout"
            local g = handout.graph "v"
            g:map("m", { over = { 1, 2, 3 }, variants = { { cpu = 1 }, { cpu = 0.5 } } }, function()
              return { handout.task.variant, handout.task.amounts.cpu }
            end)
            return g
            """)
        folder.write(
            "al.lua",
            """
            return require("handout").allocator { allocate = function(ready, workers)
              print(#ready, workers[1].free.cpu, workers[1].running, workers[1]:fits(ready[1]))
              return { { task = ready[1], worker = workers[1], variant = #ready == 2 and 1 or 2 } }
            end }
            """)
        let run = Tool.run(["run", "v.lua", "--allocator", "al.lua", "-j1", "--progress", "none"], in: folder)
        #expect(run.output == "{\n  \"m\": [[2,0.5],[1,1],[2,0.5]]\n}\n", "\(run.errorText)")
        #expect(
            run.errorText
                == "allocator: 3\t1\t0\t1\nallocator: 2\t1\t0\t1\nallocator: 1\t1\t0\t1\n")
    }

    @Test func `what is ready is in the order of priority, whatever it asks for`() {
        let folder = Folder()
        folder.write(
            "p.lua",
            """
            local handout = require "handout"
            local g = handout.graph "p"
            for i, priority in ipairs { 5, 0, 3, 1 } do
              g:task("t" .. priority, { priority = priority, cpu = i % 2 == 0 and 1 or 0.5 }, function() return true end)
            end
            return g
            """)
        folder.write(
            "al.lua",
            """
            local seen = false
            return require("handout").allocator { allocate = function(ready, workers)
              local ids = {}
              for i, task in ipairs(ready) do ids[i] = task.id end
              if not seen then print(table.concat(ids, " ")) end
              seen = true
              return { { task = ids[#ids], worker = "local" } }
            end }
            """)
        for verb in ["run", "simulate"] {
            let run = Tool.run([verb, "p.lua", "--allocator", "al.lua", "-j1"], in: folder)
            #expect(run.status == 0)
            #expect(run.errorText.contains("allocator: t5 t3 t1 t0\n"), "\(verb): \(run.errorText)")
        }
    }
}
