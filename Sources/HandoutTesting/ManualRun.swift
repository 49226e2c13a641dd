package import HandoutCore
package import HandoutScheduler

/// A `SchedulerCore` driven by hand, one call a line, with its state checked after each.
package final class ManualRun {
    private var core: SchedulerCore
    private var output = SchedulerOutput()
    private var running: [TaskID: (attempt: UInt16, slot: Int)] = [:]
    /// The run's clock; set it to let time pass.
    package var now: UInt64 = 0
    /// What the core asked for since `takeActions`.
    package private(set) var actions: [SchedulerAction] = []
    package private(set) var events: [RunEvent] = []
    /// The last lease.
    package private(set) var lease: [LeaseEntry] = []

    package init(_ graph: GraphBuilder, _ configuration: SchedulerConfiguration = SchedulerConfiguration(slots: 2)) {
        var configuration = configuration
        configuration.recordsEvents = true
        core = SchedulerCore(graph: graph.build(), configuration: configuration)
        core.start(now: now, into: &output)
        settle()
    }

    package var counts: Counts { core.counts }
    package var isFinished: Bool { core.isFinished }
    package var nextTimer: UInt64? { core.nextTimer }

    /// Numbers of the tasks given to the slot.
    package func take(_ limit: Int = 1, slot: Int = 0) -> [Int] {
        var buffer = LeaseBuffer()
        let count = core.take(slot: slot, limit: limit, now: now, into: &buffer, output: &output)
        precondition(count == buffer.entries.count)
        lease = buffer.entries
        for entry in lease { running[entry.task] = (entry.attempt, slot) }
        settle()
        return lease.map(\.task.index)
    }

    @discardableResult
    package func finish(
        _ task: Int, attempt: UInt16? = nil, holdsMemory: Bool = true, isFalsy: Bool = false
    ) -> Bool {
        let (known, slot) = running[TaskID(task)] ?? (0, -1)
        defer { settle() }
        return core.finished(
            TaskID(task), attempt: attempt ?? known, slot: slot, holdsMemory: holdsMemory, isFalsy: isFalsy, now: now,
            into: &output)
    }

    @discardableResult
    package func fail(
        _ task: Int, _ ended: Ended = .error, neverRetry: Bool = false, retryAfter: UInt64? = nil
    ) -> Bool {
        let (attempt, slot) = running[TaskID(task)] ?? (0, -1)
        defer { settle() }
        return core.failed(
            TaskID(task), attempt: attempt, slot: slot,
            Failure(ended, neverRetry: neverRetry, retryAfter: retryAfter), now: now, into: &output)
    }

    /// The worker has other totals from now on.
    package func change(_ totals: [String: UInt64]) {
        var offer = core.configuration.local
        offer.capacity.totals.merge(totals) { $1 }
        core.change(offer, now: now)
        settle()
    }

    /// A tracker refuses what the attempt, which the slot took last, would hold.
    package func refuse(_ task: Int, until time: UInt64) {
        guard let entry = lease.first(where: { $0.task.index == task }), let slot = running[entry.task]?.slot else {
            return
        }
        core.refused(entry, slot: slot, until: time, now: now, into: &output)
        settle()
    }

    /// What a strategy is told that was not told before: events without their payload, and rows.
    package func heard() -> [HeardEvent.Kind] { core.takeHeard().map(\.kind) }

    @discardableResult
    package func giveBack(_ task: Int) -> Bool {
        defer { settle() }
        return core.returned(TaskID(task), attempt: running[TaskID(task)]?.attempt ?? 0, now: now, into: &output)
    }

    @discardableResult
    package func expand(_ task: Int, _ elements: Int) -> Bool {
        defer { settle() }
        return core.expanded(TaskID(task), elements: elements, now: now, into: &output)
    }

    @discardableResult
    package func failExpansion(_ task: Int) -> Bool {
        defer { settle() }
        return core.expansionFailed(TaskID(task), now: now, into: &output)
    }

    /// The functions among the row's options have answered; nil: with what was declared.
    @discardableResult
    package func measure(_ task: Int, _ attempt: UInt16, _ measurement: Measurement? = nil) -> Bool {
        defer { settle() }
        return core.measured(TaskID(task), attempt: attempt, measurement, into: &output)
    }

    @discardableResult
    package func failMeasure(_ task: Int, _ attempt: UInt16) -> Bool {
        defer { settle() }
        return core.unmeasured(TaskID(task), attempt: attempt, Failure(.error), now: now, into: &output)
    }

    package func idle(slot: Int) {
        core.idle(slot: slot)
        settle()
    }

    package func advance(to time: UInt64) {
        now = time
        core.advance(now: now, into: &output)
        settle()
    }

    package func cancel() {
        core.cancel(now: now, into: &output)
        settle()
    }

    /// Takes and finishes one task after the other on slot 0 and returns their numbers in that order.
    package func runAll() -> [Int] {
        var order: [Int] = []
        while let task = take().first {
            order.append(task)
            finish(task)
        }
        return order
    }

    package func step(_ events: [SchedulerEvent]) {
        core.step(events, now: now, into: &output)
        settle()
    }

    /// The actions since the last call.
    package func takeActions() -> [SchedulerAction] {
        defer { actions = [] }
        return actions
    }

    /// The rows released since the last call of `takeActions`, in their order.
    package var released: [Int] {
        actions.flatMap { action -> [Int] in
            guard case .release(let first, let count) = action else { return [] }
            return Array(first.index..<first.index + count)
        }
    }

    /// The tasks skipped so far and why.
    package var skipped: [Int: SkipReason] {
        var all: [Int: SkipReason] = [:]
        for event in events {
            if case .taskSkipped(let task, let reason) = event.kind {
                precondition(all[task.index] == nil, "\(task) was skipped twice")
                all[task.index] = reason
            }
        }
        return all
    }

    private func settle() {
        actions += output.actions
        events += output.events
        output.clear()
        core.sanityCheck()
    }
}
