import HandoutCore

/// A climb over priorities: the serial scheme places every task where it ends first, and what changes is the order.
///
/// One schedule costs as much as many moves of the annealing, but changes all workers at once: on large graphs the annealing
/// would not come so far in the time.
struct PrioritySearch {
    private let decoder: Decoder
    private let model: Model
    private var random: SplitMix64
    private var best: [Double]
    private var makespan = Double.infinity

    init(_ decoder: Decoder, seed: UInt64) {
        self.decoder = decoder
        model = decoder.model
        random = SplitMix64(seed: seed)
        best = model.upwardRanks()
    }

    /// Goes on until this part of the budget is used up; what it finds is the decoder's to keep.
    mutating func climb(until end: Double) {
        var next = best
        while decoder.progress < end && !decoder.isOver {
            decoder.forward.clear()
            decoder.count()
            decoder.forward.fillSerially(by: next)
            let found = decoder.forward.makespan
            decoder.offer(found)
            if found <= makespan {
                makespan = found
                best = next
            }
            disturb(&next)
        }
    }

    /// Changes some priorities of the best by some part, both drawn anew each time.
    private mutating func disturb(_ next: inout [Double]) {
        next = best
        let probability = random.unit() * random.unit()
        let width = 0.5 * random.unit() * random.unit()
        for task in 0..<model.count where random.chance(probability) {
            next[task] *= 1 + width * (2 * random.unit() - 1)
        }
    }
}
