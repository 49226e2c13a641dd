import Glibc
import Synchronization
import Testing

/// Tasks in runner processes.
@Suite struct ProcessTests {
    private let folder = Folder()

    private func run(
        _ body: String, _ arguments: [String] = [], limit: Double = 60,
        whileRunning: ((pid_t, String) -> Void)? = nil
    ) -> Tool.Result {
        folder.write("t.lua", graphScript(body))
        return Tool.run(
            ["run", "t.lua", "--isolation", "process", "--json", "--progress", "none", "--keep-going"] + arguments,
            in: folder, limit: limit, whileRunning: whileRunning)
    }

    /// A task that says that it runs, and waits for a file.
    private let waiting = """
        local function wait() handout.log("info", "runs") while not handout.fs.exists("go") do end end
        """

    /// Children of a process that are runners.
    private static func runners(of process: pid_t) -> [pid_t] {
        var found: [pid_t] = []
        for thread in names(in: "/proc/\(process)/task") {
            let text = String(
                decoding: contents(of: "/proc/\(process)/task/\(thread)/children") ?? [], as: UTF8.self)
            found += text.split(separator: " ").compactMap { pid_t($0) }.filter {
                String(decoding: contents(of: "/proc/\($0)/comm") ?? [], as: UTF8.self) == "handout-runner\n"
            }
        }
        return found
    }

    private static func names(in path: String) -> [String] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    @Test func `what cannot be stopped is killed, and the run goes on`() {
        let result = run(
            """
            g:task("a", function() return 1 end)
            g:task("b", { timeout = "100ms" }, function() return (("a"):rep(100)):find(("a*"):rep(40) .. "b") end)
            for i = 1, 50 do g:task("c" .. i, function() return i end) end
            """, ["-j", "1"])
        #expect(result.status == 1)
        #expect(result.json?["outputs"]?["c50"] == .integer(50))
        #expect(result.json?["tasks"] == JSON("{\"done\":51,\"failed\":1,\"skipped\":0,\"cached\":0}"))
        let failure = result.json?["failures"]?[0]
        #expect(failure?["kind"]?.string == "timeout" && failure?["task"]?.string == "b")
        #expect(failure?["message"]?.string == "timeout of 0.1 s reached")
        #expect(failure?["line"]?.integer == 5)
    }

    @Test func `a runner that is gone costs the attempt that ran, which is tried again`() {
        var killed = 0
        let result = run(
            """
            \(waiting)
            local first = g:task("first", { retries = 1 }, function() wait() return handout.task.attempt end)
            for i = 1, 20 do g:task("t" .. i, function() return i end) end
            g:task("late", { needs = { first } }, function(x) return x * 10 end)
            """, ["-j", "1"]
        ) { process, text in
            guard killed == 0, text.contains("first: runs\n") else { return }
            for runner in ProcessTests.runners(of: process) {
                killed += 1
                kill(runner, SIGKILL)
            }
            folder.write("go", "")
        }
        #expect(killed == 1)
        #expect(result.status == 0, "\(result.errorText)")
        #expect(result.json?["outputs"]?["late"] == .integer(20))
        #expect(result.json?["tasks"] == JSON("{\"done\":22,\"failed\":0,\"skipped\":0,\"cached\":0}"))
    }

    @Test func `a runner has what it needs and no more`() {
        var seen = ""
        let result = run(
            "\(waiting)\ng:task('a', wait)",
            ["-j", "1", "-A"]
        ) { process, text in
            guard seen.isEmpty, text.contains("a: runs\n"), let runner = ProcessTests.runners(of: process).first else {
                return
            }
            let status = String(decoding: contents(of: "/proc/\(runner)/status") ?? [], as: UTF8.self)
            let lines = status.split(separator: "\n").map { $0.split(separator: "\t").joined(separator: " ") }
            seen = lines.filter { $0.hasPrefix("NoNewPrivs") || $0.hasPrefix("Seccomp:") }.joined(separator: " ")
            seen += " open " + ProcessTests.names(in: "/proc/\(runner)/fd").sorted().joined(separator: " ")
            let environment = contents(of: "/proc/\(runner)/environ") ?? []
            seen += " " + environment.split(separator: 0).map { String(decoding: $0.prefix(3), as: UTF8.self) }.joined()
            folder.write("go", "")
        }
        #expect(result.status == 0, "\(result.errorText)")
        if !Tool.isSanitized { #expect(seen == "NoNewPrivs: 1 Seccomp: 2 open 0 2 TZ=") }
    }

    @Test func `a task can ask for it`() {
        folder.write("t.lua", graphScript("\(waiting)\ng:task('a', { isolation = 'process' }, wait)"))
        var count = -1
        let result = Tool.run(["run", "t.lua", "--progress", "none"], in: folder) { process, text in
            guard count < 0, text.contains("a: runs\n") else { return }
            count = ProcessTests.runners(of: process).count
            folder.write("go", "")
        }
        #expect(result.status == 0 && count > 0, "\(result.errorText)")
    }

    @Test(arguments: [SIGINT, SIGKILL])
    func `runners end with the program`(signal: Int32) {
        var runners: [pid_t] = []
        let result = run(
            "\(waiting)\nfor i = 1, 2 do g:task('a' .. i, function() wait() end) end", ["-j", "2"]
        ) { process, text in
            guard runners.isEmpty, text.contains("a1: runs\n"), text.contains("a2: runs\n") else { return }
            runners = ProcessTests.runners(of: process)
            kill(process, signal)
            if signal == SIGINT {
                usleep(300_000)
                kill(process, signal)
            }
        }
        #expect(runners.count == 2)
        #expect(signal == SIGKILL ? result.signal == SIGKILL : result.status == 130)
        for _ in 0..<100 where runners.contains(where: { kill($0, 0) == 0 }) { usleep(50_000) }
        for runner in runners { #expect(kill(runner, 0) != 0, "\(runner) goes on") }
    }

    @Test func `measures, conditions, selections, substitutes and inline tasks are computed in the runner`() {
        let result = run(
            """
            local list = g:task("list", function() return { 3, 4 } end)
            local twice = g:task("twice", { needs = { list }, inline = true }, function(l) return { l[1] * 2, l[2] * 2 } end)
            local m = g:map("m", { over = twice, memory = function(inputs) return inputs[1] * 1000000 end },
              function(x) return { x, handout.task.amounts.memory } end)
            local yes = g:when("yes", { needs = { list } }, function(l) return l[1] == 3 end)
            g:task("then", { when = yes }, function() return "yes" end)
            g:task("at", { needs = { m:at(2) } }, function(v) return v end)
            g:task("saved", { recover = function(failure) return failure.kind end }, function() error("x") end)
            """)
        #expect(result.status == 0, "\(result.errorText)")
        #expect(result.json?["outputs"]?["then"] == .string("yes"))
        #expect(result.json?["outputs"]?["at"] == JSON("[8,8000000]"))
        #expect(result.json?["outputs"]?["saved"] == .string("error"))
    }

    @Test func `results of all sizes come back whole, and large ones go`() {
        let result = run(
            """
            local sizes = { 0, 1, 7, 8, 9, 100, 511, 512, 513, 65535, 65536, 1000000, 30000000 }
            local m = g:map("m", { over = sizes }, function(n) return { (("ab"):rep(n // 2 + 1)):sub(1, n) } end)
            g:map("n", { over = m }, function(v) return #v[1] end)
            """)
        #expect(
            result.json?["outputs"]?["n"] == JSON("[0,1,7,8,9,100,511,512,513,65535,65536,1000000,30000000]"),
            "\(result.errorText)")
    }

    /// Of one in ten tasks the attempt crashes, hangs in Lua or C, eats memory or fails; meanwhile runners are killed. More with
    /// `HANDOUT_SOAK=1`.
    @Test func `much that goes wrong leaves the rest right`() throws {
        let count = getenv("HANDOUT_SOAK") == nil ? 1000 : 10_000
        var state: UInt64 = 7
        var kills = 0
        var mostDescriptors = 0
        let result = run(
            """
            local list = {}
            for i = 1, \(count) do list[i] = i end
            local function fail(how)
              if how == 0 then while true do end end
              if how == 1 then return (("a"):rep(100)):find(("a*"):rep(40) .. "b") end
              if how == 2 then local t = {} while true do t[#t + 1] = ("x"):rep(100000) .. #t end end
              if how == 3 then error("wrong") end
              return function() end
            end
            local function work(i) local s = 0 for k = 1, 20000 do s = s + k % i end return s end
            g:map("good", { over = list, retries = 100 }, function(i) return work(i) end)
            g:map("bad", { over = list, timeout = "20ms", memory = "8MiB", optional = true }, function(i)
              if i % 10 == 0 then return fail(i // 10 % 5) end
              return i
            end)
            """, ["-j", "4"], limit: 400
        ) { process, text in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let runners = ProcessTests.runners(of: process)
            mostDescriptors = max(mostDescriptors, ProcessTests.names(in: "/proc/\(process)/fd").count)
            guard !runners.isEmpty, kills < 40 else { return }
            kills += 1
            kill(runners[Int(state >> 33) % runners.count], SIGKILL)
        }
        #expect(result.signal == 0 && !result.isKilled)
        let good = try #require(result.json?["outputs"]?["good"]?.elements, "\(result.errorText)")
        #expect(good.count == count)
        for (index, value) in good.enumerated() {
            let i = index + 1
            #expect(value == .integer((1...20000).reduce(0) { $0 + $1 % i }), "good[\(i)]")
        }
        let failures = result.json?["failures"]?.elements ?? []
        #expect(!failures.contains { $0["task"]?.string?.hasPrefix("good") ?? false })
        #expect(kills > 5 && mostDescriptors < 60, "\(kills) kills, \(mostDescriptors) descriptors")
        let kinds = Set(failures.compactMap { $0["kind"]?.string })
        // A sanitizer is too slow to eat memory before the deadline.
        let expected = ["timeout", "error", "result"] + (Tool.isSanitized ? [] : ["memory"])
        #expect(kinds.isSuperset(of: expected), "\(kinds)")
        #expect(ProcessTests.names(in: folder.path) == ["t.lua"])
    }

    @Test func `what the runner cannot be is said`() {
        let missing = Folder()
        missing.write("t.lua", graphScript("g:task('a', { isolation = 'process' }, f)"))
        // A copy of the program has no runner beside it.
        let copy = missing.path + "/handout-lua"
        #expect(Tool.run([Tool.path, copy], in: missing, program: "/bin/cp").status == 0)
        let asked = Tool.run(["run", "t.lua"], in: missing, program: copy)
        #expect(asked.status == 2)
        let text = "there is no program '\(missing.path)/handout-runner' ('swift build' makes it)\n"
        #expect(asked.errorText == "t.lua:4: task 'a': option 'isolation': " + text)
        let all = Tool.run(["run", "t.lua", "--isolation", "process"], in: missing, program: copy)
        #expect(all.status == 2)
        #expect(all.errorText == "process isolation: " + text)
        // By a child: what this process has open for writing, a child of another test may have for a moment, too.
        let script = "printf '#!/bin/sh\nexit 3\n' >handout-runner && chmod +x handout-runner"
        #expect(Tool.run(["-c", script], in: missing, program: "/bin/sh").status == 0)
        let ended = Tool.run(["run", "t.lua", "--progress", "none"], in: missing, program: copy)
        #expect(ended.status == 1)
        #expect(
            ended.errorText.hasPrefix(
                "t.lua:4: task 'a' failed (crash): the runner '\(missing.path)/handout-runner' ended when it was started "
                    + "(status 3)\n"), "\(ended.errorText)")
    }
}
