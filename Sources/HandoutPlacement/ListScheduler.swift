/// List schedulers from the literature, each written from its paper.
///
/// All know resources: a task starts at the earliest time when its data are there and its amounts fit for all of its
/// run, gaps included, which on workers of one task at a time is the insertion policy of the papers.
package enum ListScheduler: String, Sendable, CaseIterable {
    /// Topcuoglu, Hariri, Wu: Performance-effective and low-complexity task scheduling for heterogeneous computing.
    /// IEEE TPDS 13(3), 2002. By falling upward rank, each on the worker where it ends first.
    case heft
    /// Arabnejad, Barbosa: List scheduling algorithm for heterogeneous systems by an optimistic cost table. IEEE TPDS
    /// 25(3), 2014. The ready task with the greatest mean optimistic cost, where its end plus that cost is least.
    case peft
    /// Critical path on a processor, from the paper of HEFT: the tasks of one longest path on the one worker that runs
    /// that path fastest, all others where they end first, by falling sum of both ranks.
    case cpop
    /// Ibarra, Kim: Heuristic algorithms for scheduling independent tasks on nonidentical processors. JACM 24(2), 1977;
    /// over the ready tasks of a graph. The task that can end first, there.
    case minMin = "min-min"
    /// As min-min, but the ready task whose earliest end is last.
    case maxMin = "max-min"
    /// Bittencourt, Sakellariou, Madeira: DAG scheduling using a lookahead variant of HEFT. PDP 2010. HEFT, but each
    /// task where its consumers could then end first.
    case lookahead

    package func schedule(_ instance: PlacementInstance) -> Schedule {
        let table = Timetable(Model(instance))
        fill(table)
        return table.schedule
    }

    /// Requires an empty timetable.
    func fill(_ table: Timetable) {
        switch self {
        case .heft: table.fillSerially(table.model.sorted(byFalling: table.model.upwardRanks()))
        case .peft: table.fillByOptimisticCosts()
        case .cpop: table.fillByCriticalPath()
        case .minMin: table.fillByLeastFinish()
        case .maxMin: table.fillByGreatestFinish()
        case .lookahead: table.fillLookingAhead()
        }
    }
}

extension Timetable {
    /// Places the tasks in this order, which must have inputs first, each where it ends first. The serial schedule
    /// generation scheme (Kelley 1963), with the earliest finish for many workers.
    func fillSerially(_ list: [Int32]) {
        for task in list {
            let best = earliestFinish(Int(task))
            place(Int(task), on: best.worker, at: best.start)
        }
    }

    fileprivate func fillByOptimisticCosts() {
        let costs = model.optimisticCosts()
        let workers = model.workers
        let ranks = (0..<model.count).map { task in
            let eligible = model.eligible(task)
            return eligible.reduce(0) { $0 + costs[task * workers + Int($1)] } / Double(eligible.count)
        }
        var ready = ReadyHeap(model) { ranks[$0] }
        while let task = ready.pop() {
            collectArrivals(task)
            var best = (worker: 0, start: 0.0, end: Double.infinity)
            for candidate in model.eligible(task) {
                let worker = Int(candidate)
                let start = earliest(task, on: worker, from: arrival(on: worker))
                let end = start + model.runTime(task, worker) + costs[task * workers + worker]
                if end < best.end { best = (worker, start, end) }
            }
            place(task, on: best.worker, at: best.start)
            ready.finish(task, model) { $0.push($1, key: ranks[$1]) }
        }
    }

    fileprivate func fillByCriticalPath() {
        let priorities = zip(model.upwardRanks(), model.downwardRanks()).map { $0 + $1 }
        let path = criticalPath(priorities)
        var isCritical = [Bool](repeating: false, count: model.count)
        for task in path { isCritical[task] = true }
        // A path that no one worker can run whole goes where most of its tasks can run.
        let worker = (0..<model.workers).min { left, right in
            let (first, second) = (pathTime(path, on: left), pathTime(path, on: right))
            return first.refused == second.refused ? first.time < second.time : first.refused < second.refused
        }
        var ready = ReadyHeap(model) { priorities[$0] }
        while let task = ready.pop() {
            if let worker, isCritical[task], model.canRun(task, worker) {
                place(task, on: worker, at: earliest(task, on: worker, from: self.ready(task, on: worker)))
            } else {
                let best = earliestFinish(task)
                place(task, on: best.worker, at: best.start)
            }
            ready.finish(task, model) { $0.push($1, key: priorities[$1]) }
        }
    }

    /// From the first task with the greatest priority always on to the consumer with the greatest.
    private func criticalPath(_ priorities: [Double]) -> [Int] {
        let entries = (0..<model.count).filter { model.inputs.range($0).isEmpty }
        guard var task = entries.max(by: { priorities[$0] < priorities[$1] }) else { return [] }
        var path = [task]
        while let next = model.outputs.range(task).map({ Int(model.outputs.tasks[$0]) })
            .max(by: { priorities[$0] < priorities[$1] })
        {
            path.append(next)
            task = next
        }
        return path
    }

    private func pathTime(_ path: [Int], on worker: Int) -> (refused: Int, time: Double) {
        path.reduce((0, 0.0)) { sum, task in
            model.canRun(task, worker) ? (sum.0, sum.1 + model.runTime(task, worker)) : (sum.0 + 1, sum.1)
        }
    }

    /// Ends only grow while more is placed, so a task whose end is looked up again and has not grown is the least.
    fileprivate func fillByLeastFinish() {
        var ready = ReadyHeap(model) { -earliestFinish($0).finish }
        while let task = ready.pop() {
            let best = earliestFinish(task)
            if -best.finish < ready.topKey {
                ready.push(task, key: -best.finish)
                continue
            }
            place(task, on: best.worker, at: best.start)
            ready.finish(task, model) { $0.push($1, key: -earliestFinish($1).finish) }
        }
    }

    /// O(tasks × ready tasks), an end being looked up again only after its worker has taken a task, or one of a pool.
    fileprivate func fillByGreatestFinish() {
        var bests = [(worker: Int, start: Double, finish: Double)](repeating: (0, 0, 0), count: model.count)
        var heap = ReadyHeap(model) { _ in 0 }
        var ready: [Int] = []
        while let task = heap.pop() { ready.append(task) }
        for task in ready { bests[task] = earliestFinish(task) }
        while !ready.isEmpty {
            var index = 0
            for other in ready.indices where bests[ready[other]].finish > bests[ready[index]].finish { index = other }
            let task = ready[index]
            let worker = bests[task].worker
            ready.remove(at: index)
            place(task, on: worker, at: bests[task].start)
            let isPooled = model.pools?.isAsked(by: task) ?? false
            for other in ready where isPooled || bests[other].worker == worker { bests[other] = earliestFinish(other) }
            heap.finish(task, model) { _, consumer in
                bests[consumer] = earliestFinish(consumer)
                ready.append(consumer)
            }
        }
    }

    fileprivate func fillLookingAhead() {
        for entry in model.sorted(byFalling: model.upwardRanks()) {
            let task = Int(entry)
            let choices = model.eligible(task)
            guard choices.count > 1 && !model.outputs.range(task).isEmpty else {
                let best = earliestFinish(task)
                place(task, on: best.worker, at: best.start)
                continue
            }
            var best = (worker: 0, start: 0.0, end: Double.infinity, finish: Double.infinity)
            for candidate in choices {
                let worker = Int(candidate)
                let start = earliest(task, on: worker, from: ready(task, on: worker))
                let finish = start + model.runTime(task, worker)
                place(task, on: worker, at: start)
                let end = latestConsumer(of: task)
                remove(task)
                if end < best.end || end == best.end && finish < best.finish { best = (worker, start, end, finish) }
            }
            place(task, on: best.worker, at: best.start)
        }
    }

    /// The latest of the earliest ends of the task's consumers, as far as their inputs are placed, placed one after the
    /// other and taken away again.
    private func latestConsumer(of task: Int) -> Double {
        var latest = 0.0
        let edges = model.outputs.range(task)
        for edge in edges {
            let consumer = Int(model.outputs.tasks[edge])
            guard workers[consumer] < 0 else { continue }
            let best = earliestFinish(consumer)
            place(consumer, on: best.worker, at: best.start)
            latest = max(latest, best.finish)
        }
        for edge in edges.reversed() where workers[Int(model.outputs.tasks[edge])] >= 0 {
            remove(Int(model.outputs.tasks[edge]))
        }
        return latest
    }
}
