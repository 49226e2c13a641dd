package import HandoutCore

/// What a run is allowed and asked to do.
package struct SchedulerConfiguration: Sendable {
    /// Leases that may be out at one time.
    package var slots: Int
    /// The worker that the slots are of.
    package var local: WorkerOffer
    /// Tasks are placed on workers that join, one by one, and not lent to slots.
    package var hasWorkers = false
    /// Pools of the whole cluster.
    package var shared: [String: UInt64] = [:]
    package var allocator = Allocator.loadBalanced
    /// After a final failure, what does not depend on it goes on.
    package var keepGoing: Bool
    /// Decides the spread of pauses.
    package var seed: UInt64
    /// Only these and what they need are run; empty: all.
    package var targets: [TaskID]
    /// Their results are never released.
    package var outputs: [TaskID]
    package var recordsEvents: Bool
    /// What happens is kept for a strategy too, which asks for it (`SchedulerCore.takeHeard`).
    package var tellsStrategy = false
    /// Totals, labels and price of the worker may change while the run goes on (`SchedulerCore.change`).
    package var isTracked = false
    /// Resources that a tracker is asked for before an attempt holds some: leases that do are of one task.
    package var guarded: Set<String> = []
    /// Bytes that an attempt without `memory` may use.
    package var taskMemory: UInt64 = 256 << 20

    /// `cpu`: one core a slot when not given.
    package init(
        slots: Int, cpu: UInt64? = nil, keepGoing: Bool = false, seed: UInt64 = 0, targets: [TaskID] = [],
        outputs: [TaskID] = [], recordsEvents: Bool = false
    ) {
        self.slots = slots
        let cores = cpu ?? UInt64(max(0, slots)) * 10_000
        local = WorkerOffer(capacity: WorkerCapacity(name: "local", totals: ["cpu": cores]))
        self.keepGoing = keepGoing
        self.seed = seed
        self.targets = targets
        self.outputs = outputs
        self.recordsEvents = recordsEvents
    }
}

/// How an attempt failed.
package struct Failure: Sendable, BitwiseCopyable {
    package var ended: Ended
    package var neverRetry: Bool
    /// Asked for by the task, in nanoseconds; nil: the task's own pause.
    package var retryAfter: UInt64?

    package init(_ ended: Ended, neverRetry: Bool = false, retryAfter: UInt64? = nil) {
        self.ended = ended
        self.neverRetry = neverRetry
        self.retryAfter = retryAfter
    }
}

/// What happened outside, for `SchedulerCore.step`. A slot of -1: none.
package enum SchedulerEvent: Sendable, BitwiseCopyable {
    case started
    case finished(
        TaskID, attempt: UInt16, slot: Int16, holdsMemory: Bool, isFalsy: Bool = false, nanoseconds: UInt64,
        bytes: UInt64)
    case failed(TaskID, attempt: UInt16, slot: Int16, Failure)
    case returned(TaskID, attempt: UInt16)
    case expanded(TaskID, elements: UInt32)
    case expansionFailed(TaskID)
    /// Answers `measure`, with what was declared.
    case measured(TaskID, attempt: UInt16)
    case unmeasured(TaskID, attempt: UInt16, Failure)
    case idle(slot: Int16)
    case timeReached
    case cancelled
}

/// What the executor is to do.
package enum SchedulerAction: Sendable, BitwiseCopyable, Equatable {
    /// Find out how many elements this row runs over and which ones it picks, and answer `expanded` or
    /// `expansionFailed`.
    case expand(TaskID)
    /// Ask the functions among the row's options, before that attempt of it, and answer `measured` or `unmeasured`.
    case measure(TaskID, attempt: UInt16)
    /// The row has ended without a value; `failed`: because it, or what it needs, did not succeed.
    case missing(TaskID, failed: Bool)
    /// The last attempt failed: the row's own function for that case is given what it raised.
    case recover(TaskID, attempt: UInt16)
    /// `count` rows from `first` on were appended for this map or reduce; of a map over a graph first the instances,
    /// then the rows of the graph once an instance.
    case rows(TaskID, first: TaskID, count: Int)
    /// No one needs the results of `count` rows from `first` on any more.
    case release(first: TaskID, count: Int)
    /// The attempt failed; another may start `after` nanoseconds from now.
    case retry(TaskID, attempt: UInt16, after: UInt64)
    /// The attempt failed and there is none after it.
    case giveUp(TaskID, attempt: UInt16, Ended)
    /// Fail-fast: cancel the attempts that run.
    case stopRunning
    /// Every task has ended. Comes once.
    case finish
}

/// Buffers that the core appends to; the caller reads and clears them, and passes the same ones again.
package struct SchedulerOutput: Sendable {
    package var actions: [SchedulerAction] = []
    /// Filled only when the configuration records events.
    package var events: [RunEvent] = []

    package init() {}

    /// Results that go together are mostly neighbours: a million of them are one action.
    @inline(__always)
    mutating func release(_ row: Int) {
        if case .release(let first, let count)? = actions.last, first.index + count == row {
            actions[actions.count - 1] = .release(first: first, count: count + 1)
        } else {
            actions.append(.release(first: TaskID(row), count: 1))
        }
    }

    package mutating func clear() {
        actions.empty()
        events.empty()
    }
}

/// The tasks that `take` gave out, in the order in which to run them; kept by the caller and used again.
package struct LeaseBuffer: Sendable {
    package var entries: [LeaseEntry] = []
    package init() {}
    package mutating func clear() { entries.empty() }
}

/// How many tasks are where. `done`, `failed` and `skipped` are disjoint and cover all of `total` at the end.
///
/// Counted are rows that run a function: tasks, instances of maps, and the nodes of reduces, roots included. A map row
/// counts only when it has no instances: as one failed task when its expansion failed, as one skipped when it never was.
package struct Counts: Sendable, Equatable {
    package var total = 0
    package var done = 0
    package var failed = 0
    package var skipped = 0
    package var running = 0
    package var ready = 0
    package var waiting: Int { total - done - failed - skipped - running - ready }
    package init() {}
}
