import HandoutCore

/// Simulated annealing over orders and workers, for instances of several workers.
///
/// Most moves change a task on a critical chain of the current schedule: only these can shorten it. A move is given up
/// as soon as a task ends so late that the longest path behind it passes the limit of acceptance, which for most moves
/// is early.
final class AssignmentSearch {
    private let decoder: Decoder
    private let model: Model
    private var random: SplitMix64
    private let current: Candidate
    private let decoding: RepeatedDecoding
    /// Of the current schedule, by task.
    private let starts: UnsafeMutablePointer<Double>
    private let finishes: UnsafeMutablePointer<Double>
    private let positions: UnsafeMutablePointer<Int32>
    private var chain: [Int32] = []
    private var isChainKnown = false
    /// What the move in hand has changed, to take it back.
    private var changed: [(task: Int32, worker: Int32)] = []
    private var shifted: (from: Int, to: Int)?

    init(_ decoder: Decoder, seed: UInt64) {
        self.decoder = decoder
        model = decoder.model
        random = SplitMix64(seed: seed)
        current = Candidate(count: decoder.model.count)
        decoding = RepeatedDecoding(decoder)
        starts = copy([Double](repeating: 0, count: decoder.model.count))
        finishes = copy([Double](repeating: 0, count: decoder.model.count))
        positions = copy([Int32](repeating: 0, count: decoder.model.count))
    }

    deinit {
        starts.deallocate()
        finishes.deallocate()
        positions.deallocate()
    }

    /// The temperature at the start, a part of the makespan. Large graphs begin colder: a budget has fewer moves for
    /// each of their tasks, and what heat destroys must be found again.
    private var hot: Double {
        let count = Double(max(1, model.count))
        return min(0.03, 900 / (count * count))
    }

    /// One annealing from `start` on, which ends when this part of the budget is used up. Gives the best that it saw.
    func anneal(from start: Candidate, until end: Double) -> Candidate {
        current.assign(start)
        current.makespan = decoder.decode(current)
        accept()
        let best = Candidate(count: model.count)
        best.assign(current)
        let begin = decoder.progress
        let steepness = logarithm(0.01) / (end - begin)
        let hot = self.hot
        var temperature = hot
        var steps = 0
        while decoder.progress < end && !decoder.isOver {
            steps += 1
            if steps % 32 == 0 {
                temperature = hot * exponential(steepness * (decoder.progress - begin))
            }
            guard move() else {
                decoder.count()  // where nothing can move the budget ends the search
                continue
            }
            // The draw that decides about acceptance first, so that decoding knows its limit.
            let limit = current.makespan * (1 - temperature * logarithm(1 - random.unit()))
            let makespan = decode(limit)
            guard makespan <= limit else {
                undo()
                continue
            }
            current.makespan = makespan
            accept()
            if makespan < best.makespan { best.assign(current) }
        }
        return best
    }

    /// Takes over the schedule in the decoder.
    private func accept() {
        let count = model.count
        starts.update(from: decoder.forward.starts, count: count)
        finishes.update(from: decoder.forward.finishes, count: count)
        current.workers.update(from: decoder.forward.workers, count: count)
        decoder.sort.sort(current.list, count, by: starts)
        for index in 0..<count { positions[Int(current.list[index])] = Int32(index) }
        isChainKnown = false
        changed.removeAll(keepingCapacity: true)
        shifted = nil
        decoding.begin(current)
    }

    /// The makespan of the current candidate with the move in hand.
    private func decode(_ limit: Double) -> Double {
        var first = shifted.map { min($0.from, $0.to) } ?? model.count
        var last = -1
        for entry in changed {
            let place = Int(positions[Int(entry.task)])
            first = min(first, place)
            last = max(last, place)
        }
        return decoding.decode(current, from: first, moved: last, limit: limit)
    }

    private func undo() {
        for entry in changed.reversed() { current.workers[Int(entry.task)] = entry.worker }
        changed.removeAll(keepingCapacity: true)
        if let shift = shifted { current.shift(from: shift.to, to: shift.from) }
        shifted = nil
    }

    // MARK: - Moves

    /// Changes the current candidate; false: the move in hand changes nothing.
    private func move() -> Bool {
        if !isChainKnown { findChain() }
        let isCritical = random.unit() < 0.85 && !chain.isEmpty
        let index = isCritical ? random.below(chain.count) : 0
        let task = isCritical ? Int(chain[index]) : random.below(model.count)
        if random.unit() < 0.2 { return carry(task) }
        switch random.unit() {
        case ..<0.20: return reassign(task)
        case ..<0.35: return join(task)
        case ..<0.50: return exchange(task)
        case ..<0.75 where isCritical: return gather(index)
        case ..<0.90: return free(task)
        default: return shift(task)
        }
    }

    private func set(_ task: Int, _ worker: Int32) {
        changed.append((Int32(task), current.workers[task]))
        current.workers[task] = worker
    }

    private func reassign(_ task: Int) -> Bool {
        let choices = model.eligible(task)
        guard choices.count > 1 else { return shift(task) }
        var choice = random.below(choices.count - 1)
        if choices[choice] == current.workers[task] { choice = choices.count - 1 }
        set(task, choices[choice])
        return true
    }

    /// To the worker of a task that it gets data from or sends them to.
    private func join(_ task: Int) -> Bool {
        let before = model.inputs.range(task), behind = model.outputs.range(task)
        guard before.count + behind.count > 0 else { return reassign(task) }
        let draw = random.below(before.count + behind.count)
        let other =
            draw < before.count
            ? model.inputs.tasks[before.lowerBound + draw]
            : model.outputs.tasks[behind.lowerBound + draw - before.count]
        let worker = current.workers[Int(other)]
        guard worker != current.workers[task] && model.canRun(task, Int(worker)) else { return reassign(task) }
        set(task, worker)
        return true
    }

    /// To another worker, together with some that it exchanges data with and that run where it does.
    private func carry(_ task: Int) -> Bool {
        let from = current.workers[task]
        let choices = model.eligible(task)
        guard choices.count > 1 else { return shift(task) }
        var choice = random.below(choices.count - 1)
        if choices[choice] == from { choice = choices.count - 1 }
        let worker = choices[choice]
        set(task, worker)
        var size = 1 + random.below(12)
        var last = task
        while size > 0 {
            size -= 1
            guard let next = neighbour(of: last, on: from), model.canRun(next, Int(worker)) else {
                last = task
                continue
            }
            set(next, worker)
            last = next
        }
        return true
    }

    /// Some task on that worker that the task gets data from or sends them to; nil: the one that was drawn is elsewhere.
    private func neighbour(of task: Int, on worker: Int32) -> Int? {
        let before = model.inputs.range(task), behind = model.outputs.range(task)
        guard before.count + behind.count > 0 else { return nil }
        let draw = random.below(before.count + behind.count)
        let other =
            draw < before.count
            ? model.inputs.tasks[before.lowerBound + draw]
            : model.outputs.tasks[behind.lowerBound + draw - before.count]
        return current.workers[Int(other)] == worker ? Int(other) : nil
    }

    /// Changes workers with a task that starts at about the same time.
    private func exchange(_ task: Int) -> Bool {
        let window = 20 + model.count / 16
        let position = Int(positions[task]) - window + random.below(2 * window + 1)
        let other = Int(current.list[min(max(position, 0), model.count - 1)])
        let (mine, theirs) = (current.workers[task], current.workers[other])
        guard mine != theirs, model.canRun(task, Int(theirs)), model.canRun(other, Int(mine)) else {
            return reassign(task)
        }
        set(task, theirs)
        set(other, mine)
        return true
    }

    /// Some consecutive tasks of the chain to one worker.
    private func gather(_ index: Int) -> Bool {
        let last = min(chain.count - 1, index + 1 + random.below(12))
        let worker = current.workers[Int(chain[index + random.below(last - index + 1)])]
        for position in index...last {
            let task = Int(chain[position])
            if current.workers[task] != worker && model.canRun(task, Int(worker)) { set(task, worker) }
        }
        return !changed.isEmpty || reassign(Int(chain[index]))
    }

    /// Some tasks that stand near this one go where each ends first.
    private func free(_ task: Int) -> Bool {
        let span = 1 + random.below(max(1, Int(Double(model.count) * 0.5 * random.unit() * random.unit())))
        let first = max(0, Int(positions[task]) - random.below(span))
        for position in first..<min(model.count, first + span) { set(Int(current.list[position]), -1) }
        return true
    }

    /// Elsewhere in the order, between its inputs and its consumers, mostly near.
    private func shift(_ task: Int) -> Bool {
        let position = Int(positions[task])
        var low = 0
        var high = model.count - 1
        for edge in model.inputs.range(task) { low = max(low, Int(positions[Int(model.inputs.tasks[edge])]) + 1) }
        for edge in model.outputs.range(task) {
            high = min(high, Int(positions[Int(model.outputs.tasks[edge])]) - 1)
        }
        if random.unit() < 0.7 {
            low = max(low, position - 25)
            high = min(high, position + 5)
        }
        guard high > low else { return false }
        var target = low + random.below(high - low)
        if target >= position { target += 1 }
        current.shift(from: position, to: target)
        shifted = (position, target)
        return true
    }

    // MARK: - The critical chain

    /// From a task that ends last back to the start: what each waited for, data or a task that held its amounts.
    private func findChain() {
        isChainKnown = true
        chain.removeAll(keepingCapacity: true)
        var last = 0
        for task in 0..<model.count where finishes[task] > finishes[last] { last = task }
        var task = last
        while chain.count < model.count {
            chain.append(Int32(task))
            guard starts[task] > 0, let before = cause(of: task) else { break }
            task = before
        }
        chain.reverse()
    }

    private func cause(of task: Int) -> Int? {
        let start = starts[task]
        let worker = Int(current.workers[task])
        var found = -1
        for edge in model.inputs.range(task) {
            let producer = Int(model.inputs.tasks[edge])
            let from = Int(current.workers[producer])
            let time = from == worker ? 0 : model.transferTime(model.inputs, edge, from: from, to: worker)
            if finishes[producer] + time == start { found = producer }
        }
        if found >= 0 && random.unit() < 0.5 { return found }
        var index = Int(positions[task]) - 1
        while index >= 0 {
            let other = Int(current.list[index])
            if finishes[other] == start && Int(current.workers[other]) == worker && starts[other] < start {
                return other
            }
            index -= 1
        }
        return found >= 0 ? found : nil
    }
}
