import Glibc
import Handout
import Testing

/// Whole runs by way of the public interface.
struct RunTests {
    @Test func `parameters, inputs and modules reach the script, and outputs come back`() async throws {
        let result = try await start(
            program(
                """
                local day = handout.param { name = "day", type = "string" }
                local acme = require "acme"
                local n = g:input("n")
                g:output("day", g:task("a", function() return { day = day, customers = acme.customers } end))
                g:output("double", g:task("b", { needs = n }, function(n) return 2 * n end))
                g:output("nothing", g:task("c", function() end))
                """, parameters: ["day": "2026-11-22"], inputs: ["n": 21],
                modules: ["acme": "return { customers = { 'a', 'b' } }"]), options: options()
        ).result
        #expect(result.ok && result.failures.isEmpty)
        #expect(result["day"] == ["day": "2026-11-22", "customers": ["a", "b"]])
        #expect(result["double"] == 42)
        #expect(result["nothing"] == .null)
        #expect(result["no such output"] == nil)
        #expect(result.tasks == .init(done: 3, failed: 0, skipped: 0, cached: 0))
    }

    @Test func `a failed run says what failed, and what is absent`() async throws {
        var options = options()
        options.keepGoing = true
        let result = try await start(
            program(
                """
                local bad = g:task("bad", function() error("no") end)
                g:task("lost", { needs = bad }, function() end)
                g:task("good", function() return 1 end)
                """), options: options
        ).result
        #expect(!result.ok && !result.isCancelled)
        #expect(result.outputs == ["lost": nil, "good": 1])
        #expect(result.failures.map(\.description) == ["t.lua:3: task 'bad' failed (error): t.lua:3: no"])
        #expect(result.tasks == .init(done: 1, failed: 1, skipped: 1, cached: 0))
    }

    @Test func `a refused script says all its problems`() async throws {
        let program = try program("g:task('a', { memry = 1 }, function() end)\ng:task('a', function() end)")
        let error = await #expect(throws: ScriptError.self) { try await start(program) }
        #expect(error?.problems.map(\.code) == ["option", "duplicate"])
        #expect(error?.problems.map(\.line) == [3, 4])
        #expect(error?.file == "t.lua" && error?.line == 3 && error?.code == "option")
        #expect(error?.message == "task 'a': unknown option 'memry' (did you mean 'memory'?)")
    }

    @Test func `parameters, targets, modules, files and folders that are not there are refused`() async throws {
        func code(_ body: String, _ parameters: [String: Value] = [:], targets: [String] = []) async -> String {
            var chosen = options()
            chosen.targets = targets
            do {
                _ = try await start(program(body, parameters: parameters), options: chosen)
                return "started"
            } catch { return (error as? ScriptError)?.message ?? "\(error)" }
        }
        #expect(await code("g:task('a', function() end)", ["x": 1]) == "parameter 'x' is not one of the script's")
        #expect(
            await code("g:task('a', function() end)", targets: ["b"])
                == "target 'b': no output or task of that name (did you mean 'a'?)")
        #expect(await code("require 'acme'").hasPrefix("module 'acme' not found"))
        #expect(throws: ScriptError.self) { try Program(path: "/no/such/script.lua") }
        var elsewhere = RunOptions()
        elsewhere.directory = "/no/such/folder"
        let error = await #expect(throws: RunError.self) { try await start(program(""), options: elsewhere) }
        #expect(error?.message == "directory '/no/such/folder': No such file or directory")
    }

    @Test func `limits of planning hold`() async throws {
        var options = options()
        options.limits = Limits(planningTime: .milliseconds(50))
        let error = await #expect(throws: ScriptError.self) {
            try await start(program("while true do end"), options: options)
        }
        #expect(error?.code == "timeout")
    }

    @Test func `a program may be started again, at the same time too`() async throws {
        let program = try program(
            """
            local acme = require "acme"
            local list = {}
            for i = 1, 100 do list[i] = i end
            g:reduce("sum", { over = g:map("m", { over = list }, function(x) return x * acme end) }, function(list)
              local sum = 0
              for _, x in ipairs(list) do sum = sum + x end
              return sum
            end)
            """, modules: ["acme": "return 2"])
        async let first = start(program, options: options())
        async let second = start(program, options: options())
        let runs = try await [first, second]
        #expect(runs[0].id != runs[1].id)
        for run in runs { #expect(try await run.result["sum"] == 10_100) }
    }

    @Test func `what the script prints while it is planned is handed over`() async throws {
        let lines = Lines()
        var options = options()
        options.print = { lines.append($0) }
        _ = try await start(program("print('hello', 1)\ng:task('a', function() end)"), options: options).result
        #expect(lines.all == ["hello\t1"])
    }

    @Test func `files are read only where the run allows it`() async throws {
        func script(_ body: String) throws -> Program { try HandoutTests.program(body) }
        let program = try script("g:task('t', { retries = 1 }, function() return #handout.fs.read('hostname') end)")
        var options = options()
        options.directory = "/etc"
        let refused = try await start(program, options: options).result
        #expect(
            refused.failures.map(\.message) == [
                "t.lua:3: fs.read: 'hostname' is not granted: the task asks for it with grant = { read = { \"hostname\" } }"
            ])
        #expect(refused.failures.map(\.attempt) == [1])
        options.allow = [.readDirectory]
        #expect(try await start(program, options: options).result["t"]?.integerValue != nil)
        options.allow = [.read("hostname")]
        let asking =
            "g:task('t', { grant = { read = { 'hostname' } } }, function() return #handout.fs.read('hostname') end)"
        #expect(try await start(script(asking), options: options).result["t"]?.integerValue != nil)
        options.allow = [.read("hosts")]
        let error = await #expect(throws: ScriptError.self) { try await start(script(asking), options: options) }
        #expect(error?.message == "task 't' asks for read 'hostname', which this run does not allow")
    }

    @Test func `a script reads files while it is planned only where the run allows it`() async throws {
        let program = try program("local text = handout.read('hostname')\ng:task('t', function() return #text end)")
        var options = options()
        options.directory = "/etc"
        let error = await #expect(throws: ScriptError.self) { try await start(program, options: options) }
        #expect(error?.message == "read: there is no run directory")
        options.allow = [.readDirectory]
        #expect(try await start(program, options: options).result["t"]?.integerValue != nil)
    }

    @Test func `secrets are given by name, and never shown`() async throws {
        var options = options()
        options.secrets = ["TOKEN": "s3cret"]
        let run = try await start(
            program(
                """
                g:task("t", { grant = { env = { "TOKEN" } } }, function()
                  handout.log("info", "with %s", handout.env "TOKEN")
                  return #handout.env "TOKEN"
                end)
                """), options: options)
        var lines: [String] = []
        for await event in run.events { if case .taskLogged(_, _, let text) = event.kind { lines.append(text) } }
        #expect(lines == ["with ***"])
        #expect(try await run.result["t"] == 6)
    }

    @Test func `only the deadline signal's disposition is changed`() async throws {
        let before = RunTests.dispositions()
        _ = try await start(program("g:task('a', { timeout = '5s' }, function() return 1 end)")).result
        #expect(RunTests.dispositions() == before)
        // It was chosen by the first run of this process.
        var options = RunOptions()
        options.deadlineSignal = .number(SIGUSR2)
        let error = await #expect(throws: RunError.self) { try await start(program(""), options: options) }
        #expect(error?.code == .signal)
    }

    /// The addresses of all signals' handlers but SIGURG's.
    private static func dispositions() -> [Int: Int] {
        var dispositions: [Int: Int] = [:]
        for number in 1..<32 where Int32(number) != SIGURG {
            var action = sigaction()
            sigaction(Int32(number), nil, &action)
            dispositions[number] = unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
        }
        return dispositions
    }
}
