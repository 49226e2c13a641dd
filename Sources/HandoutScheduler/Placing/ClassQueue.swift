import HandoutCore

/// Ready rows that ask for the same, and the workers that can have them, best first.
///
/// A scheduling pass costs (classes × workers that changed), never (rows × workers).
final class ClassQueue {
    /// A worker that fitted when it last changed.
    private struct Candidate {
        var score: Double
        var worker: UInt32
        var version: UInt32

        func isBefore(_ other: Candidate) -> Bool {
            score == other.score ? worker < other.worker : score > other.score
        }
    }

    let number: Int
    let request: TaskRequest
    /// Ready rows; those that are no longer ready are dropped when they come first.
    @exclusivity(unchecked) var queue = ReadyQueue()
    /// By worker: labels and name are right, and some variant could ever fit.
    @exclusivity(unchecked) private(set) var eligible: [Bool] = []
    /// How many changes of workers were looked at, of which list.
    @exclusivity(unchecked) private var cursor = 0
    @exclusivity(unchecked) private var epoch = 0
    @exclusivity(unchecked) private var heap: [Candidate] = []
    /// The row that scores are of, where they are of one.
    @exclusivity(unchecked) private(set) var scoredRow = UInt32.max
    /// Mean run time of those that have ended, in nanoseconds times speed.
    @exclusivity(unchecked) private(set) var meanTime: Double = 0
    @exclusivity(unchecked) private var ended = 0.0
    /// It is in the list of classes that have ready rows.
    @exclusivity(unchecked) var isActive = false
    /// The class whose rows wait here for one worker; nil: this is no such class.
    @exclusivity(unchecked) var general: ClassQueue?

    init(number: Int, request: TaskRequest) {
        self.number = number
        self.request = request
    }

    /// Expected run time in nanoseconds at speed 1; nil: not known.
    func expectedTime(_ variant: Int) -> Double? {
        let estimate = request.variants[variant].estimate
        return estimate > 0 ? Double(estimate) : ended > 0 ? meanTime : nil
    }

    func learn(_ nanoseconds: UInt64, speed: Double) {
        ended += 1
        meanTime += (Double(nanoseconds) * speed - meanTime) / ended
    }

    /// Looks at what the worker is now.
    private func judge(_ worker: Int, _ table: WorkerTable) {
        while eligible.count <= worker { eligible.append(false) }
        let offer = table.facts[worker].offer
        let isRight =
            request.worker.map { $0 == offer.capacity.name } ?? true
            && request.labels.allSatisfy { label in
                offer.capacity.labels[label.name].map { label.values.contains($0) } ?? false
            }
        eligible[worker] = isRight && request.variants.contains { table.couldEverFit($0.amounts, on: worker) }
    }

    /// Looks at what a worker is now, before it is asked about outside of `catchUp`.
    func look(at worker: Int, _ table: WorkerTable) { judge(worker, table) }

    /// Whether some variant could ever run there.
    func couldHave(_ worker: Int) -> Bool { worker < eligible.count && eligible[worker] }

    func contains(_ row: UInt32) -> Bool {
        var found = false
        queue.forEach { if row >= $0.first && row - $0.first < $0.count { found = true } }
        return found
    }

    /// The first variant that fits there now; nil: none.
    func variant(on worker: Int, _ table: WorkerTable, beside held: Reservation?) -> Int? {
        guard worker < eligible.count && eligible[worker] else { return nil }
        return request.variants.firstIndex { table.fits($0.amounts, on: worker, beside: held) }
    }

    /// Whether it fits on any worker now. O(workers).
    func fitsSomewhere(_ table: WorkerTable) -> Bool {
        for worker in 0..<table.count {
            judge(worker, table)
            if variant(on: worker, table, beside: nil) != nil { return true }
        }
        return false
    }

    /// Reads which workers have changed; `score`: nil, it is not to run there, or the answer is not there yet.
    func catchUp(_ table: WorkerTable, score: (_ worker: Int, _ variant: Int) -> Double?) {
        if epoch != table.changesEpoch || table.changes.count - cursor > 4 * table.count
            || heap.count > 4 * table.count + 64
        {
            return rebuild(table, score)
        }
        while cursor < table.changes.count {
            let worker = Int(table.changes[cursor])
            cursor += 1
            consider(worker, table, score)
        }
    }

    /// Scores are of one row only: those of another are forgotten.
    func forgetScores(row: UInt32) {
        guard scoredRow != row else { return }
        scoredRow = row
        heap.removeAll(keepingCapacity: true)
        epoch = -1
    }

    /// Forgets all scores.
    func rebuild(_ table: WorkerTable, _ score: (_ worker: Int, _ variant: Int) -> Double?) {
        heap.removeAll(keepingCapacity: true)
        cursor = table.changes.count
        epoch = table.changesEpoch
        for worker in 0..<table.count { consider(worker, table, score) }
    }

    private func consider(_ worker: Int, _ table: WorkerTable, _ score: (_ worker: Int, _ variant: Int) -> Double?) {
        judge(worker, table)
        // Pools may hold it back now and let go of it without the worker's changing: they are looked at when it is chosen.
        guard eligible[worker], table.facts[worker].isUp,
            let variant = request.variants.firstIndex(where: { table.fitsWithoutPools($0.amounts, on: worker) }),
            let score = score(worker, variant)
        else { return }
        insert(Candidate(score: score, worker: UInt32(worker), version: table.facts[worker].version))
    }

    /// An answer has come for a worker.
    func insert(score: Double, worker: Int, _ table: WorkerTable) {
        guard worker < eligible.count && eligible[worker] && table.facts[worker].isUp else { return }
        insert(Candidate(score: score, worker: UInt32(worker), version: table.facts[worker].version))
    }

    /// The best worker where it fits now, and the variant; nil: none. `endsInTime`: it may have there what is held for
    /// another.
    func best(
        _ table: WorkerTable, beside held: Reservation?, endsInTime: (_ worker: Int, _ variant: Int) -> Bool
    ) -> (worker: Int, variant: Int)? {
        guard !heap.isEmpty, request.variants.contains(where: { table.poolsFit($0.amounts) }) else { return nil }
        var passed: [Candidate] = []
        defer { for candidate in passed { insert(candidate) } }
        while let first = heap.first {
            let worker = Int(first.worker)
            if first.version == table.facts[worker].version {
                if let variant = variant(on: worker, table, beside: held) { return (worker, variant) }
                if held != nil, let variant = variant(on: worker, table, beside: nil), endsInTime(worker, variant) {
                    return (worker, variant)
                }
                // Held back by a pool or for another: it stays a candidate.
                passed.append(first)
            }
            removeFirst()
        }
        return nil
    }

    private func insert(_ candidate: Candidate) {
        heap.append(candidate)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) >> 1
            guard candidate.isBefore(heap[parent]) else { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = candidate
    }

    private func removeFirst() {
        guard let last = heap.popLast(), !heap.isEmpty else { return }
        var hole = 0
        while true {
            var child = 2 * hole + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count && heap[child + 1].isBefore(heap[child]) { child += 1 }
            guard heap[child].isBefore(last) else { break }
            heap[hole] = heap[child]
            hole = child
        }
        heap[hole] = last
    }
}
