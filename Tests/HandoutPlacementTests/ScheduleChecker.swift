import HandoutPlacement

/// Says what is wrong with a schedule. It shares no code with the planners: it counts time by the sentences of the
/// format of instances, and holds amounts against every moment at which a task starts.
enum ScheduleChecker {
    /// The first problem; nil: the schedule is valid.
    static func problem(_ schedule: Schedule, _ instance: PlacementInstance) -> String? {
        guard schedule.entries.count == instance.tasks.count else { return "\(schedule.entries.count) entries" }
        let scale = schedule.entries.map(\.finish).max() ?? 0
        let tolerance = 1e-9 * max(1, scale)
        for (index, entry) in schedule.entries.enumerated() {
            let name = instance.tasks[index].name
            guard instance.workers.indices.contains(entry.worker) else { return "\(name): no worker \(entry.worker)" }
            guard entry.start >= 0 && entry.start.isFinite && entry.finish.isFinite else { return "\(name): no times" }
            let time: Double
            switch instance.tasks[index].runTime {
            case .base(let base): time = base / instance.workers[entry.worker].speed
            case .perWorker(let times): time = times[entry.worker]
            }
            guard abs(entry.finish - entry.start - time) <= tolerance else { return "\(name): runs for a wrong time" }
            if entry.worker < instance.tasks[index].arrivals.count {
                let arrival = instance.tasks[index].arrivals[entry.worker]
                guard entry.start >= arrival - tolerance else { return "\(name): starts before its data are there" }
            }
            for input in instance.tasks[index].inputs {
                let producer = schedule.entries[input.producer]
                var arrival = producer.finish
                if producer.worker != entry.worker {
                    switch input.size {
                    case .cost(let cost): arrival += cost
                    case .bytes(let bytes) where bytes > 0:
                        let pair = PlacementInstance.Network.Pair(from: producer.worker, to: entry.worker)
                        let link = instance.network.pairs[pair] ?? instance.network.link
                        arrival += link.latency + bytes / link.bandwidth
                    case .bytes: break
                    }
                }
                guard entry.start >= arrival - tolerance else { return "\(name): starts before its inputs are there" }
            }
        }
        return overload(schedule, instance, tolerance)
            ?? overdraft(schedule, instance, tolerance)
            ?? intrusion(schedule, instance, tolerance)
    }

    /// A worker or pool of which more is held than is left beside what is occupied, at some moment of a task.
    private static func intrusion(_ schedule: Schedule, _ instance: PlacementInstance, _ tolerance: Double) -> String? {
        for (task, run) in schedule.entries.enumerated() where run.finish - run.start > tolerance {
            let begins = instance.occupations.map(\.from).filter { $0 > run.start && $0 < run.finish - tolerance }
            for moment in [run.start] + begins {
                let occupied = instance.occupations.filter {
                    $0.from <= moment + tolerance && $0.until > moment + tolerance
                }
                let beside = schedule.entries.indices.filter {
                    schedule.entries[$0].start <= moment + tolerance && schedule.entries[$0].finish > moment + tolerance
                }
                for resource in instance.resources.indices where instance.tasks[task].amounts[resource] > 0 {
                    var held = occupied.filter { $0.worker == run.worker }.reduce(0) { $0 + $1.amounts[resource] }
                    for other in beside where schedule.entries[other].worker == run.worker {
                        held += instance.tasks[other].amounts[resource]
                    }
                    if held > instance.workers[run.worker].amounts[resource] {
                        return "\(instance.tasks[task].name): runs where others hold what it needs, at \(moment)"
                    }
                }
            }
        }
        return nil
    }

    /// A pool of which more is held than there is, at the start of a task.
    private static func overdraft(_ schedule: Schedule, _ instance: PlacementInstance, _ tolerance: Double) -> String? {
        for (pool, entry) in instance.pools.enumerated() {
            let users = schedule.entries.indices.filter { task in
                pool < instance.tasks[task].pooled.count
                    && schedule.entries[task].finish - schedule.entries[task].start > tolerance
            }
            for task in users {
                let moment = schedule.entries[task].start
                let held = users.reduce(Int64(0)) { sum, other in
                    let run = schedule.entries[other]
                    let isHeld = run.start <= moment + tolerance && run.finish > moment + tolerance
                    return isHeld ? sum + instance.tasks[other].pooled[pool] : sum
                }
                guard held <= entry.amount else { return "\(held) of the pool \(entry.name) are held at \(moment)" }
            }
        }
        return nil
    }

    private static func overload(_ schedule: Schedule, _ instance: PlacementInstance, _ tolerance: Double) -> String? {
        for worker in instance.workers.indices {
            let here = schedule.entries.indices.filter { schedule.entries[$0].worker == worker }
            // Ends before starts at the same time, within the tolerance.
            var moments: [(time: Double, isStart: Bool, task: Int)] = []
            for task in here {
                moments.append((schedule.entries[task].start, true, task))
                moments.append(
                    (max(schedule.entries[task].start, schedule.entries[task].finish - tolerance), false, task))
            }
            moments.sort { $0.time == $1.time ? !$0.isStart && $1.isStart : $0.time < $1.time }
            for (resource, name) in instance.resources.enumerated() {
                var held: Int64 = 0
                for moment in moments {
                    let task = moment.task
                    guard schedule.entries[task].finish - schedule.entries[task].start > tolerance else {
                        if instance.tasks[task].amounts[resource] > instance.workers[worker].amounts[resource] {
                            return "\(instance.tasks[task].name): asks for more than there is"
                        }
                        continue
                    }
                    held += (moment.isStart ? 1 : -1) * instance.tasks[task].amounts[resource]
                    guard held <= instance.workers[worker].amounts[resource] else {
                        return "\(instance.workers[worker].name) holds too much \(name) at \(moment.time)"
                    }
                }
            }
        }
        return nil
    }
}
