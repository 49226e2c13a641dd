import Glibc
import Handout
import Synchronization
import Testing

/// Runs that share threads and memory.
struct SharedWorkersTests {
    /// So many tasks of some milliseconds of computing.
    private func busy(_ count: Int, weight: Int, milliseconds: Int = 2) throws -> Program {
        try Program(
            source: """
                local handout = require "handout"
                local g = handout.graph { name = "x", weight = \(weight) }
                for i = 1, \(count) do
                  g:task("t" .. i, function()
                    local begun = os.clock()
                    while os.clock() - begun < \(milliseconds) / 1000 do end
                  end)
                end
                return g
                """, name: "t.lua")
    }

    private func options(_ workers: SharedWorkers, allow: Set<RunOptions.Permission> = []) -> RunOptions {
        var options = RunOptions()
        options.workers = .shared(workers)
        options.allow = allow
        return options
    }

    @Test(arguments: [(3, 1), (1, 3)])
    func `runs beside each other both go on`(weights: (Int, Int)) async throws {
        let workers = SharedWorkers(threads: 1)
        let begun = Door()
        var host = HostFunctions()
        host.expose("begun") { _ in
            begun.open()
            return .null
        }
        // Takes no time of the machine: other tests may keep this one from going on for minutes.
        host.expose("rest") { _ in
            usleep(40_000)
            return .null
        }
        let program = try Program(
            source: """
                local handout = require "handout"
                local g = handout.graph { name = "endless", weight = \(weights.0), grant = { host = { "begun", "rest" } } }
                local first = g:task("first", function() handout.host.begun() end)
                for i = 1, 100000 do g:task("t" .. i, { after = first }, function() handout.host.rest() end) end
                return g
                """, name: "t.lua")
        let endless = try await start(
            program, options: options(workers, allow: [.host("begun"), .host("rest")]), host: host)
        await begun.pass()
        // It ends while the other, which would take an hour, has something to do; and that goes on.
        #expect(try await start(busy(50, weight: weights.1), options: options(workers)).result.tasks.done == 50)
        endless.cancel(.drain)
        let rest = try await endless.result.tasks
        #expect(rest.done > 0 && rest.skipped > 0)
    }

    @Test func `what one run leaves over the other has`() async throws {
        let workers = SharedWorkers(threads: 2)
        let door = Door(), arrived = Door()
        var host = HostFunctions()
        host.expose("wait") { _ in
            arrived.open()
            await door.pass()
            return .null
        }
        let waiting = try await start(
            program("g:task('a', { grant = { host = { 'wait' } } }, function() handout.host.wait() end)"),
            options: options(workers, allow: [.host("wait")]), host: host)
        await arrived.pass()
        #expect(try await start(busy(50, weight: 1), options: options(workers)).result.tasks.done == 50)
        door.open()
        #expect(try await waiting.result.ok)
    }

    @Test func `never more is held than there is, of cores and of memory, and wide tasks have their turn`() async throws
    {
        struct Held {
            var cores = 0
            var gigabytes = 0
            var most = (cores: 0, gigabytes: 0)
        }
        let held = Mutex(Held())
        var host = HostFunctions()
        host.expose("hold") { arguments in
            let cores = arguments.first?.integerValue ?? 0, gigabytes = arguments.last?.integerValue ?? 0
            held.withLock { held in
                held.cores += cores
                held.gigabytes += gigabytes
                held.most = (max(held.most.cores, held.cores), max(held.most.gigabytes, held.gigabytes))
            }
            try? await Task.sleep(for: .milliseconds(2))
            held.withLock {
                $0.cores -= cores
                $0.gigabytes -= gigabytes
            }
            return .null
        }
        let workers = SharedWorkers(threads: 3, memory: 4 << 30)
        func program(_ cores: Int, _ gigabytes: Int) throws -> Program {
            try HandoutTests.program(
                """
                for i = 1, 40 do
                  g:task("t" .. i, { cpu = \(cores), memory = "\(gigabytes)GiB", grant = { host = { "hold" } } },
                    function() handout.host.hold(\(cores), \(gigabytes)) end)
                end
                """)
        }
        let runs = [
            try await start(program(1, 1), options: options(workers, allow: [.host("hold")]), host: host),
            try await start(program(3, 1), options: options(workers, allow: [.host("hold")]), host: host),
            try await start(program(1, 3), options: options(workers, allow: [.host("hold")]), host: host),
        ]
        for run in runs { #expect(try await run.result.tasks.done == 40) }
        let most = held.withLock { $0.most }
        #expect(most.cores == 3 && (3...4).contains(most.gigabytes))
    }

    @Test func `a task that needs more than is shared is refused`() async throws {
        let workers = SharedWorkers(threads: 1, memory: 1 << 30)
        await #expect {
            _ = try await start(
                program("g:task('a', { memory = '2GiB' }, function() end)"), options: options(workers))
        } throws: { error in
            "\(error)".contains("task 'a'") && "\(error)".contains("memory")
        }
    }

    @Test func `many runs that begin and end share two threads`() async throws {
        let workers = SharedWorkers(threads: 2)
        try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 1...12 {
                group.addTask {
                    let run = try await start(
                        busy(20, weight: number, milliseconds: 1), options: options(workers))
                    if number % 4 == 0 { run.cancel(.now) }
                    return try await run.result.tasks.done
                }
            }
            var done: [Int] = []
            for try await count in group { done.append(count) }
            #expect(done.filter { $0 == 20 }.count >= 9)
        }
    }
}
