/// Turns candidates into schedules, forwards and backwards, and counts them.
final class Decoder {
    let model: Model
    let forward: Timetable
    private let backward: Timetable
    let sort: StableSort
    private let keys: UnsafeMutablePointer<Double>
    let tails: UnsafeMutablePointer<Double>
    private let noTails: UnsafeMutablePointer<Double>
    /// By task: when it may start at the earliest; nil: at any time.
    var notBefore: UnsafeMutablePointer<Double>?
    private let budget: PlanningBudget
    private let hasPast: Bool
    /// No schedule is shorter.
    let lowerBound: Double
    private(set) var evaluations = 0
    /// The part of the budget that is used up, 0 ... 1.
    private(set) var progress = 0.0
    private(set) var isOver = false
    /// The best schedule so far.
    let best: Candidate
    private var bestSchedule: Schedule?

    init(_ instance: PlacementInstance, _ model: Model, lowerBound: Double, budget: PlanningBudget) {
        self.model = model
        self.budget = budget
        hasPast = instance.hasPast
        self.lowerBound = lowerBound * (1 + 1e-12)
        forward = Timetable(model)
        backward = Timetable(Model.mirror(of: instance))
        sort = StableSort(capacity: model.count)
        keys = copy([Double](repeating: 0, count: model.count))
        tails = copy(model.tails())
        noTails = copy([Double](repeating: 0, count: model.count))
        best = Candidate(count: model.count)
    }

    deinit {
        keys.deallocate()
        tails.deallocate()
        noTails.deallocate()
    }

    /// Requires that something was offered.
    var schedule: Schedule { bestSchedule ?? forward.schedule }

    /// Keeps what stands in `forward` when it is the best so far.
    func offer(_ makespan: Double) {
        guard makespan < best.makespan else { return }
        best.assign(forward, sort)
        bestSchedule = forward.schedule
        if makespan <= lowerBound { isOver = true }
    }

    /// Counts an evaluation; `isOver` once the budget is used up.
    @inline(__always)
    func count() {
        evaluations += 1
        progress = budget.used(evaluations)
        if progress >= 1 { isOver = true }
    }

    /// The serial schedule generation scheme over the candidate's list, each task on its worker. Leaves the schedule in
    /// `forward` and gives its makespan; infinite, and nothing of use there, when it would be above `limit`.
    @inline(__always)
    func decode(_ candidate: Candidate, limit: Double = .infinity) -> Double {
        count()
        let makespan = fill(forward, candidate.list, candidate.workers, tails, limit)
        offer(makespan)
        return makespan
    }

    /// Gives each task of the list the worker where it ends first.
    func chooseWorkers(_ candidate: Candidate) {
        guard model.workers > 1 else { return }
        forward.clear()
        count()
        for index in 0..<model.count {
            let best = forward.earliestFinish(Int(candidate.list[index]))
            forward.place(Int(candidate.list[index]), on: best.worker, at: best.start)
        }
        candidate.workers.update(from: forward.workers, count: model.count)
    }

    private func fill(
        _ table: Timetable, _ list: UnsafeMutablePointer<Int32>, _ workers: UnsafeMutablePointer<Int32>,
        _ tails: UnsafeMutablePointer<Double>, _ limit: Double
    ) -> Double {
        table.clearProfiles()
        table.workers.update(from: workers, count: model.count)
        var makespan = 0.0
        for index in 0..<model.count {
            let task = Int(list[index])
            let finish = append(task, to: table)
            if finish + tails[task] > limit { return .infinity }
            if finish > makespan { makespan = finish }
        }
        return makespan
    }

    /// Places these tasks of the list behind those before them, of which the last ends at `makespan`. Infinite: a task ends so
    /// late that what is behind it at the least passes `limit`.
    @inline(__always)
    func fill(
        _ table: Timetable, _ list: UnsafeMutablePointer<Int32>, _ places: Range<Int>,
        _ tails: UnsafeMutablePointer<Double>, makespan: Double, limit: Double
    ) -> Double {
        var makespan = makespan
        for index in places {
            let task = Int(list[index])
            let finish = append(task, to: table)
            if finish + tails[task] > limit { return .infinity }
            if finish > makespan { makespan = finish }
        }
        return makespan
    }

    /// Places a task behind those before it on the worker that the table says; -1: where it ends first. Gives its finish.
    @inline(__always)
    func append(_ task: Int, to table: Timetable) -> Double {
        let worker = Int(table.workers[task])
        guard worker >= 0 else {
            let best = table.earliestFinish(task)
            table.place(task, on: best.worker, at: best.start)
            return best.finish
        }
        var ready =
            model.isFreeOfTransfers ? table.readyWithoutTransfers(task, on: worker) : table.ready(task, on: worker)
        if let notBefore { ready = max(ready, notBefore[task]) }
        table.place(task, on: worker, at: table.earliest(task, on: worker, from: ready))
        return table.finishes[task]
    }

    /// Forward-backward improvement (justification): shifts all tasks to the right by falling finish, then to the left
    /// by rising start, as long as that shortens the schedule. Valls, Ballestín, Quintanilla: Justification and RCPSP:
    /// a technique that pays. EJOR 165(2), 2005. With workers fixed and transfers it holds as well: a task is never
    /// shifted past one that it waits for, and finds at least its old place.
    ///
    /// Requires the candidate's schedule in `forward`, and leaves the improved one there and in the candidate.
    func justify(_ candidate: Candidate, rounds: Int) {
        let count = model.count
        let list = candidate.list
        candidate.list.update(from: model.order, count: count)
        for round in 0..<rounds {
            sort.sort(list, count, by: forward.starts)  // ties of finishes: the later start first
            for index in 0..<count { keys[index] = -forward.finishes[index] }
            reverse(list)
            sort.sort(list, count, by: keys)
            self.count()
            _ = fill(backward, list, candidate.workers, noTails, .infinity)
            for index in 0..<count { keys[index] = -backward.finishes[index] }
            reverse(list)
            sort.sort(list, count, by: keys)
            self.count()
            let makespan = fill(forward, list, candidate.workers, tails, .infinity)
            offer(makespan)
            let isBetter = makespan < candidate.makespan * (1 - 1e-12)
            // Backwards nothing is known of what is held at the beginning: then the schedule may become longer.
            candidate.makespan = hasPast ? makespan : min(candidate.makespan, makespan)
            if !isBetter || isOver || round == rounds - 1 { break }
        }
        finish(candidate)
    }

    /// Orders the list by the starts in `forward`.
    func finish(_ candidate: Candidate) {
        let list = candidate.list
        list.update(from: model.order, count: model.count)
        sort.sort(list, model.count, by: forward.starts)
        var print: UInt64 = 0
        for task in 0..<model.count {
            let word = forward.starts[task].bitPattern ^ UInt64(UInt32(bitPattern: candidate.workers[task])) << 7
            print = (print &+ word) &* 0x9E37_79B9_7F4A_7C15
            print ^= print >> 29
        }
        candidate.print = print
    }

    private func reverse(_ list: UnsafeMutablePointer<Int32>) {
        var (low, high) = (0, model.count - 1)
        while low < high {
            (list[low], list[high]) = (list[high], list[low])
            low += 1
            high -= 1
        }
    }
}
