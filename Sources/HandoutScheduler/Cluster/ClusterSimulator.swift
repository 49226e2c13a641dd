package import HandoutCore

/// Runs a graph on a cluster in virtual time, with faults: the same scheduler that runs real tasks.
///
/// The same options give the same result, byte for byte.
package struct ClusterSimulator: ~Copyable {
    private enum Event: BitwiseCopyable {
        case ends(attempt: UInt32)
        case report(attempt: UInt32, isSecond: Bool)
        case detected(worker: UInt32)
        case joins(worker: UInt32)
        case leaves(worker: UInt32)
        case fails(worker: UInt32)
        case price(worker: UInt32)
        case timer
        case look
    }

    /// One attempt, from the moment it was placed.
    private struct Attempt: BitwiseCopyable {
        var task: TaskID
        var number: UInt16
        var worker: Int32
        var variant: UInt8
        /// Its worker died under it.
        var isDead = false
        var isReported = false
        var start: UInt64
        var finish: UInt64
        var failure: Ended?
    }

    private let graph: GraphColumns
    private let options: ClusterOptions
    private let world: any SimulatedWorld
    private var core: SchedulerCore
    private var output = SchedulerOutput()
    private var placements: [Placement] = []
    private var attempts: [Attempt] = []
    private var free: [UInt32] = []
    private var future = EventHeap<Event>()
    private var random: SplitMix64
    private var now: UInt64 = 0
    /// By worker: number in the scheduler, attempts that run, and how much slower it is than it says.
    private var numbers: [Int] = []
    private var workerOfNumber: [Int: Int] = [:]
    private var running: [Set<UInt32>]
    private var slowness: [Double]
    private var isUp: [Bool]
    /// By row: the worker that has its value.
    private var homes: [Int32]
    private var result = ClusterResult()
    private var audit: ClusterAudit
    private var witness: RunWitness
    private var encoder = RunEventEncoder()
    private var plannedTimer: UInt64?
    private var plannedWait: UInt64?
    private let replanner: (any RunReplanner)?
    private var plannedLook: UInt64 = 0
    private var hasPlanted = false
    private var finishes = 0

    package init(graph: GraphColumns, options: ClusterOptions, world: any SimulatedWorld) {
        self.graph = graph
        self.options = options
        self.world = world
        var configuration = SchedulerConfiguration(
            slots: 1, keepGoing: options.keepGoing, seed: options.seed, targets: options.targets,
            outputs: options.outputs, recordsEvents: options.recordsEvents || options.record != nil)
        configuration.hasWorkers = true
        configuration.shared = options.shared
        configuration.allocator = options.allocator
        configuration.tellsStrategy = options.tellsStrategy
        core = SchedulerCore(graph: graph, configuration: configuration)
        if let plan = options.plan { core.follow(plan) }
        replanner = options.replanner?(core.keepProgress())
        core.measureTransfers { world.transfer(of: $0, to: $1, from: $2, to: $3).nanoseconds }
        if let record = options.record {
            core.keep(record)
            record.later = options.workers.filter { $0.joinsAt > 0 }.map { ($0.offer.capacity.name, $0.joinsAt) }
        }
        random = SplitMix64(seed: options.seed ^ 0xC1A5_7E55)
        let count = options.workers.count
        numbers = Array(repeating: -1, count: count)
        running = Array(repeating: [], count: count)
        slowness = Array(repeating: 1, count: count)
        isUp = Array(repeating: false, count: count)
        homes = Array(repeating: -1, count: graph.count)
        result.busy = Array(repeating: 0, count: count)
        audit = ClusterAudit(graph: graph, options: options)
        witness = RunWitness(graph: graph, outputs: options.outputs, isOn: options.checksRules)
    }

    /// Runs to the end, or to the first broken rule. `strategy` answers what a strategy is asked.
    package consuming func run(
        strategy: (inout SchedulerCore, UInt64, inout [Placement], inout SchedulerOutput) -> Void = { _, _, _, _ in }
    ) -> ClusterResult {
        for worker in options.workers.indices {
            if random.chance(options.faults.slowRate) { slowness[worker] = options.faults.slowFactor }
            if options.workers[worker].joinsAt == 0 {
                join(worker)
            } else {
                future.plan(.joins(worker: UInt32(worker)), at: options.workers[worker].joinsAt)
            }
            if let fails = options.workers[worker].failsAt { future.plan(.fails(worker: UInt32(worker)), at: fails) }
            for price in options.workers[worker].prices where price.from > 0 {
                future.plan(.price(worker: UInt32(worker)), at: price.from)
            }
        }
        core.start(now: now, into: &output)
        settle(strategy)
        var steps = 0
        while finishes == 0, witness.violation == nil, let (time, event) = future.next() {
            if let until = options.record?.until, time > until {
                // What comes later is not asked about.
                if let record = options.record { core.conclude(record) }
                return result
            }
            now = max(now, time)
            handle(event)
            steps += 1
            // What happens at one moment is seen together; where rules are checked, one by one.
            if !options.checksRules && future.nextTime == now { continue }
            settle(strategy)
            if steps > 1_000_000 + 1_000 * core.rowCount { witness.report("the run does not end") }
        }
        placements.removeAll()
        if core.hasHeard { strategy(&core, now, &placements, &output) }
        if let record = options.record { core.conclude(record) }
        return conclude()
    }

    private mutating func conclude() -> ClusterResult {
        result.counts = core.counts
        if let replanner { result.plans = replanner.counts }
        if finishes == 0 && witness.violation == nil {
            result.waiting = core.counts.total - core.counts.done - core.counts.failed - core.counts.skipped
            if options.planted != nil || result.waiting == 0 || core.counts.running > 0 {
                witness.report("the run does not end: \(core.counts)")
            }
        }
        if options.checksRules && finishes > 0 && witness.violation == nil {
            if let problem = core.sanityProblem() { witness.report("state: \(problem)") }
            witness.ended()
        }
        result.violation = witness.violation
        result.log = encoder.takeBytes()
        var capacity = 0.0
        for worker in options.workers where worker.joinsAt < result.makespan {
            let end = min(worker.offer.leavesAt ?? result.makespan, result.makespan)
            capacity += Double(end - min(end, worker.joinsAt))
        }
        result.utilisation = capacity > 0 ? result.busy.reduce(0, +) / capacity : 0
        for index in result.schedule.indices {
            let (declared, element) = core.planPlace(of: Int(result.schedule[index].task))
            result.schedule[index].declared = UInt32(declared)
            result.schedule[index].element = element.map { Int32($0) } ?? -1
        }
        result.schedule.sort { ($0.start, $0.task) < ($1.start, $1.task) }
        return result
    }

    // MARK: - Workers

    private mutating func join(_ worker: Int) {
        var offer = options.workers[worker].offer
        offer.price = price(worker, now)
        isUp[worker] = true
        numbers[worker] = core.join(offer, now: now)
        workerOfNumber[numbers[worker]] = worker
        if let leaves = offer.leavesAt, leaves > now { future.plan(.leaves(worker: UInt32(worker)), at: leaves) }
    }

    private func price(_ worker: Int, _ time: UInt64) -> Double {
        var price = options.workers[worker].offer.price
        for step in options.workers[worker].prices where step.from <= time { price = step.price }
        return price
    }

    /// What runs there is lost; the scheduler hears of it later.
    private mutating func die(_ worker: Int) {
        guard isUp[worker], isUp.filter({ $0 }).count > 1 || options.faults.returnRate >= 1 else { return }
        isUp[worker] = false
        for attempt in running[worker] { attempts[Int(attempt)].isDead = true }
        future.plan(.detected(worker: UInt32(worker)), at: now + 1 + UInt64(random.below(Int(options.faults.delay))))
    }

    private mutating func lose(_ worker: Int, isLost: Bool) {
        let lost = running[worker].sorted()
        running[worker] = []
        core.leave(worker: numbers[worker], isLost: isLost, now: now)
        for index in lost where !attempts[Int(index)].isReported {
            attempts[Int(index)].isDead = true
            attempts[Int(index)].isReported = true
            let attempt = attempts[Int(index)]
            audit.ended(Int(attempt.task.rawValue), &witness)
            if core.failed(
                attempt.task, attempt: attempt.number, slot: -1, Failure(.lost), now: now, into: &output)
            {
                witness.stopped(attempt.task)
            }
            account(attempt, until: now)
        }
    }

    // MARK: - Events

    private mutating func handle(_ event: Event) {
        switch event {
        case .ends(let index): ends(index)
        case .report(let index, let isSecond): deliver(index, isSecond: isSecond)
        case .detected(let worker):
            lose(Int(worker), isLost: true)
            if random.chance(options.faults.returnRate) {
                future.plan(.joins(worker: worker), at: now + 1 + UInt64(random.below(Int(options.faults.delay))))
            }
        case .joins(let worker): join(Int(worker))
        case .leaves(let worker):
            guard isUp[Int(worker)] else { return }
            isUp[Int(worker)] = false
            lose(Int(worker), isLost: false)
        case .fails(let worker):
            guard isUp[Int(worker)] else { return }
            isUp[Int(worker)] = false
            lose(Int(worker), isLost: true)
        case .price(let worker):
            guard isUp[Int(worker)] else { return }
            var offer = options.workers[Int(worker)].offer
            offer.price = price(Int(worker), now)
            core.change(offer, now: now)
        case .timer:
            plannedTimer = nil
            core.advance(now: now, into: &output)
        case .look: break
        }
    }

    private mutating func ends(_ index: UInt32) {
        let attempt = attempts[Int(index)]
        // What a dead worker still sends is delivered late: nobody knows yet that it is dead.
        if attempt.isDead && !random.chance(0.3) { return }
        if options.planted == .loseCompletion && !hasPlanted && attempt.failure == nil {
            hasPlanted = true
            return
        }
        let faults = options.faults
        if attempt.isDead || random.chance(faults.lateRate) || random.chance(faults.dropRate) {
            let later = now + 1 + UInt64(random.below(Int(faults.delay)))
            future.plan(.report(attempt: index, isSecond: false), at: later)
        } else {
            deliver(index, isSecond: false)
        }
        if random.chance(faults.duplicateRate) {
            let later = now + 1 + UInt64(random.below(2 * Int(faults.delay)))
            future.plan(.report(attempt: index, isSecond: true), at: later)
        }
    }

    private mutating func deliver(_ index: UInt32, isSecond: Bool) {
        var attempt = attempts[Int(index)]
        if options.planted == .acceptStale && attempt.isReported && !isSecond { attempt.number += 1 }
        let worker = Int(attempt.worker)
        let accepted: Bool
        if let ended = attempt.failure {
            accepted = core.failed(
                attempt.task, attempt: attempt.number, slot: -1, Failure(ended), now: now, into: &output)
            if accepted { witness.stopped(attempt.task) }
        } else {
            let took = Double(attempt.finish - attempt.start) * (1 + options.faults.clockSkew * (2 * random.unit() - 1))
            let origin = core.declaredRow(of: attempt.task.index)
            accepted = core.finished(
                attempt.task, attempt: attempt.number, slot: numbers[worker], holdsMemory: true,
                nanoseconds: UInt64(max(0, took)), bytes: world.bytes(attempt.task.index, origin: origin), now: now,
                into: &output)
            if accepted { committed(attempt) }
        }
        guard accepted else {
            options.record?.superseded(attempt.task.index, attempt: Int(attempt.number), now: now)
            return
        }
        if attempt.isReported { witness.report("\(attempt.task): an attempt that had ended before was booked") }
        attempts[Int(index)].isReported = true
        running[worker].remove(index)
        audit.ended(attempt.task.index, &witness)
        account(attempt, until: attempt.finish)
        if options.faults.duplicateRate == 0 && options.faults.lateRate == 0 && options.faults.dropRate == 0
            && options.faults.deathRate == 0
        {
            free.append(index)
        }
    }

    private mutating func committed(_ attempt: Attempt) {
        witness.done(attempt.task, holdsMemory: true)
        let row = attempt.task.index
        while homes.count <= row { homes.append(-1) }
        homes[row] = attempt.worker
        result.schedule.append(
            ScheduledAttempt(
                task: attempt.task.rawValue, worker: attempt.worker, variant: attempt.variant, start: attempt.start,
                finish: attempt.finish))
        result.makespan = max(result.makespan, attempt.finish)
    }

    /// What it held is paid for.
    private mutating func account(_ attempt: Attempt, until end: UInt64) {
        guard end > attempt.start else { return }
        let worker = Int(attempt.worker)
        let share = audit.share(
            attempt.task.index, core.declaredRow(of: attempt.task.index), Int(attempt.variant), worker)
        let held = Double(end - attempt.start)
        result.busy[worker] += held * share
        result.cost += held / 3.6e12 * share * price(worker, attempt.start)
    }

    // MARK: - Between events

    private mutating func settle(
        _ strategy: (inout SchedulerCore, UInt64, inout [Placement], inout SchedulerOutput) -> Void
    ) {
        perform()
        if let plan = replanner?.newPlan(core, now: now) { core.replace(plan) }
        repeat {
            placements.removeAll(keepingCapacity: true)
            if let record = options.record { core.findRows(record) }
            let isAsked = core.hasQuestions || core.hasHeard || core.wantsRound(now: now)
            if isAsked { strategy(&core, now, &placements, &output) }
            core.place(now: now, into: &placements, output: &output)
            for placement in placements { start(placement) }
            perform()
        } while core.hasQuestions || core.wantsRound(now: now) || !placements.isEmpty && core.counts.ready > 0
        if let look = replanner?.nextLook, look > now, plannedLook <= now || look < plannedLook {
            plannedLook = look
            future.plan(.look, at: look)
        }
        let wait = core.strategyWaitsUntil
        if wait > now && wait != plannedWait {
            plannedWait = wait
            future.plan(.timer, at: wait)
        }
        if let time = core.nextTimer, plannedTimer.map({ time < $0 }) ?? true {
            plannedTimer = time
            future.plan(.timer, at: max(time, now))
        }
        if let record = options.record { core.look(record, now: now) }
        if options.checksRules, witness.violation == nil, let problem = core.sanityProblem() {
            witness.report("state: \(problem)")
        }
        if options.estimatesHold, witness.violation == nil, let problem = core.overdueReservation(now: now) {
            witness.report(problem)
        }
    }

    private mutating func perform() {
        guard !output.actions.isEmpty || !output.events.isEmpty else { return }
        var index = 0
        while index < output.actions.count {
            switch output.actions[index] {
            case .expand(let task):
                let elements = world.elements(task.index)
                if options.recordsInputs, task.index < graph.count { result.elements[task.index] = elements }
                if core.expanded(task, elements: elements, now: now, into: &output) {
                    witness.expanded(task, elements: elements)
                }
            case .measure(let task, let attempt): core.measured(task, attempt: attempt, nil, into: &output)
            case .rows(let task, let first, let count): witness.rows(task, first: first, count: count)
            case .release(let first, let count): witness.released(first: first, count: count)
            case .giveUp(let task, _, _): witness.gaveUp(task)
            case .missing(let task, _): witness.missing(task)
            case .recover(let task, _): witness.stopped(task, again: true)
            case .retry: break
            case .stopRunning: break
            case .finish: finishes += 1
            }
            index += 1
        }
        if options.recordsEvents { encoder.append(contentsOf: output.events) }
        options.record?.take(output.events)
        output.clear()
    }

    private mutating func start(_ placement: Placement) {
        guard let worker = workerOfNumber[placement.worker] else { return }
        let row = placement.entry.task.index
        let origin = core.declaredRow(of: row)
        witness.started(placement.entry.task)
        audit.started(row, origin, placement.variant, worker, &witness)
        if options.planted == .overcommit {
            audit.started(row, origin, placement.variant, worker, &witness)
        }
        let begins = now + bring(row, to: worker)
        options.record?.placed(
            row, attempt: Int(placement.entry.attempt), worker: options.workers[worker].offer.capacity.name, now: now,
            begins: begins)
        let speed = options.workers[worker].offer.speed
        var takes = world.duration(row, origin: origin, worker: worker, variant: placement.variant, speed: speed)
        if slowness[worker] != 1 { takes = UInt64(Double(takes) * slowness[worker]) }
        var attempt = Attempt(
            task: placement.entry.task, number: placement.entry.attempt, worker: Int32(worker),
            variant: UInt8(placement.variant), start: begins, finish: begins + takes)
        if random.chance(options.faults.failureRate) {
            let kinds: [Ended] = [.error, .error, .error, .timeout, .crash, .result, .memory]
            attempt.failure = kinds[random.below(kinds.count)]
        }
        let index: UInt32
        if let reused = free.popLast() {
            index = reused
            attempts[Int(index)] = attempt
        } else {
            index = UInt32(attempts.count)
            attempts.append(attempt)
        }
        running[worker].insert(index)
        if !isUp[worker] { attempts[Int(index)].isDead = true }
        future.plan(.ends(attempt: index), at: attempt.finish)
        if random.chance(options.faults.deathRate) { die(worker) }
    }

    /// Nanoseconds until all that the row is given is there; transfers do not delay each other.
    private mutating func bring(_ row: Int, to worker: Int) -> UInt64 {
        var longest: UInt64 = 0
        var moved: UInt64 = 0
        core.forEachInput(row) { input in
            guard input < homes.count, homes[input] >= 0, Int(homes[input]) != worker else { return }
            let transfer = world.transfer(of: input, to: row, from: Int(homes[input]), to: worker)
            longest = max(longest, transfer.nanoseconds)
            moved += transfer.bytes
        }
        result.bytesMoved += moved
        if options.recordsInputs {
            var inputs: [UInt32] = []
            core.forEachInput(row) { inputs.append(UInt32($0)) }
            result.inputs[UInt32(row)] = inputs
        }
        return longest
    }
}

/// Counts what runs where, apart from the scheduler: what it says is too much, is too much.
private struct ClusterAudit {
    private let requests: RequestTable
    private let optionIndices: Column<UInt32>
    private let totals: [[UInt64]]
    private let pools: [UInt64?]
    private let isOn: Bool
    private var used: [[UInt64]]
    private var pooled: [UInt64]
    private var held: [Int: (worker: Int, amounts: [ResourceAmount])] = [:]

    init(graph: GraphColumns, options: ClusterOptions) {
        let requests = graph.requests
        self.requests = requests
        optionIndices = graph.optionIndices
        isOn = options.checksRules
        var limits = options.shared
        for limit in requests.limits { limits[requests.names[Int(limit.resource)]] = limit.amount }
        pools = requests.names.map { limits[$0] }
        totals = options.workers.map { worker in
            requests.names.map { name in
                worker.offer.indices[name].map { UInt64($0.count) * 10_000 } ?? worker.offer.capacity.total(name)
            }
        }
        used = totals.map { $0.map { _ in 0 } }
        pooled = requests.names.map { _ in 0 }
    }

    private func amounts(_ origin: Int, _ variant: Int) -> [ResourceAmount] {
        let request = requests.requests[Int(requests.ofOptions[Int(optionIndices[origin])])]
        return variant < request.variants.count ? request.variants[variant].amounts : []
    }

    func share(_ row: Int, _ origin: Int, _ variant: Int, _ worker: Int) -> Double {
        var share = 0.0
        for amount in amounts(origin, variant) where pools[Int(amount.resource)] == nil {
            let total = totals[worker][Int(amount.resource)]
            if total > 0 && total < UInt64.max { share = max(share, Double(amount.amount) / Double(total)) }
        }
        return share
    }

    mutating func started(_ row: Int, _ origin: Int, _ variant: Int, _ worker: Int, _ witness: inout RunWitness) {
        guard isOn else { return }
        let amounts = amounts(origin, variant)
        held[row] = (worker, amounts)
        for amount in amounts {
            let resource = Int(amount.resource)
            if let pool = pools[resource] {
                pooled[resource] += amount.amount
                if pooled[resource] > pool {
                    witness.report("the pool of \(requests.names[resource]) is overcommitted")
                }
            } else {
                used[worker][resource] += amount.amount
                if used[worker][resource] > totals[worker][resource] {
                    witness.report("worker \(worker) is overcommitted: \(requests.names[resource])")
                }
            }
        }
    }

    mutating func ended(_ row: Int, _ witness: inout RunWitness) {
        guard isOn, let (worker, amounts) = held.removeValue(forKey: row) else { return }
        for amount in amounts {
            let resource = Int(amount.resource)
            if pools[resource] != nil {
                pooled[resource] -= amount.amount
            } else {
                used[worker][resource] -= amount.amount
            }
        }
    }
}
