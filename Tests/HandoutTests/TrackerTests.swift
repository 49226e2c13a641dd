import Handout
import Testing

/// Trackers of runs that a Swift program starts.
struct TrackerTests {
    private func tracker(_ fields: String) throws -> Program {
        try Program(
            source: "return require('handout').tracker { name = 't', provides = { 'lic' }, every = '1s', \(fields) }",
            name: "tracker.lua")
    }

    @Test func `a run has what its trackers find`() async throws {
        var options = options()
        options.trackers = [
            try tracker(
                """
                register = function() return { lic = 2 } end,
                probe = (function() local n = 0 return function()
                  n = n + 1
                  if n == 1 then return { lic = 0 } end
                  return { lic = 2, price = 1.5, labels = { zone = "eu" } }
                end end)()
                """)
        ]
        let run = try await start(
            program("g:task('a', { resources = { lic = 2 } }, function() return 1 end)"), options: options)
        #expect(try await run.result.outputs["a"] == 1)
        var workers: [Run.Event.Worker] = []
        for await event in run.events {
            switch event.kind {
            case .workerJoined(let worker), .workerChanged(let worker): workers.append(worker)
            default: break
            }
        }
        #expect(workers.map { $0.total["lic"] } == [0, 2])
        #expect(workers.last?.price == 1.5 && workers.last?.labels == ["zone": "eu"])
    }

    @Test func `what is wrong with a tracker refuses the run, and its errors are events`() async throws {
        var options = options()
        options.trackers = [try tracker("grant = { exec = { 'ls' } }, probe = function() return { lic = 1 } end")]
        let refusal = await #expect(throws: ScriptError.self) {
            _ = try await start(program("g:task('a', function() end)"), options: options)
        }
        #expect(
            refusal?.problems.map(\.message) == [
                "tracker 't': grant: exec=ls is not allowed by this worker (--allow exec=ls)"
            ])
        options.trackers = [try tracker("probe = function() error 'no' end")]
        options.monitorsMemory = true
        let run = try await start(
            program("g:task('a', { memory = '2MiB' }, function() return 1 end)"), options: options)
        #expect(try await run.result.ok)
        var warnings: [Run.Event.Warning] = []
        for await event in run.events { if case .warning(let warning) = event.kind { warnings.append(warning) } }
        #expect(
            warnings == [
                Run.Event.Warning(code: "tracker", message: "tracker 't': probe: no", file: "tracker.lua", line: 1)
            ])
    }
}
