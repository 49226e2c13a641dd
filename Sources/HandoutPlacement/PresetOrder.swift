extension PlacementInstance {
    /// The schedule in which tasks are placed in this order, each at its earliest moment on its worker, and where it ends first
    /// if that is nil or cannot run it; a task waits for its inputs whatever the order says. The serial scheme, as planners
    /// decode their candidates.
    ///
    /// `ranks`: the smaller the sooner, one a task; `notBefore`: when each may start at the earliest, empty: at once.
    package func schedule(ranks: [Double], workers: [Int?], notBefore: [Double] = []) -> Schedule {
        let table = Timetable(Model(self))
        let model = table.model
        var ready = ReadyHeap(model) { -ranks[$0] }
        while let task = ready.pop() {
            let earliest = notBefore.isEmpty ? 0 : notBefore[task]
            if let worker = workers[task], model.canRun(task, worker) {
                let start = max(earliest, table.ready(task, on: worker))
                table.place(task, on: worker, at: table.earliest(task, on: worker, from: start))
            } else {
                let best = table.earliestFinish(task)
                let start = best.start >= earliest ? best.start : table.earliest(task, on: best.worker, from: earliest)
                table.place(task, on: best.worker, at: start)
            }
            ready.finish(task, model) { $0.push($1, key: -ranks[$1]) }
        }
        return table.schedule
    }
}
