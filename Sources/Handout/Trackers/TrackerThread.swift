import HandoutCore
import HandoutExecutor
import HandoutPlan
import LuaRuntime

/// What a thread of trackers tells: of the tracker with this number among its own.
struct TrackerNews: Sendable {
    var tracker: Int
    var changes: [TrackedTotals.Change]
}

/// Whether a thread hangs where nothing can stop it, looked at again and again: one that only waits for a busy machine looks
/// so for a while.
struct HangWatch: Sendable {
    private static let patience: UInt64 = 5_000_000_000
    private var since: UInt64?

    mutating func hangs(_ slot: LeaseSlot, now: UInt64 = monotonicNow()) -> Bool {
        guard slot.isStuck else {
            since = nil
            return false
        }
        since = since ?? now
        return since.map { now - min(now, $0) >= HangWatch.patience } ?? false
    }
}

/// Trackers that are asked on one thread, which is theirs: once before a run, and again and again while it goes on.
///
/// No call of a tracker is made with a lock held. What is asked of the thread from others waits in a queue.
final class TrackerThread: @unchecked Sendable {
    /// A tracker, as others see it.
    struct Facts: Sendable {
        var name: String
        var provides: [String]
        var interval: UInt64
        var keepsClaims: Bool
    }

    /// Trackers, and what must live as long as they do.
    typealias Made = (trackers: [any ResourceTracker], owner: AnyObject?)

    /// What the thread needs of a run.
    struct Run: Sendable {
        var clock: RunClock
        var claimed: @Sendable (_ resources: [String]) -> [String: UInt64]
        /// Called on the thread.
        var tell: @Sendable (TrackerNews) -> Void
    }

    private final class Job {
        let tracker: Int
        let claim: ResourceClaim
        let isRequest: Bool
        var isBegun = false
        /// Nobody waits for the answer any more.
        var isGivenUp = false
        var answer: TrackerAnswer?

        init(_ tracker: Int, _ claim: ResourceClaim, isRequest: Bool) {
            self.tracker = tracker
            self.claim = claim
            self.isRequest = isRequest
        }
    }

    private struct State {
        var facts: Result<[Facts], PlanRefusal>?
        var first: [TrackerNews] = []
        var run: Run?
        var jobs: [Job] = []
        var isProbing = false
        var isStopping = false
        var hasEnded = false
    }

    // @unchecked: `state` and the jobs in it are touched with the gate locked, `made`, `tracked` and `due` on the thread.
    private let gate = Gate()
    private var state = State()
    /// Watched for deadlines.
    let slot: LeaseSlot
    private var thread: NativeThread?
    private var made: Made = ([], nil)
    private var tracked: [TrackedTotals] = []
    private var due: [UInt64] = []
    private static let second: UInt64 = 1_000_000_000

    /// Starts the thread, makes the trackers there and asks what there is.
    ///
    /// - Throws: `PlanRefusal` with what is wrong with the trackers, or when there is no thread for them.
    init(
        _ make: @escaping @Sendable (LeaseSlot) -> Result<Made, PlanRefusal>
    ) throws(PlanRefusal) {
        guard let slot = LeaseSlot() else { throw PlanRefusal(tracker: "not enough memory for trackers") }
        self.slot = slot
        do throws(ThreadError) { thread = try NativeThread(slot: slot) { [self] in perform(make) } } catch {
            throw PlanRefusal(tracker: "no thread could be started for trackers (errno \(error.code))")
        }
        guard waitForFacts() else {
            throw PlanRefusal(tracker: "trackers: they ran too long, in a library function that cannot be stopped")
        }
    }

    /// False: the thread is stuck, and left as it is.
    private func waitForFacts() -> Bool {
        gate.lock()
        defer { gate.unlock() }
        var watch = HangWatch()
        while state.facts == nil {
            gate.wait(until: monotonicNow() + 50_000_000)
            if state.facts == nil && watch.hangs(slot) {
                thread?.detach()
                return false
            }
        }
        return true
    }

    /// What the trackers are.
    ///
    /// - Throws: `PlanRefusal` when they could not be made.
    func facts() throws(PlanRefusal) -> [Facts] {
        try (gate.withLock { state.facts } ?? .success([])).get()
    }

    /// What was found before the run.
    var first: [TrackerNews] { gate.withLock { state.first } }

    /// From now on trackers are probed, until `stop`.
    func begin(_ run: Run) {
        gate.withLock {
            state.run = run
            gate.wakeAll()
        }
    }

    /// Ends the thread: a probe is cut short, and what is in the queue is gone through.
    func stop() {
        gate.withLock {
            state.isStopping = true
            if state.isProbing { slot.cancel(true) }
            gate.wakeAll()
        }
        guard let thread else { return }
        self.thread = nil
        var watch = HangWatch()
        while !thread.join(within: 50_000_000) {
            // Nothing of it is waited for, and nothing that it uses goes away.
            if watch.hangs(slot) { return thread.detach() }
        }
    }

    // MARK: - From other threads

    /// Asks a tracker for a claim, which has a second from when its turn comes; that must come within a second.
    func request(_ tracker: Int, _ claim: ResourceClaim) -> TrackerAnswer {
        gate.lock()
        defer { gate.unlock() }
        let job = Job(tracker, claim, isRequest: true)
        state.jobs.append(job)
        gate.wakeAll()
        let asked = monotonicNow()
        while job.answer == nil {
            // Its own limit comes first, if it can be stopped.
            let limit = asked + (job.isBegun ? 5 : 2) * TrackerThread.second / 2
            if monotonicNow() >= limit || state.hasEnded {
                job.isGivenUp = true
                state.jobs.removeAll { $0 === job }
                return .failed(TrackerProblem(message: "tracker '\(name(tracker))': request: no answer within 1 s"))
            }
            gate.wait(until: limit)
        }
        return job.answer ?? .refused(nil)
    }

    /// Tells a tracker that a claim is held no longer; returns at once.
    func release(_ tracker: Int, _ claim: ResourceClaim) {
        gate.withLock {
            state.jobs.append(Job(tracker, claim, isRequest: false))
            gate.wakeAll()
        }
    }

    /// With the gate locked.
    private func name(_ tracker: Int) -> String {
        guard case .success(let facts)? = state.facts, tracker < facts.count else { return "" }
        return facts[tracker].name
    }

    // MARK: - On the thread

    private func perform(_ make: (LeaseSlot) -> Result<Made, PlanRefusal>) {
        switch make(slot) {
        case .failure(let refusal): publish(.failure(refusal), [])
        case .success(let made):
            self.made = made
            register()
            work()
        }
        made = ([], nil)
        gate.withLock {
            state.run = nil
            state.hasEnded = true
            gate.wakeAll()
        }
    }

    private func publish(_ facts: Result<[Facts], PlanRefusal>, _ news: [TrackerNews]) {
        gate.withLock {
            state.facts = facts
            state.first = news
            gate.wakeAll()
        }
    }

    private func register() {
        var news: [TrackerNews] = []
        for (number, tracker) in made.trackers.enumerated() {
            tracked.append(TrackedTotals(name: tracker.name, provides: tracker.provides))
            due.append(tracker.interval)
            if let registered = tracker.register() {
                news.append(TrackerNews(tracker: number, changes: tracked[number].take(registered)))
            }
            // There may be less to have now than there is.
            let changes = tracked[number].take(tracker.available(TrackerState()))
            news.append(TrackerNews(tracker: number, changes: changes))
        }
        let facts = made.trackers.map {
            Facts(name: $0.name, provides: $0.provides, interval: $0.interval, keepsClaims: $0.keepsClaims)
        }
        publish(.success(facts), news)
    }

    private func work() {
        gate.lock()
        defer { gate.unlock() }
        while true {
            let now = monotonicNow()
            if !state.isStopping, let run = state.run, let next = due.indices.min(by: { due[$0] < due[$1] }),
                due[next] <= run.clock.now
            {
                state.isProbing = true
                gate.unlock()
                let news = probe(next, run)
                gate.lock()
                state.isProbing = false
                if state.isStopping { slot.cancel(false) } else if let news { tell(news, run) }
            } else if !state.jobs.isEmpty {
                perform(state.jobs.removeFirst())
            } else if state.isStopping {
                return
            } else if let run = state.run, let next = due.min() {
                let elapsed = run.clock.now
                gate.wait(until: now + (next > elapsed ? next - elapsed : 0))
            } else {
                gate.wait(until: now + 60 * TrackerThread.second)
            }
        }
    }

    /// With the gate locked, but not while the tracker is called.
    private func perform(_ job: Job) {
        job.isBegun = true
        let run = state.run
        gate.unlock()
        let tracker = made.trackers[job.tracker]
        var answer = TrackerAnswer.granted
        if job.isRequest {
            answer = tracker.request(job.claim)
        } else if let problem = tracker.release(job.claim) {
            run?.tell(TrackerNews(tracker: job.tracker, changes: [.warning(problem)]))
        }
        gate.lock()
        job.answer = answer
        if job.isGivenUp && answer == .granted {
            state.jobs.insert(Job(job.tracker, job.claim, isRequest: false), at: 0)
        }
        gate.wakeAll()
    }

    /// With the gate locked, but not while it is told.
    private func tell(_ news: TrackerNews, _ run: Run) {
        gate.unlock()
        run.tell(news)
        made.trackers[news.tracker].update(tracked[news.tracker].totals)
        gate.lock()
    }

    private func probe(_ number: Int, _ run: Run) -> TrackerNews? {
        let tracker = made.trackers[number]
        let begun = run.clock.now
        let now = TrackerState(claimed: run.claimed(tracker.provides), now: Double(begun) / 1e9)
        let changes = tracked[number].take(tracker.available(now))
        due[number] = max(begun + tracker.interval, run.clock.now)
        return changes.isEmpty ? nil : TrackerNews(tracker: number, changes: changes)
    }
}

extension PlanRefusal {
    /// One problem of trackers that is no place's.
    init(tracker message: String) { self.init(problems: [PlanProblem(code: "tracker", message: message)]) }
}
