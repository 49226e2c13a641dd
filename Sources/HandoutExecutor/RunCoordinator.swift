package import HandoutCore
package import HandoutScheduler

/// What a slot's thread is to do next.
package enum Directive: Sendable {
    /// A lease was lent to the slot.
    case run
    /// The run is over.
    case stop
}

/// Something about a run that an observer may show; drained with `RunCoordinator.drainNotes`.
package enum RunNote: Sendable {
    /// An attempt failed and another will be made.
    case retrying(FailureReport, after: UInt64)
    /// A task failed for good.
    case failed(FailureReport)
}

/// How a run stands.
package struct RunSnapshot: Sendable {
    package var counts: Counts
    package var isFinished: Bool
    /// A deadline passed in code that cannot be stopped: the run was given up with attempts still running.
    package var isAbandoned: Bool
}

/// The scheduler core behind one mutex, and the only owner of a run's state.
///
/// Whoever has events enters, feeds them to the core, takes its own next work, and leaves. Nothing here calls Lua.
package final class RunCoordinator: @unchecked Sendable {
    // @unchecked: everything below `gate` is touched with the gate locked.
    private let gate = Gate()
    private let link: any WorkerLink
    private let worker: String
    private var core: SchedulerCore
    private var output = SchedulerOutput()
    private var lease = LeaseBuffer()
    private var takenBack: [LeaseEntry] = []
    private var completions: [Completion] = []
    private var reports: [FailureReport] = []
    private var expansions: [TaskID] = []
    private var pending: [UInt64: FailureReport] = [:]
    private var notes: [RunNote] = []
    private var failures: [FailureReport] = []
    private var pace: [SlotPace]
    private var idle = 0
    private var abandoned = false
    private var finishedAt: UInt64?
    private let epoch: UInt64

    /// - Parameter worker: name of the link's worker, for reports.
    package init(graph: GraphColumns, configuration: SchedulerConfiguration, link: any WorkerLink, worker: String) {
        self.link = link
        self.worker = worker
        core = SchedulerCore(graph: graph, configuration: configuration)
        pace = Array(repeating: SlotPace(), count: configuration.slots)
        epoch = monotonicNow()
    }

    /// Makes the first tasks ready. Once, before any slot asks.
    package func start() {
        gate.lock()
        defer { gate.unlock() }
        core.start(now: now(), into: &output)
        perform()
    }

    /// Takes what the slot has ended and returns when there is more for it to do. Called by the slot's own thread.
    package func next(slot: Int) -> Directive {
        gate.lock()
        defer { gate.unlock() }
        pace[slot].ended(now: now())
        _ = collect(slot)
        pace[slot].measure()
        var pause: UInt64 = 100_000
        while true {
            if core.isFinished || abandoned { return .stop }
            if let task = expansions.popLast() {
                expand(task)
                continue
            }
            let time = now()
            if let timer = core.nextTimer, timer <= time { core.advance(now: time, into: &output) }
            if lend(slot, time) { return .run }
            core.idle(slot: slot)
            if helpOthers(slot) { continue }
            var until = time + pause
            if let timer = core.nextTimer, timer < until { until = timer }
            pause = min(pause * 2, 20_000_000)
            idle += 1
            gate.wait(until: epoch + until)
            idle -= 1
        }
    }

    /// Starts nothing more; what runs may end.
    package func cancel() {
        gate.lock()
        defer { gate.unlock() }
        core.cancel(now: now(), into: &output)
        perform()
    }

    /// Starts nothing more, and ends what runs as cancelled.
    package func stop() {
        cancel()
        link.stopRunning()
    }

    /// Gives the run up while an attempt still runs in code that nothing can stop.
    private func abandon(_ report: FailureReport) {
        guard !core.isFinished, !abandoned else { return }
        failures.append(report)
        notes.append(.failed(report))
        core.cancel(now: now(), into: &output)
        perform()
        abandoned = true
        gate.wakeAll()
    }

    /// How the run stands now; what is ended and not yet reported by its thread is counted first.
    package func snapshot() -> RunSnapshot {
        gate.lock()
        defer { gate.unlock() }
        for slot in 0..<link.slots { _ = collect(slot) }
        if let stuck = link.stuckAttempt() { abandon(stuck) }
        return RunSnapshot(counts: core.counts, isFinished: core.isFinished, isAbandoned: abandoned)
    }

    /// Waits until the run is over or `time` (monotonic nanoseconds) has come.
    package func wait(until time: UInt64) {
        gate.lock()
        defer { gate.unlock() }
        while !core.isFinished && !abandoned && monotonicNow() < time { gate.wait(until: time) }
    }

    package func drainNotes() -> [RunNote] {
        gate.lock()
        defer { gate.unlock() }
        defer { notes.removeAll() }
        return notes
    }

    /// What failed for good, in the order in which it did.
    package var allFailures: [FailureReport] {
        gate.lock()
        defer { gate.unlock() }
        return failures
    }

    // MARK: - With the gate locked

    private func now() -> UInt64 { monotonicNow() - epoch }

    /// Feeds what a slot has ended to the core. True when there was anything.
    private func collect(_ slot: Int) -> Bool {
        completions.removeAll(keepingCapacity: true)
        reports.removeAll(keepingCapacity: true)
        link.collect(slot: slot, into: &completions, failures: &reports)
        guard !completions.isEmpty else { return false }
        for report in reports { pending[key(report.task, report.attempt)] = report }
        let time = now()
        for index in completions.indices {
            let completion = completions[index]
            if let ended = completion.ended {
                core.failed(
                    completion.task, attempt: completion.attempt, slot: slot,
                    Failure(ended, neverRetry: completion.neverRetry, retryAfter: completion.retryAfter), now: time,
                    into: &output)
            } else {
                core.finished(
                    completion.task, attempt: completion.attempt, slot: slot, holdsMemory: completion.holdsMemory,
                    nanoseconds: completion.nanoseconds, bytes: completion.bytes, now: time, into: &output)
            }
        }
        pace[slot].collected(completions.count)
        perform()
        return true
    }

    private func key(_ task: TaskID, _ attempt: UInt16) -> UInt64 { UInt64(task.rawValue) << 16 | UInt64(attempt) }

    private func perform() {
        guard !output.actions.isEmpty else { return }
        for action in output.actions {
            switch action {
            case .expand(let task): expansions.append(task)
            case .rows(let task, let first, let count): link.append(task: task, first: first, count: count)
            case .release(let first, let count): link.release(first: first, count: count)
            case .retry(let task, let attempt, let after):
                if let report = pending.removeValue(forKey: key(task, attempt)) {
                    notes.append(.retrying(report, after: after))
                }
            case .giveUp(let task, let attempt, let ended): giveUp(task, attempt, ended)
            case .stopRunning: link.stopRunning()
            case .finish:
                finishedAt = now()
                gate.wakeAll()
            }
        }
        output.clear()
    }

    private func giveUp(_ task: TaskID, _ attempt: UInt16, _ ended: Ended) {
        guard let report = pending.removeValue(forKey: key(task, attempt)) else { return }
        if ended == .cancelled { return }
        failures.append(report)
        notes.append(.failed(report))
    }

    /// Counts the elements of a map or reduce, the gate unlocked meanwhile.
    private func expand(_ task: TaskID) {
        gate.unlock()
        let counted = link.expand(task)
        gate.lock()
        switch counted {
        case .success(let elements): core.expanded(task, elements: elements, now: now(), into: &output)
        case .failure(let error):
            let report = FailureReport(
                task: task, attempt: 0, ended: .result, message: error.message, worker: worker)
            pending[key(task, 0)] = report
            core.expansionFailed(task, now: now(), into: &output)
        }
        perform()
        if idle > 0 { gate.wakeAll() }
    }

    private func lend(_ slot: Int, _ time: UInt64) -> Bool {
        let ready = core.counts.ready
        guard ready > 0 else { return false }
        let fair = max(1, ready / max(1, link.slots))
        let limit = min(pace[slot].limit, fair)
        lease.clear()
        guard core.take(slot: slot, limit: limit, now: time, into: &lease, output: &output) > 0 else { return false }
        link.lend(slot: slot, lease.entries)
        pace[slot].started(now: time)
        if idle > 0 && core.counts.ready > 0 && pace[slot].isWorthWaking(tasks: core.counts.ready) { gate.wakeOne() }
        return true
    }

    /// A slot without work looks at what others have ended, then takes half of what the fullest one has not begun.
    private func helpOthers(_ slot: Int) -> Bool {
        var collected = false
        var fullest = -1
        var most = 0
        for other in 0..<link.slots where other != slot {
            if collect(other) { collected = true }
            let unstarted = link.unstarted(slot: other)
            if unstarted > most { (fullest, most) = (other, unstarted) }
        }
        if collected && (core.counts.ready > 0 || !expansions.isEmpty) { return true }
        guard fullest >= 0, pace[fullest].runsLong(now: now()) else { return false }
        takenBack.removeAll(keepingCapacity: true)
        link.reclaim(slot: fullest, atMost: (most + 1) / 2, into: &takenBack)
        for entry in takenBack { core.returned(entry.task, attempt: entry.attempt, now: now(), into: &output) }
        perform()
        return !takenBack.isEmpty
    }
}
