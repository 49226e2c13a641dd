import HandoutCore

/// A genetic algorithm over activity lists, every child improved by justification.
///
/// Hartmann: A competitive genetic algorithm for resource-constrained project scheduling. Naval Research Logistics 45,
/// 1998 (lists, two-point crossover); Valls, Ballestín, Quintanilla: A hybrid genetic algorithm for the
/// resource-constrained project scheduling problem. EJOR 185(2), 2008 (justification, children near the best). Where
/// there are several workers, a task takes its worker from the parent that it takes its place from.
struct GeneticSearch {
    private let decoder: Decoder
    private let model: Model
    private var random: SplitMix64
    private var population: [Candidate] = []
    private var child: Candidate
    private let size: Int
    private let rounds: Int
    /// Scratch: where a task stands in a list, or whether it is taken.
    private let marks: UnsafeMutablePointer<Int32>

    init(_ decoder: Decoder, size: Int, rounds: Int, seed: UInt64) {
        self.decoder = decoder
        model = decoder.model
        random = SplitMix64(seed: seed)
        child = Candidate(count: decoder.model.count)
        self.size = size
        self.rounds = rounds
        marks = copy([Int32](repeating: 0, count: decoder.model.count))
    }

    func deallocate() { marks.deallocate() }

    /// Goes on until the decoder's budget is used up: one population after the other, each until it no longer improves.
    mutating func run(from seeds: [Candidate]) {
        var patience = 12
        while !decoder.isOver {
            found(seeds)
            evolve(patience: patience)
            patience += 4
        }
    }

    /// A new population: the seeds, and random samples by latest finish with a bias that differs.
    private mutating func found(_ seeds: [Candidate]) {
        population.removeAll(keepingCapacity: true)
        for seed in seeds.prefix(size / 2) where !decoder.isOver {
            child.assign(seed)
            settle()
        }
        var tries = 0
        while population.count < size && !decoder.isOver && tries < 4 * size {
            tries += 1
            sample()
            settle()
        }
    }

    private mutating func evolve(patience: Int) {
        var best = population.reduce(.infinity) { min($0, $1.makespan) }
        var idle = 0
        while !decoder.isOver && idle < patience * size && population.count > 1 {
            let first = tournament(), second = tournament()
            if first === second { mutate(first) } else { cross(first, second) }
            disturb(0.03)
            settle()
            let least = population[0].makespan
            if least < best * (1 - 1e-12) {
                best = least
                idle = 0
            } else {
                idle += 1
            }
        }
    }

    /// Decodes and improves the child, and takes it in unless the population has it or is better throughout.
    private mutating func settle() {
        child.makespan = decoder.decode(child)
        decoder.justify(child, rounds: rounds)
        let isFull = population.count == size
        if isFull, let worst = population.last, child.makespan > worst.makespan { return }
        guard !population.contains(where: { $0.print == child.print }) else { return }
        let kept = isFull ? population.removeLast() : Candidate(count: model.count)
        kept.assign(child)
        // Of equal ones the newest stands first: the oldest leaves first.
        let index = population.firstIndex { $0.makespan >= kept.makespan } ?? population.count
        population.insert(kept, at: index)
    }

    private mutating func tournament() -> Candidate {
        population[min(random.below(population.count), random.below(population.count))]
    }

    /// Two-point crossover: the first part of the first parent, then what comes next in the second, then the rest.
    private mutating func cross(_ first: Candidate, _ second: Candidate) {
        let count = model.count
        let low = random.below(count + 1)
        let high = low + random.below(count + 1 - low)
        for task in 0..<count { marks[task] = 0 }
        for index in 0..<low { take(first.list[index], first, at: index) }
        var out = low
        var index = 0
        while out < high {
            let task = second.list[index]
            index += 1
            if marks[Int(task)] == 0 {
                take(task, second, at: out)
                out += 1
            }
        }
        index = 0
        while out < count {
            let task = first.list[index]
            index += 1
            if marks[Int(task)] == 0 {
                take(task, first, at: out)
                out += 1
            }
        }
    }

    @inline(__always)
    private func take(_ task: Int32, _ parent: Candidate, at index: Int) {
        child.list[index] = task
        child.workers[Int(task)] = parent.workers[Int(task)]
        marks[Int(task)] = 1
    }

    /// A copy of the parent, disturbed more.
    private mutating func mutate(_ parent: Candidate) {
        child.assign(parent)
        disturb(0.1)
    }

    /// Moves some tasks elsewhere between their inputs and consumers, and some to another worker.
    private mutating func disturb(_ probability: Double) {
        let count = model.count
        for index in 0..<count {
            guard random.chance(probability) else { continue }
            move(index)
            guard model.workers > 1 else { continue }
            let task = Int(child.list[index])
            let choices = model.eligible(task)
            child.workers[task] = choices[random.below(choices.count)]
        }
    }

    private mutating func move(_ index: Int) {
        let task = Int(child.list[index])
        for position in 0..<model.count { marks[Int(child.list[position])] = Int32(position) }
        var low = 0
        var high = model.count - 1
        for edge in model.inputs.range(task) { low = max(low, Int(marks[Int(model.inputs.tasks[edge])]) + 1) }
        for edge in model.outputs.range(task) { high = min(high, Int(marks[Int(model.outputs.tasks[edge])]) - 1) }
        let target = low + random.below(high - low + 1)
        child.shift(from: index, to: target)
    }

    /// A list by random choice among ready tasks, the more likely the longer what follows; each task on the worker
    /// where it ends first.
    private mutating func sample() {
        let count = model.count
        let bias = 0.5 + 3.5 * random.unit()
        let ranks = model.upwardRanksScratch
        var ready: [Int32] = []
        for task in 0..<count {
            marks[task] = Int32(model.inputs.range(task).count)
            if marks[task] == 0 { ready.append(Int32(task)) }
        }
        for position in 0..<count {
            // Tournament of a size that grows with the bias: cheap, and as good as regret-based sampling.
            var index = random.below(ready.count)
            var rounds = bias
            while rounds > 0 {
                if random.unit() < rounds {
                    let other = random.below(ready.count)
                    if ranks[Int(ready[other])] > ranks[Int(ready[index])] { index = other }
                }
                rounds -= 1
            }
            let task = ready.remove(at: index)
            child.list[position] = task
            for edge in model.outputs.range(Int(task)) {
                let consumer = Int(model.outputs.tasks[edge])
                marks[consumer] -= 1
                if marks[consumer] == 0 { ready.append(Int32(consumer)) }
            }
        }
        decoder.chooseWorkers(child)
    }
}
