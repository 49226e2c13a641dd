import Testing

/// `handout-lua explain` of simulated runs.
@Suite struct ExplainTests {
    private static let script = """
        local handout = require "handout"
        local g = handout.graph { name = "train", limits = { db = 1 }, retries = 2 }
        local fetch = g:map("fetch", { over = { "a", "b", "c" }, estimate = "2s" }, function(x) return x end)
        local clean = g:map("clean", { over = fetch, resources = { db = 1 }, estimate = "1s" }, function(x) return x end)
        local fit = g:task("fit", { needs = { clean }, gpu = 1, estimate = "10s" }, function(x) return 1 end)
        local tune = g:task("tune", { needs = { clean }, gpu = 1, priority = 5, estimate = "4s" }, function(x) return 1 end)
        g:task("early", { gpu = 1, estimate = "8s", where = { zone = "eu" } }, function() return 1 end)
        g:task("report", { needs = { fit, tune } }, function() return 1 end)
        g:task("plainly", { unless = tune, needs = { fit } }, function() return 1 end)
        return g

        """

    private static let cluster = """
        return require("handout").cluster {
          { name = "gpu", cpu = 4, gpu = 1, price = 3, labels = { zone = "eu" } },
          { name = "cpu", count = 3, cpu = 2, price = 1, labels = { zone = "us" } },
        }

        """

    private static func folder() -> Folder {
        let folder = Folder()
        folder.write("train.lua", script)
        folder.write("cluster.lua", cluster)
        return folder
    }

    private func explain(_ arguments: [String], in folder: Folder = Self.folder()) -> Tool.Result {
        Tool.run(["explain", "train.lua"] + arguments + ["--cluster", "cluster.lua"], in: folder)
    }

    @Test func `one that waited says for what, behind whom, and why it went where it went`() {
        let result = explain(["fit"])
        #expect(result.status == 0 && result.errorText == "")
        #expect(
            result.output == """
                fit: done on gpu, ran from 12 s to 22 s (train.lua:5)
                  ready at 5 s, when clean[3] had ended
                  5 s to 12 s: waited 7 s
                    1 ready task before it, first tune (priority 5, this one has 0)
                    gpu: 1 gpu wanted, 0 of 1 free (held by early)
                    cpu-1, cpu-2, cpu-3: has no gpu
                  12 s: placed on gpu by load-balanced: the only worker that it fits on

                """)
    }

    @Test func `a pool of the run is said once, and the runner-up with what was compared`() {
        let result = explain(["clean[3]"])
        #expect(
            result.output == """
                clean[3]: done on cpu-2, ran from 4 s to 5 s (train.lua:4)
                  ready at 2 s, when fetch[3] had ended
                  2 s to 4 s: waited 2 s
                    1 ready task before it, first clean[2] (of the same rank, declared before)
                    1 db wanted, 0 of 1 free in the whole run (held by clean[1])
                  4 s: placed on cpu-2 by load-balanced: the least work so far (0.5 s; next cpu-3 with 0.5 s)

                """)
    }

    @Test func `at a moment it says how things stood then`() {
        let result = explain(["fit", "report", "--at", "9"])
        #expect(
            result.output == """
                fit: ready since 5 s, waits, at 9 s (train.lua:5)
                  ready at 5 s, when clean[3] had ended
                  since 5 s: waits
                    gpu: 1 gpu wanted, 0 of 1 free (held by tune)
                    cpu-1, cpu-2, cpu-3: has no gpu

                report: waits for what it needs, at 9 s (train.lua:8)
                  waits for:
                    fit, ready
                    tune, running on gpu since 8 s

                """)
        #expect(
            explain(["report", "--at", "1"]).output == """
                report: waits for what it needs, at 1 s (train.lua:8)
                  waits for:
                    fit, which waits itself
                    tune, which waits itself
                  which wait for:
                    fetch[1], running on gpu since 0 s
                    fetch[2], running on gpu since 0 s
                    fetch[3], running on cpu-1 since 0 s

                """)
    }

    @Test func `a plan's tasks are where the plan has them`() {
        for (allocator, line) in [
            ("heft", "3 s: placed on gpu by heft: planned there (as number 5)"),
            ("first-available", "3 s: placed on gpu by first-available: the first worker that it fits on (next cpu-1)"),
        ] {
            let result = explain(["clean[2]", "--allocator", allocator])
            #expect(result.output.contains(line), "\(result.output)\(result.errorText)")
        }
    }

    @Test func `JSON has the same facts`() throws {
        let json = try #require(explain(["fit", "clean[3]", "--json"]).json)
        #expect(json.elements.count == 2)
        let fit = try #require(json[0])
        #expect(fit["state"] == .string("done") && fit["ready"]?["last"] == .string("clean[3]"))
        let why = fit["waits"]?[0]?["why"]
        #expect(why?[0]?["kind"] == .string("short") && why?[0]?["held_by"] == .array([.string("early")]))
        #expect(why?[1]?["kind"] == .string("never") && why?[1]?["workers"]?.elements.count == 3)
        #expect(fit["attempts"]?[0]?["choice"]?["rule"] == .string("only"))
        #expect(json[1]?["attempts"]?[0]?["choice"]?["runner_up"] == .string("cpu-3"))
    }

    @Test func `what never ran says why: a failure above, or a condition`() {
        #expect(
            explain(["plainly"]).output == """
                plainly: absent: it ended without a value, and the run goes on (train.lua:9)
                  skipped, because of 'unless': 'tune' is true

                """)
        let result = explain(["report", "--fail", "0.9", "--seed", "5"])
        #expect(
            result.output == """
                report: skipped (train.lua:8)
                  skipped, because 'clean[3]', which it needs, failed

                """)
    }

    @Test func `what ran again says how each attempt ended`() throws {
        let json = try #require(explain(["clean[1]", "--fail", "0.3", "--lose", "0.3", "--seed", "5", "--json"]).json)
        let attempts = json["attempts"]?.elements ?? []
        #expect(attempts.count == 2)
        #expect(attempts.first?["ended"] == .string("lost") && attempts.first?["retry_at"] == attempts.first?["finish"])
        #expect(attempts.last?["ended"] == nil && json["state"] == .string("done"))
    }

    @Test func `maps say how their instances stand`() {
        #expect(
            explain(["clean"]).output == """
                clean: done (train.lua:4)
                  3 instances: 3 done; ask for one of them: explain … 'clean[3]'

                """)
    }

    @Test func `what there is not is one error, with what is near`() {
        for (task, error) in [
            ("repost", "explain: task 'repost': graph 'train' has no such task (did you mean 'report'?)\n"),
            ("fetsh[2]", "explain: task 'fetsh[2]': graph 'train' has no such task (did you mean 'fetch[2]'?)\n"),
            ("fetch[9]", "explain: task 'fetch[9]': 'fetch' has 3 instances\n"),
            ("fetch[a]", "explain: task 'fetch[a]': instances of simulated runs are numbered from 1, got 'a'\n"),
        ] {
            let result = explain([task])
            #expect(result.status == 2 && result.output == "")
            #expect(result.errorText == error)
        }
    }

    @Test func `tasks of a graph that a map instantiates are named as in schedules and as in events`() {
        let folder = Folder()
        folder.write(
            "train.lua",
            """
            local handout = require "handout"
            local sub = handout.graph "sub"
            local x = sub:input("x")
            sub:output("d", sub:task("double", { needs = { x } }, function(x) return 2 * x end))
            local g = handout.graph "g"
            g:map("m", { over = { { x = 1 }, { x = 2 } } }, sub)
            return g
            """)
        folder.write("cluster.lua", Self.cluster)
        for name in ["double[#2]", "m[2]/double"] {
            #expect(
                explain([name], in: folder).output == """
                    double[#2]: done on cpu-1, ran from 0 s to 1 s (train.lua:4)
                      ready at 0 s
                      0 s: placed on cpu-1 by load-balanced: the least work so far (0 s; next cpu-2 with 0 s)

                    """)
        }
        #expect(
            explain(["m[7]/double"], in: folder).errorText
                == "explain: task 'm[7]/double': 'double' has 2 instances\n")
    }

    // MARK: - Strategies

    @Test func `a strategy's scores are told, and the reasons of its filter`() {
        let folder = Self.folder()
        folder.write(
            "mine.lua",
            """
            return require("handout").allocator {
              filter = function(task, worker)
                if task.name == "fetch" and worker.labels.zone ~= "us" then return false, "fetch stays in the us" end
                if task.name == "clean" then return false, "not today" end
                return true
              end,
              score = function(task, worker) return worker.free.cpu - worker.price end,
            }
            """)
        let result = explain(["fetch[1]", "clean[1]", "--allocator", "mine.lua"], in: folder)
        #expect(result.errorText == "")
        #expect(
            result.output == """
                fetch[1]: done on cpu-1, ran from 0 s to 2 s (train.lua:3)
                  ready at 0 s
                  0 s: placed on cpu-1 by mine.lua: the highest score (1; next cpu-2 with 1)
                    gpu: the strategy's filter said no: fetch stays in the us

                clean[1]: done on cpu-1, ran from 8 s to 9 s (train.lua:4)
                  ready at 2 s, when fetch[1] had ended
                  2 s to 8 s: waited 6 s
                    gpu, cpu-1, cpu-2, cpu-3: the strategy's filter said no: not today
                  8 s: placed on cpu-1 by load-balanced: the least work so far (1 s; next cpu-2 with 1 s); the strategy left \
                everything idle: not today

                """)
    }

    @Test func `a strategy that decides by rounds did not name it`() {
        let folder = Self.folder()
        folder.write(
            "rounds.lua",
            """
            return require("handout").allocator {
              allocate = function(ready, workers, context)
                if context.now < 3 then return {}, { wait = "3s" } end
                local placed, taken = {}, {}
                for _, task in ipairs(ready) do
                  for _, worker in ipairs(workers) do
                    if not taken[worker.id] and worker:fits(task) > 0 then
                      placed[#placed + 1] = { task = task, worker = worker }
                      taken[worker.id] = true
                      break
                    end
                  end
                end
                return placed
              end,
            }
            """)
        let result = explain(["fetch[1]", "--allocator", "rounds.lua"], in: folder)
        #expect(result.errorText == "")
        #expect(
            result.output == """
                fetch[1]: done on gpu, ran from 3 s to 5 s (train.lua:3)
                  ready at 0 s
                  0 s to 3 s: waited 3 s
                    gpu, cpu-1, cpu-2, cpu-3: it fits, and the strategy's allocate did not name it; it waits until 3 s
                  3 s: placed on gpu by rounds.lua: allocate named it

                """)
    }

    // MARK: - Instances

    private static let instance = """
        {"name": "small",
         "tasks":   [{"id": "split", "runtime": 2, "resources": {"cpu": 1}},
                     {"id": "train", "runtime": {"fast": 3, "gpu": 1.5}, "resources": {"cpu": 2, "memory": 4096},
                      "deps": [{"task": "split", "bytes": 1000000}]},
                     {"id": "test", "runtime": {"gpu": 4}, "resources": {"cpu": 2},
                      "deps": [{"task": "split", "bytes": 1000000}]}],
         "workers": [{"id": "fast", "speed": 2, "resources": {"cpu": 4, "memory": 8192}, "price": 0.4},
                     {"id": "gpu", "resources": {"cpu": 2, "memory": 8192}, "price": 1.5}],
         "network": {"bandwidth": 125000000, "latency": 0.001}}
        """

    @Test(arguments: [
        (
            ["train", "--allocator", "heft"],
            """
            train: done on fast, ran from 1 s to 4 s
              ready at 1 s, when split had ended
              1 s: placed on fast by heft: planned there (as number 2)
              on fast it takes 3 s and ends at 4 s, for 0.6
              on gpu it would take 1.5 s and end at 2.509 s or later, for 2.25

            """
        ),
        (
            ["test", "--allocator", "load-balanced"],
            """
            test: done on gpu, ran from 1.009 s to 5.009 s
              ready at 1 s, when split had ended
              1 s: placed on gpu by load-balanced: the only worker that it fits on
                its data came until 1.009 s

            """
        ),
        (
            ["train", "--at", "0.5"],
            """
            train: waits for what it needs, at 0.5 s
              waits for:
                split, running on fast since 0 s

            """
        ),
    ])
    func `instances are explained too, planned or decided as they go`(arguments: [String], text: String) {
        let folder = Folder()
        folder.write("i.json", Self.instance)
        let result = Tool.run(["explain", "i.json"] + arguments, in: folder)
        #expect(result.errorText == "")
        #expect(result.output == text)
    }
}
