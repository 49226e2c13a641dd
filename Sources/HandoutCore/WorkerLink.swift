/// One task of a lease.
package struct LeaseEntry: Sendable, BitwiseCopyable, Equatable {
    package var task: TaskID
    /// From 1.
    package var attempt: UInt16
    /// Retries after this attempt, should it fail.
    package var retriesLeft: UInt8

    package init(task: TaskID, attempt: UInt16, retriesLeft: UInt8) {
        self.task = task
        self.attempt = attempt
        self.retriesLeft = retriesLeft
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
    /// monotonic clock; the coordinator has just read it.
    func lend(slot: Int, _ entries: [LeaseEntry], time: UInt64)
    /// Items of the slot's lease that were not started.
    func unstarted(slot: Int) -> Int
    /// Takes back at most so many unstarted entries, from the end of the lease.
    func reclaim(slot: Int, atMost: Int, into entries: inout [LeaseEntry])
    /// No one needs these results any more.
    func release(first: TaskID, count: Int)
    /// Rows were appended for a map or reduce that `expand` has counted.
    func append(task: TaskID, first: TaskID, count: Int)
    /// Counts what a map or reduce runs over; not called under the lock. A value that is neither list nor keyed table
    /// is described.
    func expand(_ task: TaskID) -> Result<Int, ExpansionError>
    /// Ends the attempts that run, as cancelled.
    func stopRunning()
    /// An attempt whose deadline passed a grace time ago, in code that nothing can stop; nil when there is none.
    func stuckAttempt() -> FailureReport?
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
