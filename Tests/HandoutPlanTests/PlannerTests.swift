import HandoutCore
import HandoutPlan
import LuaRuntime
import Synchronization
import Testing

@Suite struct PlannerTests {
    private func program(_ body: String) throws -> ProgramSources {
        let text = "local handout = require \"handout\"\nlocal g = handout.graph(\"x\")\n\(body)\nreturn g\n"
        return ProgramSources(entry: try ProgramSource(name: "", file: "t.lua", bytes: Array(text.utf8)))
    }

    private func problems(_ planner: Planner = Planner(), _ body: String) throws -> [String] {
        do {
            _ = try planner.plan(program(body))
            return []
        } catch let refusal as PlanRefusal {
            return refusal.problems.map(\.text)
        }
    }

    private let unordered = """
        local t = { z = 1, [3] = 1, a = 2, [1.5] = 4, [true] = 5, [-1] = 6, m = { 1 }, ["\\255"] = 7 }
        for k in pairs(t) do g:task(handout.id(tostring(k)), { args = { t } }, function() return 1 end) end
        for i = 1, 3 do g:task("random" .. i, { args = { math.random(1 << 40) } }, function() return 1 end) end
        """

    @Test func `a plan is the same each time it is made, and so are its fingerprints and bundle`() throws {
        let plans = try (0..<5).map { _ in try Planner(seed: 3).plan(program(unordered)) }
        let names = plans.map { plan in (0..<plan.graph.count).map { plan.graph.name(TaskID($0)) } }
        #expect(names[0] == ["_%2D1", "1.5", "3", "a", "m", "z", "_%FF", "true", "random1", "random2", "random3"])
        #expect(Set(names).count == 1)
        #expect(Set(plans.map { $0.bundle.hash }).count == 1)
        #expect(Set(plans.map { Array($0.functions.poolBytes.buffer) }).count == 1)
        let prints = plans.map { plan in
            var found = PlanFingerprints(plan)
            return (0..<plan.graph.count).map { found.fingerprint(of: TaskID($0)) }
        }
        #expect(Set(prints).count == 1)
    }

    @Test func `the seed changes what math random plans, and the bundle`() throws {
        let one = try Planner(seed: 1).plan(program(unordered)), two = try Planner(seed: 2).plan(program(unordered))
        #expect(one.bundle.hash != two.bundle.hash)
        #expect(Array(one.functions.poolBytes.buffer) != Array(two.functions.poolBytes.buffer))
    }

    @Test func `plans are made beside each other`() async throws {
        let program = try program(unordered)
        let expected = try Planner().plan(program).bundle.hash
        try await withThrowingTaskGroup(of: Fingerprint.self) { group in
            for _ in 0..<8 { group.addTask { try Planner().plan(program).bundle.hash } }
            for try await hash in group { #expect(hash == expected) }
        }
    }

    @Test func `planning from async code stops at its deadline`() async throws {
        await Task.yield()
        var limits = PlanLimits()
        limits.time = 50_000_000
        #expect(
            try problems(Planner(limits: limits), "while true do end")
                == ["t.lua:3: planning took longer than 0.05 s of CPU time (--plan-time sets it)"])
    }

    @Test func `cpu that no worker has is refused by what the worker has`() throws {
        var limits = PlanLimits()
        limits.capacity = Capacity(workers: [WorkerCapacity(name: "local", totals: ["cpu": 20_000])], coresFlag: "-j")
        let planner = Planner(limits: limits)
        #expect(try problems(planner, "g:task(\"a\", { cpu = 2 }, function() end)") == [])
        #expect(
            try problems(planner, "g:task(\"a\", { cpu = 2.5 }, function() end)")
                == ["t.lua:3: task 'a': needs 2.5 cpu, more than any worker has: worker 'local' has 2 (-j sets it)"])
    }

    @Test func `what a script prints arrives line by line`() throws {
        let lines = Mutex<[String]>([])
        let planner = Planner(print: { text in lines.withLock { $0.append(text) } })
        #expect(try problems(planner, "print(1, nil, true)\nprint()\nprint(\"a\\nb\")") == [])
        #expect(lines.withLock { $0 } == ["1\tnil\ttrue", "", "a\nb"])
    }

    @Test func `a hundred thousand tasks keep their names, lines and order`() throws {
        let plan = try Planner().plan(
            program("for i = 1, 100000 do\n  g:task(\"t\" .. i, function() return i end)\nend"))
        #expect(plan.graph.count == 100_000)
        #expect(plan.graph.name(TaskID(99_999)) == "t100000")
        #expect(plan.place(of: TaskID(99_999)).line == 4)
        #expect(plan.functions.classList.count == 1)
    }
}
