package import HandoutCore

/// Attempts for which a tracker is asked between `take` and their start.
extension SchedulerCore {
    /// The attempt that the slot has just taken is not told of as started yet: a tracker is asked first.
    package func withdrawStart(of entry: LeaseEntry, output: inout SchedulerOutput) {
        if case .taskStarted(entry.task, entry.attempt, _, _)? = output.events.last?.kind { output.events.removeLast() }
        guard let placer, case .run(.taskStarted(entry.task, entry.attempt, _, _))? = placer.heard.last?.kind else {
            return
        }
        placer.heard.removeLast()
    }

    /// The tracker granted what the attempt holds: it starts.
    package func granted(_ entry: LeaseEntry, slot: Int, now: UInt64, output: inout SchedulerOutput) {
        if isWatched { noteStart(entry.task.index, entry.attempt, slot, now, &output) }
    }

    /// A tracker refused what the attempt would hold: nothing is held, and the task is ready again at `time`, with the same
    /// attempt number.
    package mutating func refused(
        _ entry: LeaseEntry, slot: Int, until time: UInt64, now: UInt64, into output: inout SchedulerOutput
    ) {
        let row = entry.task.index
        releaseClaim(ofSlot: slot, now: now)
        guard !isDraining else {
            returned(entry.task, attempt: entry.attempt, now: now, into: &output)
            return
        }
        guard isRunning(row, entry.attempt) else { return }
        counts.running -= 1
        attempts[row] -= 1
        setState(row, RowState.paused)
        timers.insert(TimerHeap.Entry(time: time, task: entry.task.rawValue, attempt: attempts[row]))
    }
}
