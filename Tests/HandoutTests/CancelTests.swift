import Handout
import Testing

/// Runs that end early.
struct CancelTests {
    /// A task that waits in a function of the program, and one after it.
    private static let waits = """
        local a = g:task("a", { grant = { host = { "wait" } } }, function() handout.host.wait() return 1 end)
        g:task("b", { needs = a }, function() return 2 end)
        """

    private func host(_ arrived: Door, _ door: Door) -> HostFunctions {
        var host = HostFunctions()
        host.expose("wait") { _ in
            arrived.open()
            try await door.passOrThrow()
            return .null
        }
        return host
    }

    @Test func `drain lets what runs end, and starts nothing more`() async throws {
        let arrived = Door(), door = Door()
        let run = try await start(
            program(CancelTests.waits), options: options(allow: [.host("wait")]), host: host(arrived, door))
        await arrived.pass()
        run.cancel(.drain)
        door.open()
        let result = try await run.result
        #expect(!result.ok && result.isCancelled && result.failures.isEmpty)
        #expect(result.tasks == .init(done: 1, failed: 0, skipped: 1, cached: 0))
    }

    @Test func `now ends a function that waits, and the attempt`() async throws {
        let arrived = Door()
        let run = try await start(
            program(CancelTests.waits), options: options(allow: [.host("wait")]), host: host(arrived, Door()))
        await arrived.pass()
        run.cancel(.now)
        let result = try await run.result
        #expect(!result.ok && result.isCancelled)
        #expect(result.tasks.done == 0)
        #expect(result.outputs == ["b": nil])
    }

    @Test func `now ends Lua code that never would`() async throws {
        let run = try await start(program("g:task('a', function() while true do end end)"), options: options())
        for await event in run.events { if case .taskStarted = event.kind { run.cancel(.now) } }
        #expect(try await run.result.isCancelled)
    }

    @Test func `a failure ends the functions that wait`() async throws {
        let arrived = Door()
        var host = host(arrived, Door())
        host.expose("arrived") { _ in
            await arrived.pass()
            return .null
        }
        let result = try await start(
            program(
                CancelTests.waits + """

                    g:task("c", { grant = { host = { "arrived" } } }, function() handout.host.arrived() error "no" end)
                    """), options: options(allow: [.host("wait"), .host("arrived")]), host: host
        ).result
        #expect(result.failures.map(\.task) == ["c"])
        #expect(!result.isCancelled)
    }

    @Test func `a cancelled Swift task that awaits the result cancels the run`() async throws {
        let arrived = Door()
        let run = try await start(
            program(CancelTests.waits), options: options(allow: [.host("wait")]), host: host(arrived, Door()))
        let awaiting = Task { try await run.result }
        await arrived.pass()
        awaiting.cancel()
        await #expect(throws: CancellationError.self) { try await awaiting.value }
        #expect(try await run.result.isCancelled)
    }

    @Test func `a task group takes its run with it`() async throws {
        let arrived = Door()
        let run = try await start(
            program(CancelTests.waits), options: options(allow: [.host("wait")]), host: host(arrived, Door()))
        await withTaskGroup { group in
            group.addTask { _ = try? await run.result }
            await arrived.pass()
            group.cancelAll()
        }
        #expect(try await run.result.isCancelled)
    }

    @Test func `nothing is started by a task that was cancelled before`() async throws {
        let door = Door()
        let starting = Task {
            await door.pass()
            return try await start(program("g:task('a', function() end)"))
        }
        starting.cancel()
        door.open()
        await #expect(throws: CancellationError.self) { try await starting.value }
    }
}
