/// A solution as the search varies it: an order of tasks, inputs first, and a worker for each. `Decoder` makes the
/// schedule of it.
final class Candidate {
    let count: Int
    let list: UnsafeMutablePointer<Int32>
    let workers: UnsafeMutablePointer<Int32>
    var makespan = Double.infinity
    /// Equal schedules have equal prints.
    var print: UInt64 = 0

    init(count: Int) {
        self.count = count
        list = copy([Int32](repeating: 0, count: count))
        workers = copy([Int32](repeating: 0, count: count))
    }

    deinit {
        list.deallocate()
        workers.deallocate()
    }

    func assign(_ other: Candidate) {
        list.update(from: other.list, count: count)
        workers.update(from: other.workers, count: count)
        makespan = other.makespan
        print = other.print
    }

    /// Order by start, and workers, of a full timetable.
    func assign(_ table: Timetable, _ sort: StableSort) {
        list.update(from: table.model.order, count: count)
        sort.sort(list, count, by: table.starts)
        workers.update(from: table.workers, count: count)
        makespan = table.makespan
    }

    /// Order by start, and workers, of a schedule of all tasks.
    func assign(_ schedule: Schedule, _ model: Model, _ sort: StableSort) {
        let starts = copy(schedule.entries.map(\.start))
        defer { starts.deallocate() }
        list.update(from: model.order, count: count)
        sort.sort(list, count, by: starts)
        for (task, entry) in schedule.entries.enumerated() { workers[task] = Int32(entry.worker) }
        makespan = schedule.makespan
    }

    /// Moves the task at `index` of the list to `target`; those between close up.
    @inline(__always)
    func shift(from index: Int, to target: Int) {
        let task = list[index]
        var index = index
        while index < target {
            list[index] = list[index + 1]
            index += 1
        }
        while index > target {
            list[index] = list[index - 1]
            index -= 1
        }
        list[target] = task
    }
}
