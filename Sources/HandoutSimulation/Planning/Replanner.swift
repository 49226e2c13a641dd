import HandoutCore
import HandoutPlacement
package import HandoutScheduler

/// Plans what is left of a run again when it departs from its plan.
///
/// It is time for it when something happens that no plan knows of (`RunProgress.surprises`, lists of another length), or
/// when tasks end, or do not end, so far from the planned moment that it matters: by more than `tolerance` of what is left.
/// Between two plans there is at least as much time as planning takes, and a part of what is left, so that their number
/// grows with the logarithm of the makespan.
package final class Replanner: RunReplanner {
    private let parts: InstanceParts
    private let policy: PlanPolicy
    private let progress: RunProgress
    private var outline: PlanOutline
    private var known: [Int: Int]
    private var plan: [PlanOutline.Place: PlacementPlan.Entry]
    /// By place, in nanoseconds of the run's clock; and the last of them.
    private var finishes: [PlanOutline.Place: Double]
    private var end: Double
    /// Nanoseconds below which no difference matters: a part of the first plan.
    private let least: Double
    private var seenEnds = 0
    private var seenSurprises: Int?
    private var isDue = false
    private var earliest: UInt64 = 0
    package private(set) var nextLook: UInt64?
    package private(set) var counts = (made: 0, taken: 0)

    /// Parts of what is left: how far a task may be from its planned end, and what must pass before it is planned again.
    private static let tolerance = 0.05
    private static let pause = 0.04
    private static let granularity = 0.005

    init(_ first: FirstPlan, _ policy: PlanPolicy, _ progress: RunProgress) {
        parts = first.parts
        outline = first.outline
        known = first.known
        plan = first.entries
        finishes = first.finishes
        end = first.end
        least = max(1000, first.end * Replanner.granularity)
        self.policy = policy
        self.progress = progress
    }

    package func newPlan(_ core: borrowing SchedulerCore, now: UInt64) -> PlacementPlan? {
        guard let seen = seenSurprises else {
            seenSurprises = progress.surprises
            return nil
        }
        if progress.surprises != seen || hasOtherLists { isDue = true }
        let tolerated = part(Replanner.tolerance, now)
        while seenEnds < progress.ended.count {
            let attempt = progress.ended[seenEnds]
            seenEnds += 1
            if let finish = finishes[place(attempt, core)], abs(Double(attempt.finish) - finish) > tolerated {
                isDue = true
            }
        }
        if !isDue, now >= nextLook ?? .max {
            isDue = core.runningAttempts().contains { attempt in
                finishes[place(attempt, core)].map { Double(now) - $0 > tolerated } ?? false
            }
        }
        guard isDue, now >= earliest else {
            look(core, now)
            return nil
        }
        isDue = false
        seenSurprises = progress.surprises
        let next = planAgain(core, now)
        look(core, now)
        return next
    }

    private var hasOtherLists: Bool { progress.elements.contains { known[$0.key] != $0.value } }

    private func place(_ attempt: RunProgress.Attempt, _ core: borrowing SchedulerCore) -> PlanOutline.Place {
        let (declared, element) = core.planPlace(of: Int(attempt.row))
        return PlanOutline.Place(declared: declared, element: element)
    }

    /// While something runs, it may be late without anything happening.
    private func look(_ core: borrowing SchedulerCore, _ now: UInt64) {
        guard core.counts.running > 0 else {
            nextLook = nil
            return
        }
        if isDue {
            nextLook = max(earliest, now + 1)
        } else if nextLook.map({ $0 <= now }) ?? true {
            nextLook = now + UInt64(part(Replanner.tolerance, now))
        }
    }

    /// A part of what is left, in nanoseconds.
    private func part(_ part: Double, _ now: UInt64) -> Double { min(max(least, part * (end - Double(now))), 1e18) }

    // MARK: - Planning

    private func planAgain(_ core: borrowing SchedulerCore, _ now: UInt64) -> PlacementPlan? {
        if hasOtherLists { outlineAgain() }
        guard let rest = RunRest(outline, parts, core, progress, now: now) else {
            // Nothing is left that does not run, or it has to wait for a worker.
            earliest = now + UInt64(least)
            finishes = [:]
            return nil
        }
        counts.made += 1
        let moment = Double(now) / 1e9
        let kept = goingOn(rest, moment)
        var expected = rest.rehearse(plan, outline, moment: moment) ?? kept
        var found: [PlanOutline.Place: PlacementPlan.Entry]?
        if let again = policy.again {
            let schedule = again.plan(rest.instance, kept, moment)
            let next = Replanner.entries(schedule, rest, outline, plan, moment: moment)
            if let coming = rest.rehearse(next, outline, moment: moment),
                again.isBetter(rest.instance, coming, expected, moment)
            {
                (found, expected) = (next, coming)
            }
        }
        note(expected, rest, now)
        let tasks = Double(rest.instance.tasks.count)
        let cost = Double(PlanPolicy.evaluations(rest.instance.tasks.count)) * tasks * PlanPolicy.nanosecondsOfWork
        earliest = now + UInt64(max(cost, part(Replanner.pause, now)))
        guard let found else { return nil }
        counts.taken += 1
        plan = found
        return PlacementPlan(plan)
    }

    /// The schedule of the plan that is followed.
    private func goingOn(_ rest: RunRest, _ moment: Double) -> Schedule {
        let order = rest.order(plan, outline, moment: moment)
        return rest.instance.schedule(
            ranks: order.ranks.map(Double.init), workers: order.workers, notBefore: order.notBefore)
    }

    private func note(_ schedule: Schedule, _ rest: RunRest, _ now: UInt64) {
        finishes = [:]
        end = Double(now)
        func note(_ entry: Int, _ finish: Double) {
            finishes[outline.entries[entry].place] = Double(now) + finish * 1e9
            end = max(end, Double(now) + finish * 1e9)
        }
        for (task, entry) in rest.entries.enumerated() { note(entry, schedule.entries[task].finish) }
        for run in rest.running { note(run.entry, run.rest) }
    }

    /// The plan of what is left, and of what runs, which may have to run again.
    static func entries(
        _ schedule: Schedule, _ rest: RunRest, _ outline: PlanOutline,
        _ old: [PlanOutline.Place: PlacementPlan.Entry], moment: Double
    ) -> [PlanOutline.Place: PlacementPlan.Entry] {
        var plan: [PlanOutline.Place: PlacementPlan.Entry] = [:]
        for run in rest.running {
            let place = outline.entries[run.entry].place
            plan[place] = PlacementPlan.Entry(worker: old[place]?.worker ?? -1, order: 0)
        }
        let order = schedule.entries.indices.sorted { left, right in
            (schedule.entries[left].start, left) < (schedule.entries[right].start, right)
        }
        let waits = rest.instance.hasLaterPrices
        for (position, task) in order.enumerated() {
            plan[outline.entries[rest.entries[task]].place] = PlacementPlan.Entry(
                worker: Int32(rest.numbers[schedule.entries[task].worker]), order: UInt32(position),
                notBefore: waits ? notBefore(task, schedule, rest.instance, moment) : 0)
        }
        return plan
    }

    /// The moment from which on a task is placed so that it starts as planned when its data have come. Rounded up, so that a
    /// price holds that begins then, but for what sums of seconds are wrong by.
    private static func notBefore(
        _ task: Int, _ schedule: Schedule, _ instance: PlacementInstance, _ moment: Double
    ) -> UInt64 {
        let entry = schedule.entries[task]
        let longest = instance.tasks[task].inputs.reduce(0.0) { longest, input in
            max(longest, instance.transferTime(input, from: schedule.entries[input.producer].worker, to: entry.worker))
        }
        return UInt64(max(0, (moment + entry.start - longest) * 1e9 - 0.01).rounded(.up))
    }

    /// Lists are longer or shorter than was expected: another trial says what the run consists of.
    private func outlineAgain() {
        known.merge(progress.elements) { $1 }
        guard let trial = parts.simulation.trial(known) else { return }
        outline = PlanOutline(trial, parts.simulation.world)
    }
}

extension PlacementPlan {
    init(_ entries: [PlanOutline.Place: Entry]) {
        self.init()
        for (place, entry) in entries { self[place.declared, place.element] = entry }
    }
}

/// The plan that a run begins with.
struct FirstPlan {
    let parts: InstanceParts
    let outline: PlanOutline
    /// Elements of declared lists that it assumes.
    let known: [Int: Int]
    let entries: [PlanOutline.Place: PlacementPlan.Entry]
    let finishes: [PlanOutline.Place: Double]
    let end: Double

    /// Nil: some task could run nowhere.
    init?(_ simulation: GraphSimulation, _ trial: ClusterResult, _ plan: (PlacementInstance) -> Schedule) {
        parts = InstanceParts(simulation)
        outline = PlanOutline(trial, simulation.world)
        guard let rest = RunRest(outline, parts) else { return nil }
        known = trial.elements
        let schedule = plan(rest.instance)
        entries = Replanner.entries(schedule, rest, outline, [:], moment: 0)
        var finishes: [PlanOutline.Place: Double] = [:]
        let coming = rest.rehearse(entries, outline, moment: 0) ?? schedule
        for (task, entry) in rest.entries.enumerated() {
            finishes[outline.entries[entry].place] = coming.entries[task].finish * 1e9
        }
        self.finishes = finishes
        end = coming.makespan * 1e9
    }
}
