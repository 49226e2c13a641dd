import HandoutCore

/// Simulated annealing over workers and orders for the cheapest schedule that ends by a deadline.
///
/// What a schedule costs depends on its workers only, so a move is priced before it is decoded, and decoded only to see
/// whether the deadline holds.
final class CostSearch {
    private let decoder: Decoder
    private let model: Model
    private let prices: [Double]
    private let deadline: Double
    private var random: SplitMix64
    private let current: Candidate
    private var positions: [Int32]
    private var cost = 0.0
    /// Start and end of the temperature, as parts of the mean price of a task.
    private static let hot = 1.0
    private static let cold = 0.001

    /// `prices`: [task × workers + worker].
    init(_ decoder: Decoder, prices: [Double], deadline: Double, seed: UInt64) {
        self.decoder = decoder
        self.prices = prices
        self.deadline = deadline
        model = decoder.model
        random = SplitMix64(seed: seed)
        current = Candidate(count: decoder.model.count)
        positions = [Int32](repeating: 0, count: decoder.model.count)
    }

    /// The cheapest schedule found from `start` on, which must end by the deadline; `least` is a lower bound of the cost.
    func anneal(from start: Candidate, least: Double) -> Schedule {
        current.assign(start)
        _ = decoder.decode(current)
        accept()
        cost = (0..<model.count).reduce(0) { $0 + price($1, current.workers[$1]) }
        var best = decoder.forward.schedule
        var bestCost = cost
        let scale = cost / Double(max(1, model.count))
        let begin = decoder.progress
        let steepness = logarithm(CostSearch.cold / CostSearch.hot) / max(1e-9, 1 - begin)
        while !decoder.isOver && bestCost > least * (1 + 1e-12) {
            let temperature = scale * CostSearch.hot * exponential(steepness * (decoder.progress - begin))
            step(allowing: -temperature * logarithm(1 - random.unit()))
            if cost < bestCost * (1 - 1e-12) {
                bestCost = cost
                best = decoder.forward.schedule
            }
        }
        return best
    }

    @inline(__always)
    private func price(_ task: Int, _ worker: Int32) -> Double { prices[task * model.workers + Int(worker)] }

    /// One move that makes the schedule dearer by `rise` at most.
    private func step(allowing rise: Double) {
        let task = random.below(model.count)
        let kind = random.unit()
        if kind < 0.6 {
            let choices = model.eligible(task)
            change(task, to: choices[random.below(choices.count)], nil, allowing: rise)
        } else if kind < 0.85 {
            let other = random.below(model.count)
            let (mine, theirs) = (current.workers[task], current.workers[other])
            guard model.canRun(task, Int(theirs)), model.canRun(other, Int(mine)) else { return decoder.count() }
            change(task, to: theirs, (other, mine), allowing: rise)
        } else {
            shift(task)
        }
    }

    private func change(_ task: Int, to worker: Int32, _ other: (task: Int, worker: Int32)?, allowing rise: Double) {
        let before = current.workers[task]
        guard worker != before else { return decoder.count() }
        var change = price(task, worker) - price(task, before)
        if let other { change += price(other.task, other.worker) - price(other.task, worker) }
        guard change <= rise else { return decoder.count() }
        current.workers[task] = worker
        if let other { current.workers[other.task] = other.worker }
        if decoder.decode(current, limit: deadline) <= deadline {
            cost += change
            accept()
        } else {
            current.workers[task] = before
            if let other { current.workers[other.task] = worker }
        }
    }

    private func shift(_ task: Int) {
        let position = Int(positions[task])
        var low = 0
        var high = model.count - 1
        for edge in model.inputs.range(task) { low = max(low, Int(positions[Int(model.inputs.tasks[edge])]) + 1) }
        for edge in model.outputs.range(task) {
            high = min(high, Int(positions[Int(model.outputs.tasks[edge])]) - 1)
        }
        let target = low + random.below(high - low + 1)
        guard target != position else { return decoder.count() }
        current.shift(from: position, to: target)
        if decoder.decode(current, limit: deadline) <= deadline {
            accept()
        } else {
            current.shift(from: target, to: position)
        }
    }

    private func accept() {
        decoder.sort.sort(current.list, model.count, by: decoder.forward.starts)
        for index in 0..<model.count { positions[Int(current.list[index])] = Int32(index) }
    }
}
