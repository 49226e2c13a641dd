/// Why a task was never run.
package enum SkipReason: UInt8, Sendable, BitwiseCopyable, CaseIterable, CustomStringConvertible {
    /// What it needs, or comes after, did not succeed.
    case upstream = 1
    /// The run was stopped first.
    case cancelled
    /// A condition was not met.
    case when

    package var description: String {
        switch self {
        case .upstream: "upstream"
        case .cancelled: "cancelled"
        case .when: "when"
        }
    }
}

/// One entry of the ordered stream that journal, progress, report and dashboard read.
package struct RunEvent: Sendable, BitwiseCopyable, Equatable {
    package enum Kind: Sendable, BitwiseCopyable, Equatable {
        case runStarted(seed: UInt64)
        /// A map or reduce knows how many elements it runs over; its rows were appended.
        case mapExpanded(TaskID, elements: UInt32)
        /// Nothing that the attempt needs is missing. Again, with the same number, where it was lent and came back unstarted.
        case taskReady(TaskID, attempt: UInt16)
        /// `variant`: which of its requests it holds, from 0.
        case taskStarted(TaskID, attempt: UInt16, slot: UInt16, variant: UInt8 = 0)
        case taskFinished(TaskID, attempt: UInt16, slot: UInt16, nanoseconds: UInt64, bytes: UInt64)
        /// An attempt did not succeed. `final`: there is none after it and the task counts as failed; else the next
        /// one may start `retryAfter` nanoseconds later. An expansion that failed has attempt 0.
        case taskFailed(TaskID, attempt: UInt16, ended: Ended, final: Bool, retryAfter: UInt64)
        /// Also for a map row, which counts as no task.
        case taskSkipped(TaskID, SkipReason)
        /// Nothing more is started until the run goes on.
        case runPaused
        case runResumed
        case runFinished(ok: Bool)
    }

    /// Nanoseconds on the run's own clock.
    package var time: UInt64
    package var kind: Kind

    @inline(__always) package init(time: UInt64, kind: Kind) {
        self.time = time
        self.kind = kind
    }
}
