import CLuaShim
import HandoutCore
import HandoutPlan
import LuaRuntime
import Testing

@testable import HandoutStrategy

/// Strategies in Lua through their Swift wrapper; what views hold is tested in C.
@Suite struct LuaStrategyTests {
    // MARK: Files of operators

    @Test(.enabled(if: Ports.folder != nil)) func `GPU workers are kept, and the fullest worker is the best`() throws {
        let scene = Scene()
        let strategy = try port("6a-gpu-first.lua")
        #expect(strategy.facts.kind == .score(perTask: false) && strategy.facts.name == "gpu-first-pack")
        let choices = try scene.score(strategy)
        #expect(choices.map { $0.filtered != 0 } == [false, false, true])
        #expect(reason(choices[2]) == "a GPU worker is kept for GPU tasks")
        #expect(choices[0].score < choices[1].score)
    }

    @Test(.enabled(if: Ports.folder != nil)) func `cheap workers come first, and a dear one waits`() throws {
        let scene = Scene()
        let strategy = try port("6b-spot-deadline.lua", ["spot_below": "0.8"])
        #expect(strategy.facts.kind == .allocate && strategy.facts.hasEvents)
        #expect(try scene.allocate(strategy) == ["t0 on w1", "t1 on w1", "t2 on w0"])
        let event = try EncodedValue(
            json: Array(#"{"kind":"worker_changed","price":2.0,"labels":{"type":"spot"}}"#.utf8))
        #expect(try strategy.tell(event) == false)
        scene.workers[0].labels = ["type": "spot"]
        scene.workers[1].labels = ["type": "spot"]
        scene.workers[2].labels = ["type": "spot"]
        scene.views.setWorkers(scene.workers)
        #expect(try strategy.allocate(scene.views.view()).wait == 30_000_000_000)
    }

    @Test(.enabled(if: Ports.folder != nil)) func `data decides, a task at a time`() throws {
        let scene = Scene()
        let strategy = try port("6c-locality-licence.lua")
        #expect(strategy.facts.kind == .score(perTask: true))
        let scores = try scene.score(strategy).map(\.score)
        #expect(scores == [-1e-05 * 10, -0.9e-05 * 10 - 0.1, -0.8e-05 * 10 - 0.2].map { $0 })
    }

    // MARK: Scripts

    @Test func `the strategy of a script is what its plan says`() throws {
        let plan = try plan(
            """
            local handout = require "handout"
            local g = handout.graph "g"
            local n = handout.param("n", 1)
            local a = g:task("a", function() end)
            g:allocator(function(ready, workers)
              return { { task = "t1", worker = workers[n].id } }
            end)
            return g
            """, [GivenParameter(name: "n", value: .text(Array("2".utf8)))])
        #expect(plan.strategy == .lua(file: "s.lua", line: 5))
        let strategy = try LuaStrategy(
            plan: plan, parameters: [GivenParameter(name: "n", value: .text(Array("2".utf8)))])
        #expect(try Scene().allocate(strategy) == ["t1 on w1"])
    }

    @Test func `a plan knows a built-in strategy and its option`() throws {
        let head = "local g = require 'handout'.graph 'g' g:task('a', print and function() end) "
        #expect(try plan(head + "return g").strategy == nil)
        #expect(try plan(head + "g:allocator 'time' return g").strategy == .builtIn("time", options: [:]))
        #expect(
            try plan(head + "g:allocator('cost', { deadline = '2h' }) return g").strategy
                == .builtIn("cost", options: ["deadline": 7_200_000_000_000]))
    }

    // MARK: Mistakes

    @Test(
        arguments: [
            ("score = function() return 0/0 end", "s.lua:1: score: expected a finite number, got nan", .wrongAnswer),
            ("score = function() error 'no' end", "s.lua:1: no", .raised),
            ("filter = function() end", "s.lua:1: filter: expected true, or false and a reason, got nil", .wrongAnswer),
            (
                "score = function() while true do pcall(function() while true do end end) end end",
                "s.lua:1: its budget of 100000 instructions was used up", .late
            ),
            (
                "score = function() local t = {} while true do t[#t + 1] = {} end end",
                "s.lua:1: it needed more than 8 MiB of memory", .memory
            ),
        ] as [(String, String, StrategyProblem.Kind)])
    func `a mistake is one problem, and the next call goes on`(
        body: String, text: String, kind: StrategyProblem.Kind
    ) throws {
        let strategy = try strategy(
            "return require 'handout'.allocator { \(body) }", .instructions(kind == .memory ? 1 << 40 : 100_000))
        for _ in 0..<3 {
            let problem = #expect(throws: StrategyProblem.self) { try Scene().score(strategy) }
            #expect(problem?.text == text && problem?.kind == kind)
        }
    }

    @Test(
        .enabled(if: Ports.hostile != nil),
        arguments: ["function", "huge-result", "nan-worker", "nondeterministic", "spin-c", "swallow", "yield"])
    func `a hostile strategy is contained`(name: String) throws {
        let folder = try #require(Ports.hostile)
        let sources = try ProgramSources(path: "\(folder)/cases/al-\(name).lua")
        let plan = try Planner().plan(sources)
        #expect(plan.strategy != nil && plan.graph.count == 2)
        var limits = FileLimits()
        limits.memory = 64 << 20
        let strategy = try LuaStrategy(plan: plan, budget: .instructions(5_000_000), limits: limits)
        let scene = Scene()
        for _ in 0..<3 {
            do throws(StrategyProblem) {
                let answer = try withExtendedLifetime(scene) { () throws(StrategyProblem) in
                    try strategy.allocate(scene.views.view())
                }
                #expect(answer.placements.isEmpty && name == "nondeterministic")
            } catch {
                #expect(error.file == "al-\(name).lua" && error.line == 6)
                #expect(error.kind != .cancelled && error.kind != .memory)
            }
        }
        #expect(strategy.memory < 128 << 20)
    }

    @Test func `after a limit a strategy begins anew`() throws {
        let strategy = try strategy(
            """
            local calls = 0
            return require "handout".allocator { score = function(task, worker)
              calls = calls + 1
              if calls > 4 then while true do end end
              return calls
            end }
            """, .instructions(100_000))
        #expect(try Scene().score(strategy).map(\.score) == [1, 2, 3])
        #expect(throws: StrategyProblem.self) { try Scene().score(strategy) }
        #expect(try Scene().score(strategy).map(\.score) == [1, 2, 3])
    }

    @Test func `a budget in time holds on the thread of its slot`() throws {
        let slot = try #require(LeaseSlot())
        let said = Locked("")
        let thread = try NativeThread(slot: slot) {
            let text = "return require 'handout'.allocator(function() while true do end end)"
            guard let entry = try? ProgramSource(name: "", file: "s.lua", bytes: Array(text.utf8)),
                let strategy = try? LuaStrategy(
                    file: ProgramSources(entry: entry), budget: .time(20_000_000), slot: slot)
            else { return }
            do { _ = try Scene().allocate(strategy) } catch { said.withLock { $0 = "\(error)" } }
        }
        thread.join()
        #expect(said.withLock { $0 }.contains("it ran longer than its budget of 0.02 s"))
    }

    @Test func `seeded random numbers are the same each time`() throws {
        let text = "return require 'handout'.allocator { score = function() return math.random(1000) end }"
        let first = try Scene().score(try strategy(text, .own, seed: 3)).map(\.score)
        #expect(try Scene().score(try strategy(text, .own, seed: 3)).map(\.score) == first)
        #expect(try Scene().score(try strategy(text, .own, seed: 4)).map(\.score) != first)
    }

    @Test func `what it prints and logs arrives`() throws {
        let lines = Locked<[String]>([])
        let entry = try ProgramSource(
            name: "", file: "s.lua",
            bytes: Array(
                """
                local handout = require "handout"
                return handout.allocator { score = function() print "p" handout.log("warning", "%d", 5) return 0 end }
                """.utf8))
        let strategy = try LuaStrategy(file: ProgramSources(entry: entry)) { level, text in
            lines.withLock { $0.append("\(level) \(text)") }
        }
        _ = try Scene(workers: 1).score(strategy)
        #expect(lines.withLock { $0 } == ["1 p", "2 5"])
    }

    // MARK: Helpers

    private func port(_ name: String, _ options: [String: String] = [:]) throws -> LuaStrategy {
        let folder = try #require(Ports.folder)
        return try LuaStrategy(file: try ProgramSources(path: folder + "/" + name), options: options)
    }

    private func strategy(_ text: String, _ budget: StrategyBudget, seed: UInt64 = 0) throws -> LuaStrategy {
        let entry = try ProgramSource(name: "", file: "s.lua", bytes: Array(text.utf8))
        var limits = FileLimits()
        limits.memory = 8 << 20
        return try LuaStrategy(file: ProgramSources(entry: entry), seed: seed, budget: budget, limits: limits)
    }

    private func plan(_ text: String, _ parameters: [GivenParameter] = []) throws -> Plan {
        let entry = try ProgramSource(name: "", file: "s.lua", bytes: Array(text.utf8))
        return try Planner().plan(ProgramSources(entry: entry), parameters: parameters)
    }

    private func reason(_ choice: handout_choice) -> String {
        String(
            decoding: UnsafeRawBufferPointer(start: choice.reason.bytes, count: choice.reason.length), as: UTF8.self)
    }
}
