import HandoutCore
import HandoutTesting
import Testing

/// What `explain` says: the same facts as text and as JSON.
@Suite struct TaskExplanationTests {
    private var waiting: TaskExplanation {
        var explanation = TaskExplanation(task: "fit[2]", state: .ready)
        explanation.at = 6.5
        explanation.declared = "train.lua:5"
        explanation.ready = TaskExplanation.Ready(time: 5, last: "clean[3]")
        var wait = TaskExplanation.Wait(from: 5)
        wait.ahead = 2
        wait.first = "tune"
        wait.rank = "priority 5, this one has 0"
        var short = TaskExplanation.Obstacle(.short)
        short.workers = ["gpu"]
        short.resource = "memory"
        (short.wanted, short.free, short.total) = (2 << 30, 1 << 30, 4 << 30)
        short.holders = ["a", "b"]
        var pool = TaskExplanation.Obstacle(.short)
        pool.resource = "db"
        (pool.wanted, pool.free, pool.total) = (5_000, 0, 10_000)
        var never = TaskExplanation.Obstacle(.never)
        never.workers = ["w1", "w2", "w3", "w4", "w5", "w6"]
        never.resource = "gpu"
        (never.wanted, never.free, never.total) = (20_000, 0, 10_000)
        var label = TaskExplanation.Obstacle(.label)
        label.workers = ["us"]
        (label.label, label.values) = ("zone", ["eu", "asia"])
        var filtered = TaskExplanation.Obstacle(.filtered)
        filtered.workers = ["x"]
        filtered.name = "not on \u{1b}[1mFridays"
        wait.obstacles = [short, pool, never, label, filtered]
        explanation.waits = [wait]
        return explanation
    }

    @Test func `one that waits says for what, on every worker`() {
        #expect(
            waiting.text == """
                fit[2]: ready since 5 s, waits, at 6.5 s (train.lua:5)
                  ready at 5 s, when clean[3] had ended
                  since 5 s: waits
                    2 ready tasks before it, first tune (priority 5, this one has 0)
                    gpu: 2GiB memory wanted, 1GiB of 4GiB free (held by a, b)
                    0.5 db wanted, 0 of 1 free in the whole run
                    w1, w2, w3 and 3 more: has 1 of 2 gpu wanted
                    us: label 'zone' must be eu or asia, and has none
                    x: the strategy's filter said no: not on \\u{1b}[1mFridays
                """)
        #expect(
            waiting.json
                == #"""
                {"task":"fit[2]","state":"ready","at":6.5,"declared":"train.lua:5","waits_for":[],"ready":{"time":5,"last":"clean[3]"},
                "waits":[{"from":5,"ahead":2,"first":"tune","rank":"priority 5, this one has 0","why":[
                {"kind":"short","workers":["gpu"],"resource":"memory","wanted":2147483648,"free":1073741824,"total":4294967296,
                "held_by":["a","b"]},
                {"kind":"short","workers":[],"resource":"db","wanted":0.5,"free":0,"total":1,"held_by":[]},
                {"kind":"never","workers":["w1","w2","w3","w4","w5","w6"],"resource":"gpu","wanted":2,"free":0,"total":1},
                {"kind":"label","workers":["us"],"label":"zone","values":["eu","asia"]},
                {"kind":"filtered","workers":["x"],"reason":"not on \u001b[1mFridays"}]}],"attempts":[]}
                """#.replacingLineEnds)
    }

    @Test func `one that ran again says where, why there, and how each attempt ended`() {
        var explanation = TaskExplanation(task: "fit", state: .done)
        explanation.ready = TaskExplanation.Ready(time: 0)
        var first = TaskExplanation.Attempt(number: 1, worker: "a", placed: 1, start: 1.25)
        (first.finish, first.ended, first.retryAt) = (2, "lost", 2)
        first.choice = TaskExplanation.Choice(.leastWork, allocator: "load-balanced", fitting: 2)
        first.choice?.value = 0.5
        first.choice?.runnerUp = "b"
        first.choice?.runnerUpValue = 3
        var second = TaskExplanation.Attempt(number: 2, worker: "b", placed: 2, start: 2)
        (second.finish, second.ended, second.retryAt) = (3, "error", 4)
        (second.message, second.place) = ("no\nway", "s.lua:3")
        second.choice = TaskExplanation.Choice(.named, allocator: "mine.lua")
        var third = TaskExplanation.Attempt(number: 3, worker: "b", placed: 4, start: 4)
        third.finish = 9
        third.choice = TaskExplanation.Choice(.score, allocator: "load-balanced")
        third.choice?.value = -2
        third.choice?.fallback = "mine.lua:1: too late"
        explanation.attempts = [first, second, third]
        explanation.waits = [TaskExplanation.Wait(from: 0, until: 1)]
        #expect(
            explanation.text == """
                fit: done on b, ran from 4 s to 9 s
                  ready at 0 s
                  0 s to 1 s: waited 1 s
                  1 s: attempt 1: placed on a by load-balanced: the least work so far (0.5 s; next b with 3 s)
                    its data came until 1.25 s
                  2 s: attempt 1 on a was lost with its worker; tried again at once
                  2 s: attempt 2: placed on b by mine.lua: allocate named it
                  3 s: attempt 2 on b failed (error): no\\u{a}way at s.lua:3; tried again from 4 s on
                  4 s: attempt 3: placed on b by load-balanced: the highest score (-2); mine.lua:1: too late
                """)
        #expect(
            explanation.json
                == #"""
                {"task":"fit","state":"done","waits_for":[],"ready":{"time":0},"waits":[{"from":0,"until":1,"ahead":0,"why":[]}],
                "attempts":[{"attempt":1,"worker":"a","placed":1,"start":1.25,"finish":2,"choice":{"allocator":"load-balanced",
                "rule":"least_work","value":0.5,"runner_up":"b","runner_up_value":3,"fitting":2},"ended":"lost","retry_at":2},
                {"attempt":2,"worker":"b","placed":2,"start":2,"finish":3,"choice":{"allocator":"mine.lua","rule":"named",
                "fitting":1},"ended":"error","message":"no\nway","place":"s.lua:3","retry_at":4},
                {"attempt":3,"worker":"b","placed":4,"start":4,"finish":9,"choice":{"allocator":"load-balanced","rule":"score",
                "value":-2,"fitting":1,"fallback":"mine.lua:1: too late"}}]}
                """#.replacingLineEnds)
    }

    @Test func `one that has not begun says what it waits for`() {
        var explanation = TaskExplanation(task: "report")
        explanation.waitsFor =
            (1...9).map { TaskExplanation.Input("load[\($0)]", .waiting) }
            + [TaskExplanation.Input("fetch", .running, since: 0.25, worker: "local", isIndirect: true)]
        let more = (1...8).map { "    load[\($0)], which waits itself\n" }.joined()
        #expect(
            explanation.text == """
                report: waits for what it needs
                  waits for:
                \(more)    and 1 more
                  which wait for:
                    fetch, running on local since 0.25 s
                """)
    }

    @Test func `maps say how their instances stand`() {
        var explanation = TaskExplanation(task: "load", state: .expanded)
        explanation.instances = TaskExplanation.Instances(count: 9)
        explanation.instances?.done = 3
        explanation.instances?.failed = 1
        explanation.instances?.example = "load[4]"
        #expect(
            explanation.text == """
                load: its instances go on
                  9 instances: 3 done, 1 failed, 5 waiting; ask for one of them: explain … 'load[4]'
                """)
        #expect(
            explanation.json
                == #"""
                {"task":"load","state":"expanded","instances":{"count":9,"done":3,"running":0,"failed":1,"skipped":0,
                "example":"load[4]"},"waits_for":[],"waits":[],"attempts":[]}
                """#.replacingLineEnds)
    }
}

extension String {
    /// A JSON text that was broken into lines to be read.
    fileprivate var replacingLineEnds: String { split(separator: "\n").joined() }
}
