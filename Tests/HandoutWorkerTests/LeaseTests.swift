import HandoutCore
import HandoutPlan
import HandoutWorker
import LuaRuntime
import Testing

@Suite struct LeaseTests {
    /// What a supervisor sends to a runner it may be reading while the lease is looked at: the failure goes with the lease.
    @Test(arguments: [true, false], [true, false])
    func `a lease that sends a failure to a process is not taken back, and any other is`(
        isProcess: Bool, recovers: Bool
    ) throws {
        let plan = try Script(body: "g:task('a', { recover = function() end }, function() error('no') end)").plan()
        let tables = try #require(RunTables(plan: plan, shared: isProcess ? SharedMemory() : nil))
        let program = ProgramStorage(
            plan: plan, parameters: [], directory: "/", run: "run", worker: "local", memory: 1 << 20,
            planTime: 1_000_000_000, verify: false, allowance: nil, secrets: [])
        let host = PlanHost(sources: plan.program, log: { _, _, _ in })
        let pool = try #require(
            ThreadPool(
                slots: 1, tables: tables, program: program, host: host, worker: "local",
                runner: isProcess ? "/nonexistent" : nil))
        let entry = LeaseEntry(task: TaskID(0), attempt: 1, retriesLeft: 0, recovers: recovers)
        pool.lend(slot: 0, [entry], claim: nil, time: 0)
        let stays = isProcess && recovers
        #expect(pool.unstarted(slot: 0) == (stays ? 0 : 1))
        var back: [LeaseEntry] = []
        pool.reclaim(slot: 0, atMost: 1, into: &back)
        #expect(back.map(\.task) == (stays ? [] : [TaskID(0)]))
    }
}
