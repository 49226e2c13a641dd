/// Decodes candidates that differ from one and the same only from some place of the list on, without decoding again what is
/// before that place.
///
/// A search that changes little at a time and gives most changes up soon spends nearly all of its time on what it did not
/// change. Here that part is restored from the nearest of some snapshots, which are made on the way.
final class RepeatedDecoding {
    private let decoder: Decoder
    private let model: Model
    private let table: Timetable
    /// Places of the list from one snapshot to the next.
    private let stride: Int
    private var snapshots: [Timetable.Snapshot] = []
    /// By place in the list, of the unchanged candidate, up to `known`.
    private let starts: UnsafeMutablePointer<Double>
    private let finishes: UnsafeMutablePointer<Double>
    /// By task: the longest way from its end to that of the graph, each task on its worker of the unchanged candidate.
    private let tails: UnsafeMutablePointer<Double>
    /// By snapshot: when the last task before it ends.
    private var makespans: [Double] = []
    private var known = 0
    /// Up to this place the table holds what the unchanged candidate has there.
    private var clean = 0

    init(_ decoder: Decoder) {
        self.decoder = decoder
        model = decoder.model
        table = decoder.forward
        stride = max(4, decoder.model.count / 32)
        starts = copy([Double](repeating: 0, count: decoder.model.count))
        finishes = copy([Double](repeating: 0, count: decoder.model.count))
        tails = copy([Double](repeating: 0, count: decoder.model.count))
    }

    deinit {
        starts.deallocate()
        finishes.deallocate()
        tails.deallocate()
    }

    private func findTails(_ list: UnsafeMutablePointer<Int32>, _ workers: UnsafeMutablePointer<Int32>) {
        let outputs = model.outputs
        var place = model.count
        while place > 0 {
            place -= 1
            let task = Int(list[place])
            let worker = Int(workers[task])
            var tail = 0.0
            for edge in outputs.range(task) {
                let consumer = Int(outputs.tasks[edge])
                let other = Int(workers[consumer])
                var time = tails[consumer] + model.runTime(consumer, other)
                if other != worker { time += model.transferTime(outputs, edge, from: worker, to: other) }
                if time > tail { tail = time }
            }
            tails[task] = tail
        }
    }

    /// Another candidate is the one that is changed from now on. Every task of it has a worker.
    func begin(_ candidate: Candidate) {
        known = 0
        clean = 0
        findTails(candidate.list, candidate.workers)
    }

    /// As `Decoder.decode`, of a candidate that is the unchanged one up to the place `first` of the list; `last`: the last
    /// place whose task has another worker, -1: none has.
    func decode(_ candidate: Candidate, from first: Int, moved last: Int, limit: Double) -> Double {
        decoder.count()
        table.workers.update(from: candidate.workers, count: model.count)
        // The snapshot at `known` itself is made when the first task behind it is placed.
        let index = min(first, max(0, known - 1)) / stride
        var makespan = 0.0
        if index == 0 {
            table.clearProfiles()
        } else {
            restore(candidate.list, index)
            makespan = makespans[index]
        }
        place(candidate.list, index * stride, first, &makespan)
        clean = first
        // Behind the last change all that follows a task runs where it did: the way to the end is known with its transfers.
        let middle = max(first, last + 1)
        let slack = limit * (1 + 1e-12)  // sums in another order differ in the last place
        makespan = decoder.fill(
            table, candidate.list, first..<middle, decoder.tails, makespan: makespan, limit: slack)
        if makespan < .infinity {
            makespan = decoder.fill(
                table, candidate.list, middle..<model.count, tails, makespan: makespan, limit: slack)
        }
        if makespan > limit { makespan = .infinity }
        decoder.offer(makespan)
        return makespan
    }

    private func restore(_ list: UnsafeMutablePointer<Int32>, _ index: Int) {
        table.restore(snapshots[index])
        var place = clean
        while place < index * stride {
            let task = Int(list[place])
            table.starts[task] = starts[place]
            table.finishes[task] = finishes[place]
            place += 1
        }
    }

    /// Places the tasks that nothing changes, and remembers where; makes the snapshots that are missing.
    private func place(
        _ list: UnsafeMutablePointer<Int32>, _ begin: Int, _ last: Int, _ makespan: inout Double
    ) {
        var place = begin
        while place < last {
            if place >= known && place % stride == 0 { save(place / stride, makespan) }
            let task = Int(list[place])
            if place < known {
                table.place(task, on: Int(table.workers[task]), at: starts[place])
            } else {
                let finish = decoder.append(task, to: table)
                starts[place] = table.starts[task]
                finishes[place] = finish
            }
            if table.finishes[task] > makespan { makespan = table.finishes[task] }
            place += 1
        }
        if last > known { known = last }
    }

    private func save(_ index: Int, _ makespan: Double) {
        if index == snapshots.count {
            snapshots.append(Timetable.Snapshot(model))
            makespans.append(0)
        }
        makespans[index] = makespan
        guard index > 0 else { return }
        table.save(snapshots[index])
    }
}
