import Handout
import Testing

/// `handout.host`: functions of the program that tasks call.
struct HostTests {
    private static let call = """
        g:task("t", { grant = { host = { "f", "g" } }, retries = 1 }, function() return handout.host.f(1, "a", nil, { x = 2.5 }) end)
        """

    private func run(
        _ body: String = HostTests.call, allow: Set<RunOptions.Permission> = [.host("f"), .host("g")],
        host: HostFunctions
    ) async throws -> RunResult {
        try await start(program(body), options: options(allow: allow), host: host).result
    }

    @Test func `arguments and results are plain data`() async throws {
        var host = HostFunctions()
        host.expose("f") { arguments in .list([.integer(arguments.count), arguments[1], arguments[3]]) }
        let result = try await run(host: host)
        #expect(result["t"] == [4, "a", ["x": 2.5]])
        #expect(result.ok)
    }

    @Test func `a function of the host may be captured, and so may all of them`() async throws {
        var host = HostFunctions()
        host.expose("f") { arguments in .integer(arguments.count) }
        let result = try await run(
            """
            local f, host = handout.host.f, handout.host
            local function both(...) return f(...) + host.f(...) end
            g:task("t", { grant = { host = { "f" } } }, function() return both(1, 2) end)
            """, host: host)
        #expect(result["t"] == 4)
        #expect(result.failures.map(\.message) == [])
    }

    @Test func `a function may wait, more often than there are threads of Swift's`() async throws {
        var host = HostFunctions()
        host.expose("f") { arguments in
            for _ in 0..<3 { await Task.yield() }
            return arguments[0]
        }
        let result = try await start(
            program(
                """
                local list = {}
                for i = 1, 200 do list[i] = i end
                g:map("m", { over = list, cpu = 0, grant = { host = { "f" } } }, function(x) return handout.host.f(x) end)
                """), options: options(threads: 32, allow: [.host("f")]), host: host
        ).result
        #expect(result["m"] == .list((1...200).map { .integer($0) }))
    }

    @Test func `what it throws is an error of the task, with its name`() async throws {
        var host = HostFunctions()
        host.expose("f") { _ in throw HostError("no such image") }
        let result = try await run(host: host)
        let failure = try #require(result.failures.first)
        #expect(failure.message == "t.lua:3: host.f: no such image")
        #expect(failure.kind == .error && failure.attempt == 2 && failure.line == 3 && failure.file == "t.lua")
    }

    @Test func `a script may catch what it throws`() async throws {
        var host = HostFunctions()
        host.expose("f") { _ async throws in throw HostError("no") }
        let result = try await run(
            """
            g:task("t", { grant = { host = { "f" } } }, function() return select(2, pcall(handout.host.f)) end)
            """, host: host)
        #expect(result["t"] == "host.f: no")
    }

    @Test func `a result that Lua cannot hold is an error`() async throws {
        var host = HostFunctions()
        host.expose("f") { _ in [1, .null] }
        #expect(
            try await run(host: host).failures.map(\.message) == [
                "t.lua:3: host.f: the result cannot be handed to Lua: value[2]: a list has no nil"
            ])
    }

    @Test func `an argument that is no plain data is an error`() async throws {
        var host = HostFunctions()
        host.expose("f") { _ in .null }
        let result = try await run(
            "g:task('t', { grant = { host = { 'f' } } }, function() return handout.host.f(1, { a = print }) end)",
            host: host)
        #expect(result.failures.map(\.message) == ["host.f: argument 2.a: a function cannot leave its task"])
    }

    @Test func `a task that was not granted the function may not call it, and is not tried again`() async throws {
        var host = HostFunctions()
        host.expose("f") { _ in true }
        let result = try await run("g:task('t', { retries = 3 }, function() return handout.host.f() end)", host: host)
        #expect(
            result.failures.map(\.message) == [
                "t.lua:3: host: 'f' is not granted: the task asks for it with grant = { host = { \"f\" } }"
            ])
        #expect(result.failures.map(\.attempt) == [1])
    }

    @Test func `a script that asks for more than the run allows is refused`() async throws {
        func problems(_ allow: Set<RunOptions.Permission>) async throws -> [String] {
            let error = await #expect(throws: ScriptError.self) { try await run(allow: allow, host: HostFunctions()) }
            #expect(error?.code == "grant")
            return error?.problems.map(\.description) ?? []
        }
        let ask = ["f", "g"].map { "t.lua:3: task 't' asks for host '\($0)', which this run does not allow" }
        #expect(try await problems([]) == ask)
        #expect(try await problems([.host("g"), .read("f"), .readDirectory]) == [ask[0]])
    }

    @Test func `a run that allows everything allows this too`() async throws {
        var host = HostFunctions()
        host.expose("f") { _ in 7 }
        #expect(try await run(allow: [.everything], host: host)["t"] == 7)
    }

    @Test func `a function that is not there is said with those that are`() async throws {
        var host = HostFunctions()
        host.expose("b") { _ in true }
        host.expose("a") { _ in true }
        #expect(
            try await run(host: host).failures.map(\.message) == [
                "t.lua:3: host: no function 'f' (the program exposes: a, b)"
            ])
        #expect(
            try await run(host: HostFunctions()).failures.map(\.message) == [
                "t.lua:3: host: no function 'f' (the program exposes none)"
            ])
    }

    @Test func `the script itself cannot call it while it is planned`() async throws {
        var host = HostFunctions()
        host.expose("f") { _ in true }
        await #expect(throws: ScriptError.self) { try await run("handout.host.f()", host: host) }
    }

    @Test func `a deadline that passes while a function waits ends the attempt when it returns`() async throws {
        let door = Door()
        var host = HostFunctions()
        host.expose("f") { _ in
            await door.pass()
            return true
        }
        host.expose("g") { _ in
            door.open()
            return true
        }
        // The second task takes longer than the grace time after which code that cannot be stopped ends a run.
        let result = try await run(
            """
            g:task("t", { timeout = "20ms", cpu = 0, grant = { host = { "f" } } }, function() handout.host.f() return 1 end)
            g:task("u", { cpu = 0, grant = { host = { "g" } } }, function()
              local begun = os.clock()
              while os.clock() - begun < 0.7 do end
              handout.host.g()
            end)
            """, host: host)
        #expect(result.failures.map(\.kind) == [.timeout])
        #expect(result.failures.map(\.message) == ["timeout of 0.02 s reached"])
        #expect(!result.isAbandoned)
    }
}
