import Handout
import Testing

/// Runs that are paused, and go on.
struct PauseTests {
    /// A task that waits in a function of the program, and ten after it.
    private static let waits = """
        local a = g:task("a", { grant = { host = { "wait" } } }, function() handout.host.wait() return 1 end)
        local list = {}
        for i = 1, 10 do list[i] = g:task("b" .. i, { needs = a }, function(x) return x + i end) end
        g:task("sum", { needs = { list } }, function(l) local s = 0 for i = 1, #l do s = s + l[i] end return s end)
        """

    private func host(_ arrived: Door, _ door: Door) -> HostFunctions {
        var host = HostFunctions()
        host.expose("wait") { _ in
            arrived.open()
            await door.pass()
            return .null
        }
        return host
    }

    private func kinds(_ run: Run) async -> [Run.Event.Kind] {
        var kinds: [Run.Event.Kind] = []
        for await event in run.events { kinds.append(event.kind) }
        return kinds
    }

    @Test func `what runs ends, nothing more starts, and the run goes on from there`() async throws {
        let arrived = Door(), door = Door()
        let run = try await start(
            program(PauseTests.waits), options: options(allow: [.host("wait")]), host: host(arrived, door))
        await arrived.pass()
        run.pause()
        run.pause()
        door.open()
        var kinds: [Run.Event.Kind] = []
        for await event in run.events {
            kinds.append(event.kind)
            if case .taskFinished = event.kind { break }
        }
        #expect(kinds.filter { $0 == .runPaused }.count == 1)
        run.resume()
        run.resume()
        let rest = await self.kinds(run)
        #expect(rest.first == .runResumed)
        #expect(rest.filter { if case .taskStarted = $0 { true } else { false } }.count == 11)
        let result = try await run.result
        #expect(result.ok && result["sum"] == 65)
    }

    @Test func `a paused run can be cancelled, and ends`() async throws {
        let arrived = Door(), door = Door()
        let run = try await start(
            program(PauseTests.waits), options: options(allow: [.host("wait")]), host: host(arrived, door))
        await arrived.pass()
        run.pause()
        run.cancel(.drain)
        door.open()
        let result = try await run.result
        #expect(result.isCancelled && result.tasks.done == 1 && result.tasks.skipped == 11)
    }

    @Test func `what was lent and has not begun is taken back`() async throws {
        let arrived = Door(), door = Door()
        // One thread: its lease may hold more than the task that waits.
        let body = """
            for i = 1, 200 do
              g:task("t" .. i, { grant = { host = { "wait" } } }, function() if i > 50 then handout.host.wait() end return i end)
            end
            """
        let run = try await start(
            program(body), options: options(threads: 1, allow: [.host("wait")]), host: host(arrived, door))
        await arrived.pass()
        run.pause()
        door.open()
        var after = 0
        for await event in run.events {
            if event.kind == .runPaused { after = 1 }
            if case .taskFinished = event.kind, after == 1 { break }
        }
        run.resume()
        let kinds = await kinds(run)
        #expect(kinds.first == .runResumed)
        #expect(try await run.result.tasks.done == 200)
    }

    @Test func `a run that is over is not paused`() async throws {
        let run = try await start(program("g:task('a', function() return 1 end)"), options: options())
        _ = try await run.result
        run.pause()
        run.resume()
        let kinds = await kinds(run)
        #expect(!kinds.contains(.runPaused) && !kinds.contains(.runResumed))
    }
}
