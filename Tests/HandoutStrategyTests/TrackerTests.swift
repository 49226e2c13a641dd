import Glibc
import HandoutCore
import HandoutPlan
import LuaRuntime
import Testing

@testable import HandoutStrategy

/// Trackers in Lua: what they declare, what they are told, and what counts of their answers.
@Suite struct TrackerTests {
    @Test(.enabled(if: Ports.folder != nil)) func `the trackers of a port load`() throws {
        let folder = try #require(Ports.folder)
        var allowance = Allowance(directory: "/nowhere")
        allowance.all = true
        let file = try LuaTrackerFile(
            try ProgramSources(path: folder + "/6d-tracker.lua"), allowance: allowance, directory: "/nowhere",
            worker: "old")
        #expect(file.trackers.map(\.name) == ["flexlm", "spot"])
        #expect(file.trackers[0].provides == ["matlab"] && file.trackers[0].scope == .cluster)
        #expect(file.trackers.map(\.interval) == [10_000_000_000, 60_000_000_000])
        #expect(file.trackers[0].grants.map(\.name) == ["lmutil"])
        guard case .failed(let problem) = file.trackers[0].available(TrackerState()) else {
            Issue.record("there is no lmutil")
            return
        }
        #expect(problem.text.hasSuffix(": tracker 'flexlm': probe: exec: 'lmutil' was not found in PATH"))
    }

    @Test func `a probe is told what is claimed, and its totals, price and labels arrive`() throws {
        let tracker = try tracker(
            """
            provides = { "matlab", "memory" }, scope = "cluster", every = "2s",
            probe = function(state)
              return { matlab = state.claimed.matlab + state.now + 0.5, memory = "1GiB", price = 2.5,
                labels = { worker = state.worker } }
            end
            """)
        #expect(tracker.register() == nil && tracker.interval == 2_000_000_000)
        #expect(
            tracker.available(TrackerState(claimed: ["matlab": 20_000], now: 3))
                == .report(
                    TrackerReport(totals: ["matlab": 55_000, "memory": 1 << 30], price: 2.5, labels: ["worker": "w"])))
        #expect(tracker.request(ResourceClaim(task: "t", attempt: 1, amounts: [:])) == .granted)
    }

    @Test func `claims are told to request and release`() throws {
        let lines = Locked<[String]>([])
        let tracker = try tracker(
            """
            provides = { "x" }, register = function() return { x = 4 } end,
            request = function(claim)
              if claim.amounts.x > 2 then return false, "too many for " .. claim.task end
            end,
            release = function(claim) print(claim.task, claim.attempt, claim.amounts.x) error "gone" end
            """, lines: lines)
        #expect(tracker.register() == .report(TrackerReport(totals: ["x": 40_000])))
        #expect(tracker.available(TrackerState()) == .report(TrackerReport()))
        #expect(tracker.request(ResourceClaim(task: "a", attempt: 1, amounts: ["x": 20_000])) == .granted)
        #expect(
            tracker.request(ResourceClaim(task: "b", attempt: 1, amounts: ["x": 30_000])) == .refused("too many for b"))
        let problem = tracker.release(ResourceClaim(task: "a", attempt: 2, amounts: ["x": 15_000]))
        #expect(problem == TrackerProblem(message: "tracker 't': release: gone", file: "t.lua", line: 6))
        #expect(lines.withLock { $0 } == ["1 a\t2\t1.5"])
    }

    @Test func `programs and files are there by grant`() throws {
        let grant = "provides = { 'x' }, grant = { exec = { 'echo' } }, probe = function() "
        let echo =
            "local r = require 'handout'.exec { 'echo', '7', cwd = '/' } return { x = tonumber(r.stdout) } end"
        #expect(try tracker(grant + echo).available(TrackerState()) == .report(TrackerReport(totals: ["x": 70_000])))
        #expect(
            try tracker("provides = { 'x' }, probe = function() " + echo).available(TrackerState())
                == failed(
                    "exec: 'echo' is not granted: the tracker asks for it with "
                        + "grant = { exec = { \"echo\" } }"))
        #expect(
            try tracker("provides = { 'x' }, probe = function() require 'handout'.fs.read '/etc/hostname' end")
                .available(TrackerState())
                == failed(
                    "fs.read: '/etc/hostname' is outside of the run directory '/nowhere' and "
                        + "not granted: the tracker asks for it with grant = { read = { \"/etc/hostname\" } }"))
        let refusal = refusal(
            "t { name = 'n', grant = { exec = { 'ls' }, read = { '/etc' } }, probe = print }",
            Allowance(directory: "/nowhere"))
        #expect(
            refusal == [
                "grant t.lua: tracker 'n': grant: exec=ls is not allowed by this worker (--allow exec=ls)",
                "grant t.lua: tracker 'n': grant: read=/etc is not allowed by this worker (--allow read=/etc)",
            ])
    }

    /// What begins with `!` is an error.
    @Test(
        arguments: [
            ("return nil, 'no answer'", "no answer"), ("return nil", nil), ("", nil),
            (
                "return 5",
                "!result: expected a table such as { licence = 5 }, or nil and a reason, got 5"
            ),
            ("return { y = 5 }", "!\"y\" is not in its provides, nor price or labels"),
            ("return { x = -1 }", "!x: expected a number from 0 to 1000000000, got -1"),
            (
                "return { price = '1' }",
                "!price: expected a number from 0 to 1e12, got \"1\""
            ),
            ("return { labels = { a = 1 } }", "!labels: expected names and strings, got 1"),
            ("return nil, 5", "!reason: expected a string, got 5"),
            ("error 'no'", "!no"),
            ("require 'handout'.fail 'no'", "!handout.fail is only there inside a task"),
            (
                "return require 'handout'.task.id",
                "!handout.task is only there inside a task"
            ),
            (
                "return require 'handout'.graph 'g'",
                "!handout.graph is only there while planning, not in a task"
            ),
        ] as [(String, String?)])
    func `a reading that is not known`(body: String, reason: String?) throws {
        let tracker = try tracker("provides = { 'x' }, probe = function() \(body) end")
        let expected = reason.flatMap { $0.hasPrefix("!") ? failed(String($0.dropFirst())) : nil } ?? .unknown(reason)
        #expect(tracker.available(TrackerState()) == expected)
    }

    private func failed(_ message: String) -> TrackerReading {
        .failed(TrackerProblem(message: "tracker 't': probe: \(message)", file: "t.lua", line: 2))
    }

    @Test func `a claim waits for at most a second, and the file is run anew`() throws {
        let slot = try #require(LeaseSlot())
        let answers = Locked<[TrackerAnswer]>([])
        let thread = try NativeThread(slot: slot) {
            let file = try? file(
                "t { name = 't', provides = { 'x' }, probe = print, request = function(c) while c.attempt > 1 do end end }",
                slot: slot)
            for attempt: UInt32 in [1, 2, 1] {
                let claim = ResourceClaim(task: "a", attempt: attempt, amounts: [:])
                if let answer = file?.trackers[0].request(claim) { answers.withLock { $0.append(answer) } }
            }
        }
        thread.join()
        #expect(
            answers.withLock { $0 } == [
                .granted,
                .failed(
                    TrackerProblem(message: "tracker 't': request: it ran longer than 1 s", file: "t.lua", line: 2)),
                .granted,
            ])
    }

    @Test(arguments: [
        ("t { probe = print }", ["id t.lua:2: tracker 1: the name is a string, got nil"]),
        ("t { name = 'n' }", ["field t.lua:2: tracker 'n': expected a function probe or register, got none"]),
        (
            "t { name = 'n', provides = { 'a b', 5, 'c', 'c' }, scope = 'all', every = '0.5s', probe = 5, grant = 5, prob = 1 }",
            [
                "field t.lua:2: tracker 'n': field 'provides[1]': expected 1 to 200 letters, digits, '_', '-' and '/', "
                    + "got \"a b\"",
                "field t.lua:2: tracker 'n': field 'provides[2]': expected the name of a resource, got 5",
                "duplicate t.lua:2: tracker 'n': field 'provides[4]': resource 'c' is provided before",
                "field t.lua:2: tracker 'n': field 'scope': expected \"worker\" or \"cluster\", got \"all\"",
                "field t.lua:2: tracker 'n': field 'every': expected a duration of at least 1 s, got \"0.5s\"",
                "option t.lua:2: tracker 'n': option 'grant': expected a table such as { read = { \"data\" } }, got 5",
                "field t.lua:2: tracker 'n': field 'probe': expected a function, got 5",
                "field t.lua:2: tracker 'n': unknown field 'prob' (did you mean 'probe'?)",
                "field t.lua:2: tracker 'n': expected a function probe or register, got none",
            ]
        ),
        (
            "t { { name = 'n', probe = print }, { name = 'n', probe = print }, 5 }",
            ["duplicate t.lua:2: tracker 'n': the name is taken", "field t.lua:2: tracker 3: expected a table, got 5"]
        ),
        ("t(5)", ["field t.lua:2: tracker: expected a table, or a list of them, got 5"]),
        (
            "{}",
            [
                "script t.lua: the file returned a table, expected trackers (return handout.tracker{ ... }, or a list of "
                    + "them)"
            ]
        ),
    ])
    func `a refusal`(value: String, problems: [String]) {
        var all = Allowance(directory: "/nowhere")
        all.all = true
        #expect(refusal(value, all) == problems)
    }

    // MARK: Helpers

    /// Keeps the file with its tracker.
    private final class Kept: ResourceTracker {
        let file: LuaTrackerFile
        init(_ file: LuaTrackerFile) { self.file = file }
        var name: String { file.trackers[0].name }
        var provides: [String] { file.trackers[0].provides }
        var scope: TrackerScope { file.trackers[0].scope }
        var interval: UInt64 { file.trackers[0].interval }
        func register() -> TrackerReading? { file.trackers[0].register() }
        func available(_ state: TrackerState) -> TrackerReading { file.trackers[0].available(state) }
        func request(_ claim: ResourceClaim) -> TrackerAnswer { file.trackers[0].request(claim) }
        func release(_ claim: ResourceClaim) -> TrackerProblem? { file.trackers[0].release(claim) }
    }

    private func tracker(_ fields: String, lines: Locked<[String]>? = nil) throws -> Kept {
        Kept(try file("t { name = 't', \(fields) }", lines: lines))
    }

    private func refusal(_ value: String, _ allowance: Allowance) -> [String] {
        do {
            _ = try LuaTrackerFile(
                try sources(value), allowance: allowance, directory: "/nowhere", worker: "w")
            return []
        } catch let refusal as PlanRefusal {
            return refusal.problems.map { "\($0.code) \($0.text)" }
        } catch {
            return ["\(error)"]
        }
    }
}

private func sources(_ value: String) throws -> ProgramSources {
    let text = "local t = require \"handout\".tracker\nreturn \(value)"
    return ProgramSources(entry: try ProgramSource(name: "", file: "t.lua", bytes: Array(text.utf8)))
}

private func file(
    _ value: String, slot: LeaseSlot? = nil, lines: Locked<[String]>? = nil
) throws -> LuaTrackerFile {
    var allowance = Allowance(directory: "/nowhere")
    allowance.all = true
    return try LuaTrackerFile(
        try sources(value), allowance: allowance, directory: "/nowhere", worker: "w", slot: slot
    ) { level, text in
        lines?.withLock { $0.append("\(level) \(text)") }
    }
}
