package import HandoutCore
package import HandoutScheduler

/// What a slot's thread is to do next.
package enum Directive: Sendable {
    /// A lease was lent to the slot.
    case run
    /// The run is over.
    case stop
    /// Another thread serves the slot now: this one hung for too long.
    case leave
}

/// Something about a run that an observer may show; drained with `RunCoordinator.drainNotes`.
package enum RunNote: Sendable {
    /// An attempt failed and another will be made, `after` nanoseconds from then.
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
    /// It was stopped before its end, and not for a failure.
    package var isCancelled: Bool
    /// A failure has ended the attempts that ran.
    package var isStopping: Bool
}

/// The scheduler core behind one mutex, and the only owner of a run's state.
///
/// Whoever has events enters, feeds them to the core, takes its own next work, and leaves. Nothing here calls Lua.
package final class RunCoordinator: @unchecked Sendable {
    // @unchecked: `state` is touched with the gate locked.
    let gate = Gate()
    private let link: any WorkerLink
    var state: CoordinatorState
    private let epoch: UInt64
    private let keeper: (any ClaimKeeper)?

    /// - Parameters:
    ///   - worker: name of the link's worker, for reports.
    ///   - most: what it has at most, where that may change; nil: what the configuration says.
    ///   - coresFlag: how to get more cores, for messages.
    ///   - clock: the run's own clock, which the times of its events are of.
    ///   - strategist: asks a strategy in Lua, which decides what runs; nil: the built-in order.
    ///   - keeper: asked before attempts hold what the configuration names as `guarded`.
    package init(
        graph: GraphColumns, configuration: SchedulerConfiguration, link: any WorkerLink, worker: String,
        most: WorkerCapacity? = nil, coresFlag: String? = nil, clock: RunClock = RunClock(),
        strategist: (any Strategist)? = nil,
        keeper: (any ClaimKeeper)? = nil
    ) {
        self.link = link
        self.keeper = keeper
        epoch = clock.epoch
        state = CoordinatorState(
            graph: graph, configuration: configuration, link: link, worker: worker,
            capacity: Capacity(
                workers: [most ?? configuration.local.capacity], shared: configuration.shared, coresFlag: coresFlag),
            epoch: epoch, strategist: strategist, keeper: keeper)
    }

    /// Makes the first tasks ready. Once, before any slot asks.
    package func start() {
        locked { state, now in
            state.core.start(now: now, into: &state.output)
            state.perform()
        }
    }

    /// From now on the run shares what it runs on with others. Before `start`.
    package func share(_ capacity: SharedCapacity, weight: Double, slots: Int) {
        let number = capacity.join(weight: weight) { [gate] in gate.wakeAll() }
        locked { state, _ in state.shared = SharedPart(capacity, number: number, slots: slots) }
    }

    /// Whatever of the run is still held of what it shares is free. After its end.
    package func leaveShared() {
        let part = locked { state, _ in
            defer { state.shared = nil }
            return state.shared
        }
        part?.capacity.leave(part?.number ?? 0)
    }

    /// Takes what the slot has ended and returns when there is more for it to do. Called by the slot's own thread.
    package func next(slot: Int) -> Directive {
        gate.lock()
        defer { gate.unlock() }
        var pause: UInt64 = 100_000
        var isFirst = true
        var inquiries = 0
        while true {
            let time = now()
            // One that is told of much and decides nothing is not asked for ever.
            let step = state.next(slot, time, isFirst: isFirst, mayAsk: inquiries < 4, pause: pause)
            isFirst = false
            wake()
            switch step {
            case .run: return .run
            case .stop: return .stop
            case .expand(let task):
                gate.unlock()
                let counted = link.expand(task, slot: slot)
                gate.lock()
                state.expanded(task, counted, now: now())
            case .measure(let task, let attempt, let history):
                gate.unlock()
                let measured = link.measure(task, attempt: attempt, after: history, slot: slot)
                gate.lock()
                state.measured(task, attempt, measured, now: now())
            case .request(let claim):
                gate.unlock()
                let refused = keeper?.request(claim)
                gate.lock()
                if state.answered(claim, refused, slot: slot, now: now()) {
                    wake()
                    return .run
                }
            case .ask(let number, let strategist):
                inquiries += 1
                gate.unlock()
                strategist.ask(GuardedCore(self, inquiry: number))
                gate.lock()
                guard state.answered(number, now: now()) else { return .leave }
            case .wait(let until):
                inquiries = 0
                pause = min(pause * 2, 5_000_000)
                state.idle += 1
                gate.wait(until: epoch + until)
                state.idle -= 1
            }
        }
    }

    /// Starts nothing more until `resume`; what runs goes on.
    package func pause() { locked { $0.pause(now: $1) } }

    package func resume() { locked { $0.resume(now: $1) } }

    /// Starts nothing more; what runs may end.
    package func cancel() { locked { $0.cancel(now: $1) } }

    /// Starts nothing more, and ends what runs as cancelled.
    package func stop() {
        cancel()
        link.stopRunning()
    }

    /// How the run stands now; what has ended and was not yet reported by its thread is counted first.
    package func snapshot() -> RunSnapshot {
        _ = watchStrategy()
        return locked { state, now in
            state.collectAll(now: now)
            state.abandonIfStuck(now: now)
            return RunSnapshot(
                counts: state.core.counts, isFinished: state.core.isFinished, isAbandoned: state.isAbandoned,
                isCancelled: state.core.isDraining && !state.core.hasFailed, isStopping: state.isStopping)
        }
    }

    /// Sees to it that a strategy that is being asked does not hold the run up: now and then, also while threads are waited for
    /// after its end. False: the run was given up.
    package func watchStrategy() -> Bool {
        let (hung, isAbandoned) = locked { state, now in (state.watchInquiry(now: now), state.isAbandoned) }
        hung?.hangs()
        return !isAbandoned
    }

    /// Waits until the run is over or `time` (monotonic nanoseconds) has come.
    package func wait(until time: UInt64) {
        gate.lock()
        defer { gate.unlock() }
        while !state.isOver && monotonicNow() < time { gate.wait(until: time) }
    }

    package func drainNotes() -> [RunNote] {
        locked { state, _ in
            let notes = state.notes
            state.notes.removeAll()
            return notes
        }
    }

    /// The events since the last call, in order, and what describes the failed attempts among them. Empty unless the
    /// configuration records events. Events that follow are not before `time`, of the run's own clock.
    package func drainEvents() -> (events: [RunEvent], failures: [FailureReport], time: UInt64) {
        locked { state, now in
            let drained = (state.output.events, state.described, now)
            state.output.events.removeAll(keepingCapacity: true)
            state.described.removeAll()
            return drained
        }
    }

    /// The worker has, costs or is labelled otherwise from now on.
    package func change(_ offer: WorkerOffer) { locked { $0.change(offer, now: $1) } }

    /// What attempts hold now of these resources.
    package func claimed(_ resources: [String]) -> [String: UInt64] {
        locked { state, _ in
            Dictionary(resources.map { ($0, state.core.claimed($0)) }, uniquingKeysWith: { first, _ in first })
        }
    }

    /// What failed for good, in the order in which it did.
    package var allFailures: [FailureReport] { locked { state, _ in state.failures } }

    func now() -> UInt64 { monotonicNow() - epoch }

    private func locked<Result>(_ body: (inout CoordinatorState, UInt64) -> Result) -> Result {
        gate.lock()
        defer { gate.unlock() }
        defer { wake() }
        return body(&state, now())
    }

    /// Wakes who should look again. With the gate locked.
    private func wake() {
        if state.wakesAll { gate.wakeAll() } else if state.wakesOne { gate.wakeOne() }
        state.wakesAll = false
        state.wakesOne = false
    }
}

extension CoordinatorState {
    /// What a slot's thread does next.
    enum Step {
        case run, stop
        /// Count the elements of this map or reduce, outside the gate.
        case expand(TaskID)
        /// Ask the functions among the task's options, outside the gate.
        case measure(TaskID, attempt: UInt16, after: AttemptHistory)
        /// Ask a tracker for what the attempt is to hold, outside the gate.
        case request(GuardedClaim)
        /// Ask the strategy, outside the gate.
        case ask(inquiry: Int, any Strategist)
        case wait(until: UInt64)
    }

    /// One look at the run by a slot's thread; `isFirst`: it has just ended a lease; `mayAsk`: it may ask a strategy;
    /// `pause`: how long it may wait.
    mutating func next(_ slot: Int, _ now: UInt64, isFirst: Bool, mayAsk: Bool, pause: UInt64) -> Step {
        if isFirst { report(slot: slot, now: now) }
        while true {
            if isOver {
                if let step = lastInquiry(slot, now) { return step }
                shared?.release(slot, time: epoch + now)
                return .stop
            }
            if let task = expansions.popLast() { return .expand(task) }
            if let timer = core.nextTimer, timer <= now {
                core.advance(now: now, into: &output)
                perform()
            }
            if !measurements.isEmpty, !core.isPaused, let next = nextMeasurement() { return next }
            if let step = lend(slot, now, mayAsk: mayAsk) { return step }
            core.idle(slot: slot)
            shared?.release(slot, time: epoch + now)
            if helpOthers(slot, now) { continue }
            if let timer = core.nextTimer, timer < now + pause { return .wait(until: timer) }
            return .wait(until: now + pause)
        }
    }
}
