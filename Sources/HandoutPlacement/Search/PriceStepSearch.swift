import HandoutCore

/// Simulated annealing for the cheapest schedule by a deadline where prices of workers change: over workers, orders, and
/// moments before which tasks do not start.
///
/// The price at its start is that of the whole run of a task, so waiting for a lower one pays only up to the moment at which
/// it begins.
final class PriceStepSearch {
    private let decoder: Decoder
    private let model: Model
    private let instance: PlacementInstance
    private let deadline: Double
    private var random: SplitMix64
    private let current: Candidate
    /// By task; lent to the decoder while this lives.
    private let notBefore: UnsafeMutablePointer<Double>
    private var positions: [Int32]
    /// By worker: moments at which its price changes, 0 first.
    private let moments: [[Double]]
    /// Price of a unit of time without regard to it, share × run time: [task × workers + worker].
    private let works: [Double]
    private var best: Schedule
    private var bestCost: Double
    private static let hot = 1.0
    private static let cold = 0.001

    init(_ decoder: Decoder, _ instance: PlacementInstance, deadline: Double, seed: UInt64) {
        self.decoder = decoder
        self.instance = instance
        self.deadline = deadline
        model = decoder.model
        random = SplitMix64(seed: seed)
        current = Candidate(count: decoder.model.count)
        positions = [Int32](repeating: 0, count: decoder.model.count)
        notBefore = copy([Double](repeating: 0, count: decoder.model.count))
        moments = instance.workers.map { [0] + $0.laterPrices.map(\.from) }
        works = instance.tasks.indices.flatMap { task in
            instance.workers.indices.map { worker in
                instance.canRun(task, on: worker)
                    ? instance.share(of: task, on: worker) * instance.runTime(of: task, on: worker) : .infinity
            }
        }
        best = Schedule(entries: [])
        bestCost = .infinity
        decoder.notBefore = notBefore
    }

    deinit {
        decoder.notBefore = nil
        notBefore.deallocate()
    }

    /// The cheapest schedule found that ends by the deadline. `start` must do so, and is what comes back at the worst.
    func anneal(from start: Schedule) -> Schedule {
        best = start
        bestCost = start.cost(in: instance)
        var cost = begin(start)
        let least = model.count == 0 ? 0 : (0..<model.count).reduce(0.0) { $0 + cheapest($1).price }
        let scale = cost / Double(max(1, model.count))
        let begin = decoder.progress
        let steepness = logarithm(PriceStepSearch.cold / PriceStepSearch.hot) / max(1e-9, 1 - begin)
        let kept = Candidate(count: model.count)
        let keptMoments = copy([Double](repeating: 0, count: model.count))
        defer { keptMoments.deallocate() }
        while !decoder.isOver && bestCost > least * (1 + 1e-12) {
            let temperature = scale * PriceStepSearch.hot * exponential(steepness * (decoder.progress - begin))
            kept.assign(current)
            keptMoments.update(from: notBefore, count: model.count)
            move()
            let next = evaluate()
            if next <= cost - temperature * logarithm(1 - random.unit()) {
                cost = next
                accept()
            } else {
                current.assign(kept)
                notBefore.update(from: keptMoments, count: model.count)
            }
        }
        return best
    }

    /// Makes the cheapest of some schedules the current one: the fastest; that in which each task waits for the cheapest moment
    /// of the cheapest worker; and those that begin when some price changes. Gives its cost.
    private func begin(_ start: Schedule) -> Double {
        let seeds = [nil] + Set(moments.joined()).sorted().map { $0 as Double? }
        var chosen: (seed: Double?, isCheapest: Bool, cost: Double) = (0, false, .infinity)
        for seed in seeds where !decoder.isOver {
            set(start, seed)
            let cost = evaluate()
            if cost < chosen.cost { chosen = (seed, seed == nil, cost) }
        }
        set(start, chosen.isCheapest ? nil : chosen.seed)
        let cost = evaluate()
        accept()
        return cost
    }

    /// Order and workers of a schedule, nothing before that moment; nil: each task where and when it is cheapest.
    private func set(_ start: Schedule, _ moment: Double?) {
        current.list.update(from: model.order, count: model.count)
        let starts = copy(start.entries.map(\.start))
        decoder.sort.sort(current.list, model.count, by: starts)
        starts.deallocate()
        for task in 0..<model.count {
            let choice = moment == nil ? cheapest(task) : nil
            current.workers[task] = Int32(choice?.worker ?? start.entries[task].worker)
            notBefore[task] = choice?.moment ?? moment ?? 0
        }
    }

    private func cheapest(_ task: Int) -> (worker: Int, moment: Double, price: Double) {
        var found = (worker: 0, moment: 0.0, price: Double.infinity)
        for candidate in model.eligible(task) {
            let worker = Int(candidate)
            for moment in moments[worker] {
                let price = instance.workers[worker].price(at: moment) * works[task * model.workers + worker]
                if price < found.price { found = (worker, moment, price) }
            }
        }
        return found
    }

    /// The cost of the candidate's schedule; infinite: it is late.
    private func evaluate() -> Double {
        guard decoder.decode(current, limit: deadline) <= deadline else { return .infinity }
        var cost = 0.0
        for task in 0..<model.count {
            let worker = Int(current.workers[task])
            cost +=
                instance.workers[worker].price(at: decoder.forward.starts[task]) * works[task * model.workers + worker]
        }
        if cost < bestCost * (1 - 1e-12) {
            bestCost = cost
            best = decoder.forward.schedule
        }
        return cost
    }

    private func accept() {
        decoder.sort.sort(current.list, model.count, by: decoder.forward.starts)
        for index in 0..<model.count { positions[Int(current.list[index])] = Int32(index) }
    }

    // MARK: - Moves

    private func move() {
        let task = random.below(model.count)
        switch random.unit() {
        case ..<0.35:
            let choices = model.eligible(task)
            current.workers[task] = choices[random.below(choices.count)]
            notBefore[task] = moment(of: task)
        case ..<0.6: notBefore[task] = moment(of: task)
        case ..<0.75:
            // What stands near it waits with it, or no longer does.
            let moment = moment(of: task)
            let first = Int(positions[task])
            for index in first..<min(model.count, first + 1 + random.below(1 + model.count / 4)) {
                notBefore[Int(current.list[index])] = moment
            }
        case ..<0.85:
            let other = random.below(model.count)
            let (mine, theirs) = (current.workers[task], current.workers[other])
            guard model.canRun(task, Int(theirs)), model.canRun(other, Int(mine)) else { return }
            (current.workers[task], current.workers[other]) = (theirs, mine)
        default: shift(task)
        }
    }

    /// Some moment at which the price of the task's worker changes; 0 as often as any other.
    private func moment(of task: Int) -> Double {
        let all = moments[Int(current.workers[task])]
        return all[random.below(all.count)]
    }

    private func shift(_ task: Int) {
        let position = Int(positions[task])
        var low = 0
        var high = model.count - 1
        for edge in model.inputs.range(task) { low = max(low, Int(positions[Int(model.inputs.tasks[edge])]) + 1) }
        for edge in model.outputs.range(task) {
            high = min(high, Int(positions[Int(model.outputs.tasks[edge])]) - 1)
        }
        if high > low { current.shift(from: position, to: low + random.below(high - low + 1)) }
    }
}
