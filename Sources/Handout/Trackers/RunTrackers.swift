package import HandoutCore
package import HandoutExecutor
package import HandoutPlan
package import HandoutScheduler
package import HandoutStrategy
import LuaRuntime

/// The trackers of one run on this machine (`lua-api.md`, section 10): what the worker has by what they say, before the run
/// and while it goes on. The trackers of a file have a thread; so has the one of the machine.
package final class RunTrackers: @unchecked Sendable {
    /// A tracker among all of a run's.
    private struct Entry {
        var facts: TrackerThread.Facts
        var thread: TrackerThread
        /// Its number on the thread.
        var number: Int
    }

    /// What changes while the run goes on.
    private struct State {
        var worker: TrackedWorker
        var warned: Set<String> = []
        /// Of before the run.
        var warnings: [TrackerProblem] = []
        var run: Outlets?
        /// By tracker, what it said last.
        var totals: [Int: [String: UInt64]] = [:]
        /// By thread.
        var watches: [HangWatch] = []
        var hanging: Set<Int> = []
    }

    /// Where news of a run go.
    struct Outlets: Sendable {
        var coordinator: RunCoordinator
        var name: @Sendable (TaskID) -> String
        var changed: @Sendable (WorkerOffer) -> Void
        var warned: @Sendable (TrackerProblem) -> Void
    }

    // @unchecked: `threads`, `entries` and `guarded` are written in `init`; `state` is behind its mutex.
    private var threads: [TrackerThread] = []
    private var entries: [Entry] = []
    private let state: Locked<State>
    /// Names of tasks; asked for under the coordinator's lock, as `state` must not be.
    private let names = Locked<(@Sendable (TaskID) -> String)?>(nil)
    /// Resources that some tracker is asked for before an attempt holds them.
    package private(set) var guarded: Set<String> = []

    /// - Parameters:
    ///   - files: tracker files.
    ///   - monitor: watches this machine's memory; nil: nobody does.
    ///   - allowance: what their grants are held against.
    ///   - directory: what relative paths begin from: absolute, without links.
    ///   - worker: what there is without them.
    ///   - log: receives what they log and print; level 0 debug, 1 info, 2 warning, 3 error.
    /// - Throws: `PlanRefusal` with what is wrong with a file, or when two trackers provide the same.
    package init(
        files: [ProgramSources], monitor: SystemMonitor? = nil, allowance: Allowance, directory: String,
        worker: WorkerOffer, log: @escaping @Sendable (_ level: Int, _ text: String) -> Void = { _, _ in }
    ) throws(PlanRefusal) {
        state = Locked(State(worker: TrackedWorker(worker)))
        do throws(PlanRefusal) {
            if let monitor { try add(TrackerThread(monitor: monitor)) }
            for file in files {
                try add(
                    TrackerThread(
                        file: file, allowance: allowance, directory: directory, worker: worker.capacity.name, log: log))
            }
        } catch {
            stop()
            throw error
        }
        state.withLock { $0.worker.settleIndices() }
    }

    private func add(_ thread: TrackerThread) throws(PlanRefusal) {
        threads.append(thread)
        let first = entries.count
        for (number, facts) in try thread.facts().enumerated() {
            for resource in facts.provides {
                guard let other = entries.first(where: { $0.facts.provides.contains(resource) }) else { continue }
                throw PlanRefusal(
                    tracker: "tracker '\(facts.name)': resource '\(resource)' is provided by tracker "
                        + "'\(other.facts.name)' before")
            }
            if facts.keepsClaims { guarded.formUnion(facts.provides) }
            entries.append(Entry(facts: facts, thread: thread, number: number))
        }
        for news in thread.first { take(news.changes, of: first + news.tracker) }
    }

    /// The worker as it holds now.
    package var worker: WorkerOffer { state.withLock { $0.worker.offer } }

    /// What there was at most: what needs more could never run.
    package var capacity: WorkerCapacity { state.withLock { $0.worker.most } }

    /// What was wrong before the run.
    package var warnings: [TrackerProblem] { state.withLock { $0.warnings } }

    // MARK: - While a run goes on

    /// The run has begun.
    func begin(_ outlets: Outlets, clock: RunClock) {
        names.withLock { $0 = outlets.name }
        let warnings = state.withLock { state in
            state.run = outlets
            return state.warnings
        }
        for warning in warnings { outlets.warned(warning) }
        var first = 0
        for thread in threads {
            let base = first
            first += entries.count { $0.thread === thread }
            thread.begin(
                TrackerThread.Run(
                    clock: clock, claimed: { outlets.coordinator.claimed($0) },
                    tell: { [self] news in take(news.changes, of: base + news.tracker) }))
        }
    }

    /// Looks whether a thread hangs where nothing can stop it: what its trackers said does not hold until it goes on.
    func look() {
        for (number, thread) in threads.enumerated() {
            let hangs = state.withLock { state in
                if state.watches.count <= number { state.watches.append(HangWatch()) }
                return state.watches[number].hangs(thread.slot)
            }
            if hangs && state.withLock({ $0.hanging.insert(number).inserted }) {
                suspend(thread)
            } else if !hangs && state.withLock({ $0.hanging.remove(number) }) != nil {
                resume(thread)
            }
        }
    }

    private func suspend(_ thread: TrackerThread) {
        for (index, entry) in entries.enumerated() where entry.thread === thread {
            let message = "tracker '\(entry.facts.name)' hangs in a library function that cannot be stopped"
            let none = Dictionary(entry.facts.provides.map { ($0, UInt64(0)) }, uniquingKeysWith: { $1 })
            take([.totals(none), .warning(TrackerProblem(message: message))], of: index, remembers: false)
        }
    }

    private func resume(_ thread: TrackerThread) {
        for (index, entry) in entries.enumerated() where entry.thread === thread {
            if let totals = state.withLock({ $0.totals[index] }) { take([.totals(totals)], of: index) }
        }
    }

    /// The run is over, or there will be none.
    package func stop() {
        for thread in threads { thread.stop() }
        // The coordinator holds the trackers, too.
        state.withLock { $0.run = nil }
        names.withLock { $0 = nil }
    }

    private func take(_ changes: [TrackedTotals.Change], of tracker: Int, remembers: Bool = true) {
        // The coordinator is told with the mutex held: of two changes the later one must be the last.
        state.withLock { state in
            for case .totals(let totals) in changes where remembers { state.totals[tracker] = totals }
            let isChanged = state.worker.take(changes, of: tracker)
            if isChanged, let run = state.run {
                run.changed(state.worker.offer)
                run.coordinator.change(state.worker.offer)
            }
            for case .warning(let problem) in changes where state.warned.insert(problem.text).inserted {
                if let run = state.run { run.warned(problem) } else { state.warnings.append(problem) }
            }
        }
    }

    fileprivate func warn(_ problem: TrackerProblem) {
        state.withLock { state in
            if state.warned.insert(problem.text).inserted { state.run?.warned(problem) }
        }
    }
}

// MARK: - Claims

extension RunTrackers: ClaimKeeper {
    package func request(_ claim: GuardedClaim) -> UInt64? {
        let keepers = keepers(of: claim)
        for (place, keeper) in keepers.enumerated() {
            let answer = keeper.entry.thread.request(keeper.entry.number, keeper.claim)
            if case .granted = answer { continue }
            if case .failed(let problem) = answer { warn(problem) }
            for granted in keepers[..<place] { granted.entry.thread.release(granted.entry.number, granted.claim) }
            return keeper.entry.facts.interval
        }
        return nil
    }

    package func release(_ claim: GuardedClaim) {
        for keeper in keepers(of: claim) { keeper.entry.thread.release(keeper.entry.number, keeper.claim) }
    }

    /// Trackers that provide some of what is claimed, each with its part.
    private func keepers(of guarded: GuardedClaim) -> [(entry: Entry, claim: ResourceClaim)] {
        let name = names.withLock { $0 }
        return entries.compactMap { entry in
            guard entry.facts.keepsClaims else { return nil }
            let amounts = guarded.claim.amounts.filter { entry.facts.provides.contains($0.name) && $0.amount > 0 }
            guard !amounts.isEmpty else { return nil }
            return (
                entry,
                ResourceClaim(
                    task: name?(guarded.entry.task) ?? "", attempt: UInt32(guarded.entry.attempt),
                    amounts: Dictionary(amounts.map { ($0.name, $0.amount) }, uniquingKeysWith: { $1 }))
            )
        }
    }
}

// MARK: - What trackers are made of

extension TrackerThread {
    fileprivate convenience init(
        file: ProgramSources, allowance: Allowance, directory: String, worker: String,
        log: @escaping @Sendable (_ level: Int, _ text: String) -> Void
    ) throws(PlanRefusal) {
        try self.init { slot in
            Result { () throws(PlanRefusal) in
                let trackers = try LuaTrackerFile(
                    file, allowance: allowance, directory: directory, worker: worker, slot: slot, log: log)
                return (trackers.trackers, trackers)
            }
        }
    }

    fileprivate convenience init(monitor: SystemMonitor) throws(PlanRefusal) {
        let monitor = Handed(monitor)
        try self.init { _ in .success(([monitor.value], nil)) }
    }

    /// Hands the monitor over to its thread.
    private struct Handed: @unchecked Sendable {
        // @unchecked: whoever made it uses it no more.
        let value: SystemMonitor
        init(_ value: SystemMonitor) { self.value = value }
    }
}
