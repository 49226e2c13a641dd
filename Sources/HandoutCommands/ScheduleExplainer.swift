import HandoutCore
import HandoutPlacement

/// Explains tasks of an instance by a schedule that was planned as a whole. Times in the unit of the instance.
struct ScheduleExplainer {
    private let instance: PlacementInstance
    private let schedule: Schedule
    private let allocator: String
    private let at: Double?

    init(_ instance: PlacementInstance, _ schedule: Schedule, allocator: String, at: Double?) {
        self.instance = instance
        self.schedule = schedule
        self.allocator = allocator
        self.at = at
    }

    func explanation(of name: String) -> TaskExplanation {
        guard let task = instance.tasks.firstIndex(where: { $0.name == name }) else {
            preconditionFailure("the name is one of the instance's")
        }
        let entry = schedule.entries[task]
        let arrival = arrival(task, on: entry.worker)
        let ready = instance.tasks[task].inputs.map { schedule.entries[$0.producer].finish }.max() ?? 0
        var explanation = TaskExplanation(task: name, state: state(ready, entry))
        explanation.at = at
        if explanation.state == .waiting {
            explanation.waitsFor = openInputs(task)
            return explanation
        }
        explanation.ready = TaskExplanation.Ready(time: ready, last: last(task))
        if entry.start > arrival.time + 1e-9 {
            explanation.waits = [wait(task, from: arrival.time, until: entry.start)]
        }
        if explanation.state == .ready { return explanation }
        var attempt = TaskExplanation.Attempt(
            number: 1, worker: instance.workers[entry.worker].name,
            placed: min(entry.start, max(ready, entry.start - arrival.transfer)), start: entry.start)
        attempt.finish = explanation.state == .done ? entry.finish : nil
        attempt.choice = choice(task)
        explanation.attempts = [attempt]
        explanation.notes = alternatives(task)
        return explanation
    }

    /// Labels are made of the table of run times: no label of the user's.
    static func withoutSets(_ explanation: TaskExplanation) -> TaskExplanation {
        var explanation = explanation
        for wait in explanation.waits.indices {
            explanation.waits[wait].obstacles = explanation.waits[wait].obstacles.map { obstacle in
                guard obstacle.kind == .label else { return obstacle }
                var unable = TaskExplanation.Obstacle(.unable)
                unable.workers = obstacle.workers
                return unable
            }
        }
        return explanation
    }

    private func state(_ ready: Double, _ entry: Schedule.Entry) -> TaskExplanation.State {
        guard let at else { return .done }
        return at < ready ? .waiting : at < entry.start ? .ready : at < entry.finish ? .running : .done
    }

    private func openInputs(_ task: Int) -> [TaskExplanation.Input] {
        let at = at ?? 0
        return instance.tasks[task].inputs.filter { schedule.entries[$0.producer].finish > at }.map { input in
            let entry = schedule.entries[input.producer]
            let isRunning = entry.start <= at
            return TaskExplanation.Input(
                instance.tasks[input.producer].name, isRunning ? .running : .waiting,
                since: isRunning ? entry.start : nil, worker: isRunning ? instance.workers[entry.worker].name : nil)
        }
    }

    private func last(_ task: Int) -> String? {
        let inputs = instance.tasks[task].inputs
        return inputs.max { schedule.entries[$0.producer].finish < schedule.entries[$1.producer].finish }
            .map { instance.tasks[$0.producer].name }
    }

    /// When its data are all on a worker, and how long the last of them took to come.
    private func arrival(_ task: Int, on worker: Int) -> (time: Double, transfer: Double) {
        var latest = (time: 0.0, transfer: 0.0)
        for input in instance.tasks[task].inputs {
            let entry = schedule.entries[input.producer]
            let transfer = instance.transferTime(input, from: entry.worker, to: worker)
            if entry.finish + transfer > latest.time { latest = (entry.finish + transfer, transfer) }
        }
        return latest
    }

    // MARK: - Waiting

    /// What its worker was short of, when its data were there.
    private func wait(_ task: Int, from: Double, until: Double) -> TaskExplanation.Wait {
        let entry = schedule.entries[task]
        var wait = TaskExplanation.Wait(from: from, until: at.map { $0 < until } ?? false ? nil : until)
        let amounts = instance.tasks[task].amounts
        for (resource, name) in instance.resources.enumerated() where amounts[resource] > 0 {
            let there = running(on: entry.worker, resource, from: from, to: from)
            let total = instance.workers[entry.worker].amounts[resource]
            let used = there.reduce(0) { $0 + instance.tasks[$1].amounts[resource] }
            guard total - used < amounts[resource] else { continue }
            var obstacle = TaskExplanation.Obstacle(.short)
            obstacle.workers = [instance.workers[entry.worker].name]
            obstacle.resource = name
            obstacle.wanted = UInt64(amounts[resource])
            obstacle.free = UInt64(max(0, total - used))
            obstacle.total = UInt64(total)
            obstacle.holders = there.map { instance.tasks[$0].name }
            wait.obstacles.append(obstacle)
        }
        if wait.obstacles.isEmpty { wait.obstacles = reservations(task, from: from) }
        return wait
    }

    /// It would fit at once, but not for all of its run: what is planned there meanwhile.
    private func reservations(_ task: Int, from: Double) -> [TaskExplanation.Obstacle] {
        let entry = schedule.entries[task]
        let length = entry.finish - entry.start
        let others = schedule.entries.indices.filter { other in
            let start = schedule.entries[other].start
            return other != task && schedule.entries[other].worker == entry.worker && start >= from
                && start < min(from + length, entry.start)
        }
        guard let first = others.min(by: { schedule.entries[$0].start < schedule.entries[$1].start }) else { return [] }
        var obstacle = TaskExplanation.Obstacle(.reserved)
        obstacle.workers = [instance.workers[entry.worker].name]
        obstacle.name = instance.tasks[first].name
        return [obstacle]
    }

    private func running(on worker: Int, _ resource: Int, from: Double, to: Double) -> [Int] {
        schedule.entries.indices.filter { other in
            let entry = schedule.entries[other]
            return entry.worker == worker && entry.start <= to && entry.finish > from
                && instance.tasks[other].amounts[resource] > 0
        }
    }

    // MARK: - Placed

    private func choice(_ task: Int) -> TaskExplanation.Choice {
        let entry = schedule.entries[task]
        let able = instance.workers.indices.filter { instance.canRun(task, on: $0) }
        guard able.count > 1 else { return TaskExplanation.Choice(.only, allocator: allocator) }
        var choice = TaskExplanation.Choice(.plan, allocator: allocator, fitting: able.count)
        let before = schedule.entries.indices.filter { other in
            (schedule.entries[other].start, other) < (entry.start, task)
        }
        choice.value = Double(before.count + 1)
        return choice
    }

    /// How the other workers compare: when it could have ended there at the earliest, and at what price.
    private func alternatives(_ task: Int) -> [String] {
        let entry = schedule.entries[task]
        func price(_ worker: Int) -> String {
            let price = instance.price(of: task, on: worker)
            return price > 0 ? ", for \(ShownNumber.text(price))" : ""
        }
        let others = instance.workers.indices.filter { $0 != entry.worker && instance.canRun(task, on: $0) }
            .map { (worker: $0, end: arrival(task, on: $0).time + instance.runTime(of: task, on: $0)) }
            .sorted { ($0.end, $0.worker) < ($1.end, $1.worker) }.prefix(3)
        guard !others.isEmpty else { return [] }
        let here =
            "on \(instance.workers[entry.worker].name) it takes \(ShownNumber.text(entry.finish - entry.start)) s and ends at "
            + "\(ShownNumber.text(entry.finish)) s\(price(entry.worker))"
        return [here]
            + others.map { other in
                "on \(instance.workers[other.worker].name) it would take "
                    + "\(ShownNumber.text(instance.runTime(of: task, on: other.worker))) s and end at "
                    + "\(ShownNumber.text(other.end)) s or later\(price(other.worker))"
            }
    }
}
