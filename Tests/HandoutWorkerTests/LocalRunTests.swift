import Glibc
import LuaRuntime
import Synchronization
import Testing

@Suite struct LocalRunTests {
    @Test func `a pool started from an async main stops a loop at its deadline`() async throws {
        await Task.yield()
        let blocked = try await signalMask()
        let outcome = try Script(body: "g:task(\"t\", { timeout = 0.1 }, function() while true do end end)").run(
            slots: 1)
        #expect(outcome.failures == ["t 1 timeout: timeout of 0.1 s reached"])
        #expect(outcome.seconds < 2)
        #expect(try await signalMask() == blocked)
    }

    /// A thread that runs Swift's async code has almost every signal blocked.
    private func signalMask() async throws -> [UInt8] {
        var mask = sigset_t()
        pthread_sigmask(SIG_BLOCK, nil, &mask)
        return withUnsafeBytes(of: mask) { Array($0.prefix(8)) }
    }

    @Test func `many runs at once in one process keep their deadlines and values apart`() async throws {
        try await withThrowingTaskGroup(of: Script.Outcome.self) { group in
            for number in 0..<8 {
                group.addTask {
                    try Script(
                        body: """
                            g:task("late", { timeout = 0.05 }, function() while true do end end)
                            local all = {}
                            for i = 1, 100 do all[i] = g:task("t" .. i, function() return i * \(number) end) end
                            g:task("sum", { needs = { all } }, function(l) local s = 0 for _, v in ipairs(l) do s = s + v end return s end)
                            """
                    ).run(slots: 2)
                }
            }
            var sums: [String] = []
            for try await outcome in group {
                #expect(outcome.failures == ["late 1 timeout: timeout of 0.05 s reached"])
                sums.append(outcome.outputs["sum"] ?? "")
            }
            #expect(sums.sorted() == (0..<8).map { "\($0 * 5050)" }.sorted())
        }
    }

    @Test func `one plan runs many times, at once too`() async throws {
        let script = Script(
            body: "for i = 1, 20 do g:task(\"t\" .. i, function() return { i, handout.task.id } end) end")
        let plan = try script.plan()
        let first = try script.run(slots: 2, plan)
        try await withThrowingTaskGroup(of: Script.Outcome.self) { group in
            for slots in 1...4 { group.addTask { try script.run(slots: slots, plan) } }
            for try await outcome in group { #expect(outcome == first) }
        }
    }

    @Test func `a child spawned from a pool thread with the documented attribute has an empty signal mask`() throws {
        let output = Mutex<String>("")
        let thread = try NativeThread {
            let text = spawnedStatus()
            output.withLock { $0 = text }
        }
        thread.join()
        #expect(
            output.withLock { $0 }.split(separator: "\n").first { $0.hasPrefix("SigBlk") }
                == "SigBlk:\t0000000000000000")
    }

    @Test func `a pool thread has the signals of a process blocked, and those of faults open`() throws {
        let found = Mutex<[Bool]>([])
        let thread = try NativeThread {
            var mask = sigset_t()
            pthread_sigmask(SIG_BLOCK, nil, &mask)
            let blocked = [SIGINT, SIGTERM, SIGHUP, SIGSEGV, SIGBUS, SIGFPE].map { sigismember(&mask, $0) == 1 }
            found.withLock { $0 = blocked }
        }
        thread.join()
        #expect(found.withLock { $0 } == [true, true, true, false, false, false])
    }
}

/// What `/proc/self/status` says in a child, spawned as `limits.c` asks of whoever spawns from a pool thread.
private func spawnedStatus() -> String {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { return "" }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    posix_spawn_file_actions_addclose(&actions, ends[0])
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var words: [UnsafeMutablePointer<CChar>?] = [strdup("cat"), strdup("/proc/self/status"), nil]
    var process: pid_t = 0
    let status = posix_spawn(&process, "/bin/cat", &actions, &attributes, &words, nil)
    for word in words { free(word) }
    posix_spawn_file_actions_destroy(&actions)
    posix_spawnattr_destroy(&attributes)
    close(ends[1])
    defer { close(ends[0]) }
    guard status == 0 else { return "" }
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = read(ends[0], &buffer, buffer.count)
        if count <= 0 { break }
        text += buffer.prefix(count)
    }
    var result: Int32 = 0
    waitpid(process, &result, 0)
    return String(decoding: text, as: UTF8.self)
}
