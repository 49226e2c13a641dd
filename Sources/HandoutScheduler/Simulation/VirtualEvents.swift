import HandoutCore

/// What is going to happen in virtual time.
enum VirtualEvent: Sendable, BitwiseCopyable {
    /// The task that a slot runs ends.
    case taskEnds(slot: Int)
    /// A report arrives, maybe for the second time.
    case report(SchedulerEvent)
    case expansion(TaskID)
    case measurement(TaskID, attempt: UInt16)
    case timer
    case cancel
    case resume
}
