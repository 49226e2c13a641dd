import HandoutCore
import HandoutPlacement
import HandoutScheduler

/// What is left of a run at some moment, as an instance that begins there. Times in seconds.
struct RunRest {
    let instance: PlacementInstance
    /// By task of the instance: the entry of the outline.
    let entries: [Int]
    /// Number in the scheduler by worker of the instance, -1: it has not joined yet.
    let numbers: [Int]
    /// Entries that run, and the moment at which they are expected to end.
    let running: [(entry: Int, worker: Int, rest: Double)]

    /// Nil: nothing is left, or some of it could run nowhere.
    init?(
        _ outline: PlanOutline, _ parts: InstanceParts, _ core: borrowing SchedulerCore, _ progress: RunProgress,
        now: UInt64
    ) {
        var build = RestBuilder(outline, parts, now: now)
        build.findWorkers(core)
        build.findStandings(core, progress)
        build.believe(core, progress)
        guard let instance = build.instance() else { return nil }
        self.instance = instance
        entries = build.open
        numbers = build.numbers
        running = build.running
    }
}

extension RunRest {
    /// The order in which a plan has the tasks begin, on which workers, and from when on in seconds; empty: at once. What it
    /// does not know comes behind what it does, anywhere.
    func order(
        _ plan: [PlanOutline.Place: PlacementPlan.Entry], _ outline: PlanOutline, moment: Double
    ) -> (ranks: [Int], workers: [Int?], notBefore: [Double]) {
        var index: [Int32: Int] = [:]
        for (worker, number) in numbers.enumerated() where number >= 0 { index[Int32(number)] = worker }
        let planned = entries.map { plan[outline.entries[$0].place] }
        let tasks = entries.indices.sorted { left, right in
            (planned[left]?.order ?? .max, left) < (planned[right]?.order ?? .max, right)
        }
        var ranks = [Int](repeating: 0, count: tasks.count)
        for (rank, task) in tasks.enumerated() { ranks[task] = rank }
        let notBefore = planned.map { max(0, Double($0?.notBefore ?? 0) / 1e9 - moment) }
        return (
            ranks, planned.map { $0.flatMap { index[$0.worker] } }, notBefore.contains { $0 > 0 } ? notBefore : []
        )
    }

    /// What comes to pass when the run follows the plan; nil: something can never be placed.
    func rehearse(
        _ plan: [PlanOutline.Place: PlacementPlan.Entry], _ outline: PlanOutline, moment: Double
    ) -> Schedule? {
        let order = order(plan, outline, moment: moment)
        var rehearsal = Rehearsal(
            instance, ranks: order.ranks, workers: order.workers, notBefore: order.notBefore)
        return rehearsal.schedule()
    }

    /// All of it, before anything has begun, on the workers that are there then. Nil: some task could run nowhere.
    init?(_ outline: PlanOutline, _ parts: InstanceParts) {
        var build = RestBuilder(outline, parts, now: 0)
        build.begin()
        guard let instance = build.instance() else { return nil }
        self.instance = instance
        entries = build.open
        numbers = build.numbers
        running = []
    }
}

private struct RestBuilder {
    let outline: PlanOutline
    let parts: InstanceParts
    let now: UInt64
    let moment: Double
    var numbers: [Int]
    private var indexOfNumber: [Int: Int] = [:]
    /// By worker of the simulation: what it is now; nil: it is not there.
    private var offers: [WorkerOffer?]
    /// By entry: the row, where there is one.
    private var rows: [Int: Int] = [:]
    private var standings: [SchedulerCore.RowStanding]
    /// By entry: the worker that has its result.
    private var homes: [Int: Int] = [:]
    private(set) var open: [Int] = []
    private(set) var running: [(entry: Int, worker: Int, rest: Double)] = []
    private var beliefs = RunBeliefs([], repeated: [])

    init(_ outline: PlanOutline, _ parts: InstanceParts, now: UInt64) {
        self.outline = outline
        self.parts = parts
        self.now = now
        moment = Double(now) / 1e9
        numbers = parts.simulation.workers.map { _ in -1 }
        offers = parts.simulation.workers.map { _ in nil }
        standings = outline.entries.map { _ in .open }
    }

    /// Nothing has happened yet.
    mutating func begin() {
        var joined = 0
        for (index, worker) in parts.simulation.workers.enumerated() where worker.joinsAt == 0 {
            offers[index] = worker.offer
            numbers[index] = joined
            joined += 1
        }
        open = Array(outline.entries.indices)
    }

    mutating func findWorkers(_ core: borrowing SchedulerCore) {
        var indexOfName: [String: Int] = [:]
        for (index, worker) in parts.simulation.workers.enumerated() { indexOfName[worker.offer.capacity.name] = index }
        for number in 0..<core.workerCount {
            guard let facts = core.workerFacts(number), let index = indexOfName[facts.offer.capacity.name] else {
                continue
            }
            numbers[index] = number
            indexOfNumber[number] = index
            if facts.isUp { offers[index] = facts.offer }
        }
    }

    mutating func findStandings(_ core: borrowing SchedulerCore, _ progress: RunProgress) {
        for row in 0..<core.rowCount {
            let (declared, element) = core.planPlace(of: row)
            guard let entry = outline.entryOfPlace[PlanOutline.Place(declared: declared, element: element)] else {
                continue
            }
            rows[entry] = row
            standings[entry] = core.standing(of: row)
        }
        for attempt in progress.ended {
            if let entry = entry(attempt, core), let index = indexOfNumber[Int(attempt.worker)] { homes[entry] = index }
        }
        open = outline.entries.indices.filter { standings[$0] == .open }
    }

    private func entry(_ attempt: RunProgress.Attempt, _ core: borrowing SchedulerCore) -> Int? {
        let (declared, element) = core.planPlace(of: Int(attempt.row))
        return outline.entryOfPlace[PlanOutline.Place(declared: declared, element: element)]
    }

    /// Seconds that the entry was first thought to take on a worker.
    private func expected(_ entry: Int, _ worker: Int) -> Double {
        let speed = offers[worker]?.speed ?? parts.simulation.workers[worker].offer.speed
        return parts.time(outline.entries[entry], on: worker, speed: speed)
    }

    /// Learns from what has ended, and from what has run for longer than it should; then knows when what runs will end.
    mutating func believe(_ core: borrowing SchedulerCore, _ progress: RunProgress) {
        var samples: [RunBeliefs.Sample] = []
        func note(_ entry: Int, _ worker: Int, _ took: Double, atLeast: Double) {
            let expected = expected(entry, worker)
            guard took > expected * atLeast else { return }
            samples.append(
                RunBeliefs.Sample(
                    worker: worker, name: outline.entries[entry].place.declared, expected: expected, took: took))
        }
        for attempt in progress.ended {
            guard let entry = entry(attempt, core), let worker = indexOfNumber[Int(attempt.worker)] else { continue }
            note(entry, worker, Double(attempt.took) / 1e9, atLeast: 0)
        }
        var current: [(entry: Int, worker: Int, elapsed: Double)] = []
        for attempt in core.runningAttempts() {
            guard let entry = entry(attempt, core), let worker = indexOfNumber[Int(attempt.worker)] else { continue }
            let elapsed = Double(now - min(now, attempt.begun)) / 1e9 - arrival(entry, on: worker)
            current.append((entry, worker, elapsed))
            note(entry, worker, elapsed, atLeast: 1)
        }
        beliefs = RunBeliefs(samples, repeated: outline.repeated)
        for (entry, worker, elapsed) in current {
            let time = time(entry, worker)
            running.append((entry, worker, max(time - elapsed, 0.1 * time)))
        }
    }

    private func time(_ entry: Int, _ worker: Int) -> Double {
        expected(entry, worker) * beliefs.factor(worker: worker, name: outline.entries[entry].place.declared)
    }

    /// How long what has ended takes to be on the worker.
    private func arrival(_ entry: Int, on worker: Int) -> Double {
        outline.entries[entry].inputs.reduce(0) { latest, input in
            guard let home = homes[input.entry] else { return latest }
            return max(latest, transfer(input.size, from: home, to: worker))
        }
    }

    private func transfer(_ size: PlacementInstance.Input.Size, from: Int, to: Int) -> Double {
        guard from != to else { return 0 }
        switch size {
        case .cost(let time): return time
        case .bytes(let bytes):
            guard bytes > 0 else { return 0 }
            let network = parts.simulation.network
            let link = network.pairs[PlacementInstance.Network.Pair(from: from, to: to)] ?? network.link
            return link.latency + bytes / link.bandwidth
        }
    }

    // MARK: - The instance

    func instance() -> PlacementInstance? {
        guard !open.isEmpty else { return nil }
        var taskOfEntry: [Int: Int] = [:]
        for (task, entry) in open.enumerated() { taskOfEntry[entry] = task }
        var runs: [Int: (worker: Int, rest: Double)] = [:]
        for run in running { runs[run.entry] = (run.worker, run.rest) }
        let tasks = open.map { entry in task(entry, taskOfEntry, runs) }
        let workers = parts.simulation.workers.indices.map { index in
            let worker = parts.simulation.workers[index]
            return parts.worker(worker, offer: offers[index] ?? worker.offer, from: moment)
        }
        return try? PlacementInstance(
            name: parts.simulation.graph.name, resources: parts.simulation.graph.requests.names, tasks: tasks,
            workers: workers, network: parts.simulation.network, pools: parts.pooled,
            occupations: running.map { occupation($0) } + departures)
    }

    private func task(
        _ entry: Int, _ taskOfEntry: [Int: Int], _ runs: [Int: (worker: Int, rest: Double)]
    ) -> PlacementInstance.Task {
        let outlined = outline.entries[entry]
        let request = parts.request(outlined.place.declared)
        let workers = parts.simulation.workers.indices
        let times = workers.map { worker -> Double in
            guard let offer = offers[worker], InstanceParts.isRight(request, offer) else { return .infinity }
            return time(entry, worker)
        }
        var arrivals = [Double](repeating: 0, count: workers.count)
        var inputs: [PlacementInstance.Input] = []
        for input in outlined.inputs {
            if let producer = taskOfEntry[input.entry] {
                inputs.append(PlacementInstance.Input(producer: producer, size: input.size))
                continue
            }
            let run = runs[input.entry]
            guard let home = run?.worker ?? homes[input.entry] else { continue }
            for worker in workers {
                arrivals[worker] = max(
                    arrivals[worker], (run?.rest ?? 0) + transfer(input.size, from: home, to: worker))
            }
        }
        return PlacementInstance.Task(
            name: "\(outlined.row)", runTime: .perWorker(times), amounts: parts.amounts(request), inputs: inputs,
            pooled: parts.pooled(request), arrivals: arrivals.contains { $0 > 0 } ? arrivals : [])
    }

    private func occupation(_ run: (entry: Int, worker: Int, rest: Double)) -> PlacementInstance.Occupation {
        let request = parts.request(outline.entries[run.entry].place.declared)
        return PlacementInstance.Occupation(
            worker: run.worker, until: run.rest, amounts: parts.amounts(request), pooled: parts.pooled(request))
    }

    /// Workers that will leave have nothing from then on, for longer than anything takes.
    private var departures: [PlacementInstance.Occupation] {
        offers.indices.compactMap { index in
            guard let offer = offers[index], let leaves = offer.leavesAt else { return nil }
            let from = max(0, Double(leaves) / 1e9 - moment)
            return PlacementInstance.Occupation(
                worker: index, from: from, until: from + 1e9, amounts: parts.totals(offer))
        }
    }
}
