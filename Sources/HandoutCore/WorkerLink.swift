/// One task of a lease.
package struct LeaseEntry: Sendable, BitwiseCopyable, Equatable {
    package var task: TaskID
    /// From 1.
    package var attempt: UInt16
    /// Retries after this attempt, should it fail.
    package var retriesLeft: UInt8
    /// Not the task's function but the one that makes a substitute result runs, for the failure before this attempt.
    package var recovers: Bool

    package init(task: TaskID, attempt: UInt16, retriesLeft: UInt8, recovers: Bool = false) {
        self.task = task
        self.attempt = attempt
        self.retriesLeft = retriesLeft
        self.recovers = recovers
    }
}

/// What the tasks of a lease hold of their worker, one after the other.
package struct LeaseClaim: Sendable, Equatable {
    /// From 0.
    package var variant: Int
    /// 1/10 000, of memory bytes.
    package var amounts: [(name: String, amount: UInt64)]
    /// Indices held of indexed resources.
    package var indices: [(resource: String, names: [String])]
    /// Run time of an attempt in nanoseconds, 0: no limit; nil: that of each task's options.
    package var timeout: UInt64?

    package init(
        variant: Int, amounts: [(name: String, amount: UInt64)], indices: [(resource: String, names: [String])],
        timeout: UInt64? = nil
    ) {
        self.variant = variant
        self.amounts = amounts
        self.indices = indices
        self.timeout = timeout
    }

    package static func == (left: LeaseClaim, right: LeaseClaim) -> Bool {
        left.variant == right.variant && left.timeout == right.timeout
            && left.amounts.elementsEqual(right.amounts) { $0 == $1 }
            && left.indices.elementsEqual(right.indices) { $0 == $1 }
    }
}

/// One attempt that a worker has ended.
package struct Completion: Sendable, BitwiseCopyable {
    package var task: TaskID
    package var attempt: UInt16
    /// Nil: it succeeded.
    package var ended: Ended?
    package var neverRetry = false
    /// Nanoseconds, when the task asked for a pause of its own.
    package var retryAfter: UInt64?
    /// The result occupies memory beside its cell.
    package var holdsMemory = false
    /// The result is nil or false.
    package var isFalsy = false
    package var bytes: UInt64 = 0
    package var nanoseconds: UInt64 = 0

    package init(task: TaskID, attempt: UInt16, ended: Ended?, nanoseconds: UInt64) {
        self.task = task
        self.attempt = attempt
        self.ended = ended
        self.nanoseconds = nanoseconds
    }
}

/// An attempt that failed, in words.
package struct FailureReport: Sendable, Equatable {
    package var task: TaskID
    package var attempt: UInt16
    package var ended: Ended
    package var message: String
    /// "file:line: in …" lines, innermost first.
    package var traceback: String
    package var file: String?
    package var line: Int?
    package var worker: String
    /// Its task is absent now, and the run not failed.
    package var optional = false
    /// It is of the function that makes a substitute result, which has no attempt of its own.
    package var isOfRecovery = false

    package init(
        task: TaskID, attempt: UInt16, ended: Ended, message: String, traceback: String = "", file: String? = nil,
        line: Int? = nil, worker: String
    ) {
        self.task = task
        self.attempt = attempt
        self.ended = ended
        self.message = message
        self.traceback = traceback
        self.file = file
        self.line = line
        self.worker = worker
    }
}

/// The one seam between a run and what runs its tasks: pool threads, runner processes, hosts.
///
/// Unless said otherwise the coordinator calls these while it holds its lock: they must be quick and must not call back.
package protocol WorkerLink: AnyObject, Sendable {
    /// Leases it can hold at one time.
    var slots: Int { get }
    /// Appends what the slot has ended since it was asked last; results are kept by the link, failures described in
    /// `failures`.
    func collect(slot: Int, into completions: inout [Completion], failures: inout [FailureReport])
    /// Gives the slot, whose last lease has ended and was collected, a new one. `time`: now, in nanoseconds of the
    /// monotonic clock; the coordinator has just read it. `claim`: nil where tasks hold their cpu and memory and nothing
    /// else.
    func lend(slot: Int, _ entries: [LeaseEntry], claim: LeaseClaim?, time: UInt64)
    /// Items of the slot's lease that were not started.
    func unstarted(slot: Int) -> Int
    /// Takes back at most so many unstarted entries, from the end of the lease.
    func reclaim(slot: Int, atMost: Int, into entries: inout [LeaseEntry])
    /// No one needs these results any more.
    func release(first: TaskID, count: Int)
    /// Rows were appended for a map or reduce that `expand` has counted.
    func append(task: TaskID, first: TaskID, count: Int)
    /// The row ended without a value; `failed`: because it, or what it needs, did not succeed.
    func missing(_ task: TaskID, failed: Bool)
    /// The task's next lease is of the function that makes a substitute result for its last failure.
    func recover(_ task: TaskID)
    /// Counts what a map or reduce runs over, and finds what a selector or select picks and what a condition's value is;
    /// on the slot's own thread, not under the lock. A value that is neither list nor keyed table is described.
    func expand(_ task: TaskID, slot: Int) -> Result<Expansion, ExpansionError>
    /// Asks the functions among the options of a task, before that attempt of it; on the slot's own thread, not under the
    /// lock.
    func measure(_ task: TaskID, attempt: UInt16, after history: AttemptHistory, slot: Int)
        -> Result<Measurement, MeasurementError>
    /// The attempt failed before it had begun: `recover` of the task may follow. Adds the place where there is none.
    func unmeasured(_ error: inout MeasurementError)
    /// Ends the attempts that run, as cancelled.
    func stopRunning()
    /// An attempt whose deadline passed a grace time ago, in code that nothing can stop; nil when there is none.
    func stuckAttempt() -> FailureReport?
    /// The slot's thread hangs in something that is no attempt: another one serves the slot. False: there is none. On the
    /// thread that owns the link.
    func replaceThread(slot: Int) -> Bool
}

/// What the executor found out about a value, for a row that is no task.
package enum Verdict: UInt8, Sendable, BitwiseCopyable {
    case truthy = 0
    case falsy
    /// There is no such element.
    case absent
    /// A list of picked elements.
    case list
}

/// What a row runs over, as `WorkerLink.expand` finds it.
package struct Expansion: Sendable {
    /// Elements that a map, reduce or selector runs over; 1 for other rows.
    package var elements: Int
    /// For a row that picks instances of a map: the picks of element i are `picks[offsets[i] ..< offsets[i + 1]]`.
    package var pickOffsets: [UInt32]
    /// Rows of instances.
    package var picks: [UInt32]
    /// Of each element, for a selector, select or input: what its value is, so far as no picked row tells.
    package var verdicts: [Verdict]

    package init(elements: Int, pickOffsets: [UInt32] = [], picks: [UInt32] = [], verdicts: [Verdict] = []) {
        self.elements = elements
        self.pickOffsets = pickOffsets
        self.picks = picks
        self.verdicts = verdicts
    }
}

/// A map or reduce cannot run over the value it was given.
package struct ExpansionError: Error, Sendable {
    package var message: String
    /// Where the map or reduce was declared.
    package var file: String?
    package var line: Int?

    package init(message: String, file: String? = nil, line: Int? = nil) {
        self.message = message
        self.file = file
        self.line = line
    }
}
