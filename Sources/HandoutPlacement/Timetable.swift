/// A schedule in the making: what is placed, and what is free on each worker.
final class Timetable {
    let model: Model
    /// One a worker, and one for all pools.
    private let profiles: UnsafeMutablePointer<Profile>
    let starts: UnsafeMutablePointer<Double>
    let finishes: UnsafeMutablePointer<Double>
    /// -1: not placed.
    let workers: UnsafeMutablePointer<Int32>
    /// Scratch of `collectArrivals`.
    private let arrivals: UnsafeMutablePointer<Double>

    init(_ model: Model) {
        self.model = model
        profiles = .allocate(capacity: model.workers + 1)
        for worker in 0..<model.workers { (profiles + worker).initialize(to: Profile(words: model.words)) }
        (profiles + model.workers).initialize(to: Profile(words: model.pools?.words ?? 1))
        starts = copy([Double](repeating: 0, count: model.count))
        finishes = copy([Double](repeating: 0, count: model.count))
        workers = copy([Int32](repeating: -1, count: model.count))
        arrivals = copy([Double](repeating: 0, count: model.workers))
        clear()
    }

    deinit {
        for place in 0...model.workers { profiles[place].deallocate() }
        profiles.deallocate()
        starts.deallocate()
        finishes.deallocate()
        workers.deallocate()
        arrivals.deallocate()
    }

    /// Forgets every placement.
    func clear() {
        clearProfiles()
        for task in 0..<model.count { workers[task] = -1 }
    }

    /// Empties the workers; `workers` keeps what is written there.
    @inline(__always) func clearProfiles() {
        if let initial = model.initial {
            for place in 0...model.workers { profiles[place].assign(initial[place]) }
            return
        }
        for worker in 0..<model.workers { profiles[worker].reset(model.capacities + worker * model.words) }
        if let pools = model.pools { profiles[model.workers].reset(pools.capacity) }
    }

    /// What is free on every worker and of the pools, kept elsewhere.
    final class Snapshot {
        fileprivate let profiles: UnsafeMutablePointer<Profile>
        private let count: Int

        init(_ model: Model) {
            count = model.workers + 1
            profiles = .allocate(capacity: count)
            for place in 0..<count {
                let words = place < model.workers ? model.words : model.pools?.words ?? 1
                (profiles + place).initialize(to: Profile(words: words))
            }
        }

        deinit {
            for place in 0..<count { profiles[place].deallocate() }
            profiles.deallocate()
        }
    }

    /// O(steps of all workers).
    func save(_ snapshot: Snapshot) {
        for place in 0...model.workers { snapshot.profiles[place].assign(profiles[place]) }
    }

    /// O(steps of all workers).
    func restore(_ snapshot: Snapshot) {
        for place in 0...model.workers { profiles[place].assign(snapshot.profiles[place]) }
    }

    /// The earliest start on the worker from `ready` on. A task that takes no time holds nothing and waits for nothing.
    @inline(__always)
    func earliest(_ task: Int, on worker: Int, from ready: Double) -> Double {
        let time = model.runTime(task, worker)
        guard time > 0 else { return ready }
        if let pools = model.pools, pools.isAsked(by: task) {
            return earliest(task, on: worker, beside: pools, from: ready)
        }
        return profiles[worker].earliest(
            model.requests + task * model.words, model.guards, least: model.leastRequest, from: ready, for: time)
    }

    /// The same where pools must have room as well: whichever has room later is asked first the next time.
    private func earliest(_ task: Int, on worker: Int, beside pools: PoolAmounts, from ready: Double) -> Double {
        let time = model.runTime(task, worker)
        var start = ready
        while true {
            let own = profiles[worker].earliest(
                model.requests + task * model.words, model.guards, least: model.leastRequest, from: start, for: time)
            start = profiles[model.workers].earliest(
                pools.requests + task * pools.words, pools.guards, least: 0, from: own, for: time)
            if start == own { return start }
        }
    }

    /// No worker has room at that moment, for any task that takes time.
    func isFull(at time: Double) -> Bool {
        (0..<model.workers).allSatisfy {
            profiles[$0].isFull(at: time, model.guards, least: model.leastRequest)
        }
    }

    @inline(__always)
    func place(_ task: Int, on worker: Int, at start: Double) {
        let finish = start + model.runTime(task, worker)
        starts[task] = start
        finishes[task] = finish
        workers[task] = Int32(truncatingIfNeeded: worker)
        profiles[worker].reserve(model.requests + task * model.words, from: start, to: finish)
        if let pools = model.pools, pools.isAsked(by: task) {
            profiles[model.workers].reserve(pools.requests + task * pools.words, from: start, to: finish)
        }
    }

    /// Undoes `place`.
    func remove(_ task: Int) {
        let worker = Int(workers[task])
        profiles[worker].release(model.requests + task * model.words, from: starts[task], to: finishes[task])
        if let pools = model.pools, pools.isAsked(by: task) {
            profiles[model.workers].release(
                pools.requests + task * pools.words, from: starts[task], to: finishes[task])
        }
        workers[task] = -1
    }

    /// When all data of the task are on the worker. Inputs that are not placed do not count. O(inputs).
    @inline(__always)
    func ready(_ task: Int, on worker: Int) -> Double {
        let inputs = model.inputs
        var ready = model.arrival(task, on: worker)
        for edge in inputs.range(task) {
            let producer = Int(inputs.tasks[edge])
            let from = Int(workers[producer])
            guard from >= 0 else { continue }
            var time = finishes[producer]
            if from != worker { time += model.transferTime(inputs, edge, from: from, to: worker) }
            if time > ready { ready = time }
        }
        return ready
    }

    /// `ready` where transfers take no time.
    @inline(__always)
    func readyWithoutTransfers(_ task: Int, on worker: Int) -> Double {
        let inputs = model.inputs
        var ready = model.arrival(task, on: worker)
        for edge in inputs.range(task) {
            let time = finishes[Int(inputs.tasks[edge])]
            if time > ready { ready = time }
        }
        return ready
    }

    /// `ready` for every worker, in `arrival(on:)`. O(inputs + workers) where all links are alike.
    @inline(__always)
    func collectArrivals(_ task: Int) {
        guard model.links == nil else {
            for worker in 0..<model.workers { arrivals[worker] = ready(task, on: worker) }
            return
        }
        // The latest arrival from elsewhere holds on every worker but its own producer's.
        let inputs = model.inputs
        var latest = 0.0
        var latestWorker: Int32 = -1
        for edge in inputs.range(task) {
            let from = workers[Int(inputs.tasks[edge])]
            let time = finishes[Int(inputs.tasks[edge])] + inputs.times[edge]
            if from >= 0 && time > latest {
                latest = time
                latestWorker = from
            }
        }
        for worker in 0..<model.workers { arrivals[worker] = latest }
        if model.arrivals != nil {
            for worker in 0..<model.workers { arrivals[worker] = max(latest, model.arrival(task, on: worker)) }
        }
        if latestWorker >= 0 { arrivals[Int(latestWorker)] = ready(task, on: Int(latestWorker)) }
    }

    @inline(__always) func arrival(on worker: Int) -> Double { arrivals[worker] }

    /// The worker with the earliest finish, the first of equal ones.
    @inline(__always)
    func earliestFinish(_ task: Int) -> (worker: Int, start: Double, finish: Double) {
        collectArrivals(task)
        var best = (worker: -1, start: Double.infinity, finish: Double.infinity)
        for candidate in model.eligible(task) {
            let worker = Int(candidate)
            let time = model.runTime(task, worker)
            guard arrivals[worker] + time < best.finish else { continue }
            let start = earliest(task, on: worker, from: arrivals[worker])
            if start + time < best.finish { best = (worker, start, start + time) }
        }
        return best
    }

    /// Over what is placed.
    var makespan: Double {
        var end = 0.0
        for task in 0..<model.count where workers[task] >= 0 { end = max(end, finishes[task]) }
        return end
    }

    /// Requires that every task is placed.
    var schedule: Schedule {
        Schedule(
            entries: (0..<model.count).map {
                Schedule.Entry(worker: Int(workers[$0]), start: starts[$0], finish: finishes[$0])
            })
    }
}
