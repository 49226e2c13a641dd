import Handout
import Testing

/// `Run.events`: everything that happened, in order.
struct RunEventTests {
    private static let body = """
        local m = g:map("m", { over = { 10, 20 }, retries = 1 }, function(x)
          handout.log("warning", "at %d", x)
          handout.progress(1, "half")
          if x == 20 and handout.task.attempt == 1 then error("again", 0) end
          return x
        end)
        local bad = g:task("bad", { after = m }, function() handout.fail "never" end)
        g:task("lost", { after = bad }, function() end)
        """

    private func events(_ options: RunOptions = options(threads: 1)) async throws -> [Run.Event] {
        let run = try await start(program(RunEventTests.body), options: options)
        // The events wait for their reader.
        _ = try await run.result
        var events: [Run.Event] = []
        for await event in run.events { events.append(event) }
        return events
    }

    @Test func `events come in order, from the first to the last`() async throws {
        let events = try await events()
        #expect(events.map(\.sequence) == Array(1...events.count))
        #expect(events.map(\.time) == events.map(\.time).sorted())
        #expect(events.first?.kind == .runStarted(name: "x", seed: 0))
        #expect(events.dropFirst().first?.kind == .workerJoined(Run.Event.Worker(id: "local", total: ["cpu": 1])))
        guard case .runFinished(false, _) = events.last?.kind else { return #expect(Bool(false), "no end") }
        let kinds = events.map(\.kind)
        #expect(kinds.contains(.mapExpanded(task: "m", count: 2)))
        #expect(kinds.contains(.taskLogged(.init(id: "m[1]", number: 1), .warning, "at 10")))
        #expect(kinds.contains(.taskLogged(.init(id: "m[2]", number: 2), .warning, "at 20")))
        #expect(kinds.contains(.taskProgressed(.init(id: "m[1]", number: 1), 1, "half")))
        #expect(
            kinds.contains(.taskSkipped(task: "lost", .upstream))
                || kinds.contains(.taskSkipped(task: "lost", .cancelled)))
        let failures = kinds.compactMap { if case .taskFailed(let failure) = $0 { failure } else { nil } }
        #expect(failures.map(\.message) == ["again", "never"])
        #expect(failures.map(\.isFinal) == [false, true])
        #expect(failures.map(\.task) == ["m[2]", "bad"])
    }

    @Test func `a task is started before it says something, and ends after`() async throws {
        let events = try await events()
        func first(_ matches: (Run.Event.Kind) -> Bool) -> Int? { events.firstIndex { matches($0.kind) } }
        let started = first { if case .taskStarted(.init(id: "m[1]", number: 1), _, _, _) = $0 { true } else { false } }
        let logged = first { if case .taskLogged(.init(id: "m[1]", number: 1), _, _) = $0 { true } else { false } }
        let ended = first { if case .taskFinished(.init(id: "m[1]", number: 1), _, _, _) = $0 { true } else { false } }
        #expect(try #require(started) < #require(logged))
        #expect(try #require(logged) < #require(ended))
    }

    @Test func `a reader that came first is given them as they happen`() async throws {
        let door = Door()
        var host = HostFunctions()
        host.expose("wait") { _ in
            await door.pass()
            return .null
        }
        let run = try await start(
            program(
                """
                g:task("a", { grant = { host = { "wait" } } }, function()
                  handout.log("info", "here")
                  handout.host.wait()
                end)
                """), options: options(allow: [.host("wait")]), host: host)
        for await event in run.events { if case .taskLogged(_, .info, "here") = event.kind { door.open() } }
        #expect(try await run.result.ok)
    }

    @Test func `reading ends with the task that reads`() async throws {
        let door = Door()
        var host = HostFunctions()
        host.expose("wait") { _ in
            await door.pass()
            return .null
        }
        let run = try await start(
            program("g:task('a', { grant = { host = { 'wait' } } }, function() handout.host.wait() end)"),
            options: options(allow: [.host("wait")]), host: host)
        let reading = Task { for await _ in run.events {} }
        reading.cancel()
        await reading.value
        door.open()
        #expect(try await run.result.ok)
    }

    @Test func `a run that records no events has none`() async throws {
        var options = options()
        options.recordsEvents = false
        #expect(try await events(options).isEmpty)
    }

    @Test func `an event as JSON is what --events writes`() async throws {
        var event = Run.Event(
            sequence: 3, time: 0.5, run: "r",
            kind: .taskStarted(
                .init(id: "a", number: 1), worker: "local", variant: 1, amounts: ["memory": 1024, "cpu": 0.5]))
        #expect(
            event.json
                == #"{"seq":3,"time":0.5,"run":"r","kind":"task_started","task":"a","attempt":1,"worker":"local","variant":1,"#
                + #""amounts":{"cpu":0.5,"memory":1024}}"#)
        event.kind = .taskSkipped(task: "b\"", .when)
        #expect(
            event.json == #"{"seq":3,"time":0.5,"run":"r","kind":"task_skipped","task":"b\"","reason":"when"}"#)
    }
}
