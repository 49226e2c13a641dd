import HandoutCore
import HandoutExecutor
import HandoutScheduler
import HandoutTesting
import LuaRuntime

/// A worker that runs nothing: the test says when attempts end.
final class IdleLink: WorkerLink {
    private struct State {
        var lent: [[LeaseEntry]]
        var ended: [[Completion]]
        var replaced: [Int] = []
    }

    let slots: Int
    private let state: Locked<State>

    init(slots: Int) {
        self.slots = slots
        state = Locked(State(lent: Array(repeating: [], count: slots), ended: Array(repeating: [], count: slots)))
    }

    /// What the slot was lent last.
    func lease(_ slot: Int) -> [Int] { state.withLock { $0.lent[slot].map(\.task.index) } }
    var replaced: [Int] { state.withLock { $0.replaced } }

    /// The slot has run its lease, well.
    func finish(_ slot: Int) {
        state.withLock { state in
            state.ended[slot] += state.lent[slot].map {
                Completion(task: $0.task, attempt: $0.attempt, ended: nil, nanoseconds: 1_000)
            }
        }
    }

    func collect(slot: Int, into completions: inout [Completion], failures: inout [FailureReport]) {
        completions += state.withLock { state in
            defer { state.ended[slot] = [] }
            return state.ended[slot]
        }
    }

    func lend(slot: Int, _ entries: [LeaseEntry], claim: LeaseClaim?, time: UInt64) {
        state.withLock { $0.lent[slot] = entries }
    }

    func replaceThread(slot: Int) -> Bool {
        state.withLock { $0.replaced.append(slot) }
        return true
    }

    func unstarted(slot: Int) -> Int { 0 }
    func reclaim(slot: Int, atMost: Int, into entries: inout [LeaseEntry]) {}
    func release(first: TaskID, count: Int) {}
    func append(task: TaskID, first: TaskID, count: Int) {}
    func missing(_ task: TaskID, failed: Bool) {}
    func recover(_ task: TaskID) {}
    func expand(_ task: TaskID, slot: Int) -> Result<Expansion, ExpansionError> { .success(Expansion(elements: 0)) }
    func measure(
        _ task: TaskID, attempt: UInt16, after history: AttemptHistory, slot: Int
    ) -> Result<Measurement, MeasurementError> { .success(Measurement()) }
    func unmeasured(_ error: inout MeasurementError) {}
    func stopRunning() {}
    func stuckAttempt() -> FailureReport? { nil }
}

/// A strategy that chooses what the test says, once the test lets it.
final class ScriptedStrategist: Strategist, @unchecked Sendable {
    // @unchecked: `state` has its lock; the rest is touched by one thread between `begin` and `end`.
    private struct State {
        var rounds: [[Int]]
        var asked = 0
        var isHeld = false
        var isInside = false
        var interrupts = 0
        var hangs = 0
    }

    private let gate = Gate()
    private var state: State
    private var chosen: [Int] = []
    private(set) var ready: [Int] = []
    /// What could be read of the scheduler while it was asked; nil: nobody waited for the answer any more.
    private(set) var read: Int?
    let patience: UInt64

    init(_ rounds: [[Int]], patience: UInt64 = UInt64.max / 4) {
        state = State(rounds: rounds)
        self.patience = patience
    }

    var asked: Int { gate.withLock { state.asked } }
    var interrupts: Int { gate.withLock { state.interrupts } }
    var hung: Int { gate.withLock { state.hangs } }

    /// The next call does not return until `letGo`.
    func hold() { gate.withLock { state.isHeld = true } }

    func letGo() {
        gate.withLock {
            state.isHeld = false
            gate.wakeAll()
        }
    }

    /// Waits until a call goes on.
    func waitUntilAsked() {
        gate.withLock { while !state.isInside { gate.wait(until: monotonicNow() + 10_000_000) } }
    }

    func begin(_ core: inout SchedulerCore, now: UInt64, reports: [FailureReport]) -> Bool {
        guard core.wantsRound(now: now) else { return false }
        core.beginRound()
        ready = core.readyTasks(atMost: 100).map(\.row)
        return true
    }

    func ask(_ reader: any CoreReader) {
        gate.withLock {
            state.asked += 1
            state.isInside = true
            gate.wakeAll()
            while state.isHeld { gate.wait(until: monotonicNow() + 10_000_000) }
            state.isInside = false
            chosen = state.rounds.isEmpty ? [] : state.rounds.removeFirst()
        }
        read = nil
        _ = reader.read { read = $0.pointee.counts.ready }
    }

    func end(
        _ core: inout SchedulerCore, now: UInt64, into placements: inout [Placement], output: inout SchedulerOutput
    ) {
        core.place(
            chosen: chosen.map { ($0, 0, nil) }, waitUntil: 0, now: now, into: &placements, output: &output)
    }

    func interrupt() { gate.withLock { state.interrupts += 1 } }
    func hangs() { gate.withLock { state.hangs += 1 } }
}

/// A run of so many tasks without needs, on two slots.
struct Scene {
    let link = IdleLink(slots: 2)
    let strategist: ScriptedStrategist
    let coordinator: RunCoordinator

    init(tasks: Int, _ strategist: ScriptedStrategist) {
        self.strategist = strategist
        var graph = GraphBuilder()
        for _ in 0..<tasks { graph.task() }
        var configuration = SchedulerConfiguration(slots: 2)
        configuration.allocator = .rounds
        coordinator = RunCoordinator(
            graph: graph.build(), configuration: configuration, link: link, worker: "local", strategist: strategist)
        coordinator.start()
    }

    /// The slot ends its lease and is lent the next, on a thread of its own.
    func next(_ slot: Int) throws -> Turn { try Turn(self, slot) }

    final class Turn: @unchecked Sendable {
        // @unchecked: written by the thread, read after it was joined.
        private var directive: Directive?
        private var thread: NativeThread?

        init(_ scene: Scene, _ slot: Int) throws {
            let (coordinator, link) = (scene.coordinator, scene.link)
            thread = try NativeThread { [self] in
                link.finish(slot)
                directive = coordinator.next(slot: slot)
            }
        }

        /// Waits for what came of it.
        func end() -> Directive? {
            thread?.join()
            thread = nil
            return directive
        }
    }
}
