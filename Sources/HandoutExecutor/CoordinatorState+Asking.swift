import Glibc
package import HandoutCore
package import HandoutScheduler

/// Asks a strategy, which is slow and unproven code: outside the lock, by one thread at a time, of what was taken down under it.
package protocol Strategist: AnyObject, Sendable {
    /// CPU time in nanoseconds after which a call hangs that nothing ends.
    var patience: UInt64 { get }
    /// Under the lock: takes down what is to be asked next. False: nothing is.
    ///
    /// - Parameter reports: describe the attempts that failed since it last returned true.
    func begin(_ core: inout SchedulerCore, now: UInt64, reports: [FailureReport]) -> Bool
    /// Not under the lock: for as long as the strategy's budget allows.
    func ask(_ reader: any CoreReader)
    /// Under the lock: hands in what was answered.
    func end(
        _ core: inout SchedulerCore, now: UInt64, into placements: inout [Placement], output: inout SchedulerOutput)
    /// The call that goes on, if any, is to end: nobody needs its answer. From any thread.
    func interrupt()
    /// The call that goes on did not end, and is left as it is: it will not be asked again. From any thread, not under the
    /// lock.
    func hangs()
}

/// The scheduler, for what is looked up while a strategy answers.
package protocol CoreReader: AnyObject {
    /// Calls `body`, which must be quick. False: it was not called, as nobody waits for the answer any more.
    func read(_ body: (UnsafeMutablePointer<SchedulerCore>) -> Void) -> Bool
}

/// The scheduler of a run, under its lock for each look.
final class GuardedCore: CoreReader {
    private let coordinator: RunCoordinator
    private let inquiry: Int

    init(_ coordinator: RunCoordinator, inquiry: Int) {
        self.coordinator = coordinator
        self.inquiry = inquiry
    }

    func read(_ body: (UnsafeMutablePointer<SchedulerCore>) -> Void) -> Bool {
        coordinator.gate.withLock {
            guard coordinator.state.inquiry?.number == inquiry else { return false }
            withUnsafeMutablePointer(to: &coordinator.state.core, body)
            return true
        }
    }
}

/// A strategy that is asked while the run goes on: slots with a lease run it, others take what was decided before.
extension CoordinatorState {
    struct Inquiry {
        let number: Int
        /// Whose thread asks.
        let slot: Int
        /// CPU time of that thread.
        let clock: clockid_t
        /// What the clock said when the call was first looked at, and when that was; nil: it is younger.
        var seen: (cpu: UInt64, time: UInt64)?
    }

    /// Nanoseconds for which a call may go on that nobody needs.
    private static let courtesy: UInt64 = 100_000_000

    /// What the strategy is asked or told now, by this slot, which runs nothing; nil: nothing, or another slot asks.
    mutating func nextInquiry(_ slot: Int, _ now: UInt64) -> Step? {
        guard inquiry == nil, let strategist else { return nil }
        // What its last lease held is free, for the strategy too.
        core.idle(slot: slot)
        guard core.hasQuestions || core.hasHeard || core.wantsRound(now: now),
            strategist.begin(&core, now: now, reports: untold)
        else { return nil }
        untold.removeAll(keepingCapacity: true)
        shared?.release(slot, time: epoch + now)
        inquiries += 1
        var clock = clockid_t()
        pthread_getcpuclockid(pthread_self(), &clock)
        inquiry = Inquiry(number: inquiries, slot: slot, clock: clock)
        core.strategyIsAsked(true)
        return .ask(inquiry: inquiries, strategist)
    }

    /// The run is over: the strategy is told how it ended.
    mutating func lastInquiry(_ slot: Int, _ now: UInt64) -> Step? {
        core.hasHeard && !isAbandoned ? nextInquiry(slot, now) : nil
    }

    /// The strategy has answered. False: nobody waited for it any more.
    mutating func answered(_ number: Int, now: UInt64) -> Bool {
        guard inquiry?.number == number, let strategist else { return false }
        inquiry = nil
        core.strategyIsAsked(false)
        strategist.end(&core, now: now, into: &placements, output: &output)
        placements.removeAll(keepingCapacity: true)
        perform()
        return true
    }

    /// Looked at again and again: a call that nobody needs is ended, and one that hangs is given up. Then the strategy is off,
    /// and another thread serves the slot. Returns the strategist that hangs.
    mutating func watchInquiry(now: UInt64) -> (any Strategist)? {
        guard let asked = inquiry, let strategist else { return nil }
        let used = Inquiry.time(of: asked.clock)
        guard let seen = asked.seen else {
            inquiry?.seen = (used, now)
            return nil
        }
        if (core.isDraining || isOver) && now > seen.time + CoordinatorState.courtesy { strategist.interrupt() }
        guard used > seen.cpu + strategist.patience else { return nil }
        inquiry = nil
        self.strategist = nil
        core.strategyIsAsked(false)
        core.turnStrategyOff()
        if !link.replaceThread(slot: asked.slot) { isAbandoned = true }
        wakesAll = true
        return strategist
    }
}

extension CoordinatorState.Inquiry {
    /// CPU time in nanoseconds; 0 where the thread is gone.
    static func time(of clock: clockid_t) -> UInt64 {
        var time = timespec()
        guard clock_gettime(clock, &time) == 0 else { return 0 }
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
