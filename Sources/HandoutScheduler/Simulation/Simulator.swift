package import HandoutCore

/// Drives a `SchedulerCore` through a whole run in virtual time, with faults drawn from a seed, and checks after each
/// event that no rule is broken.
package struct Simulator: ~Copyable {
    /// What one slot is busy with.
    struct Slot {
        var lease: [LeaseEntry] = []
        var position = 0
        var cpu: UInt64 = 0
        /// Reports not yet sent.
        var reports: [SchedulerEvent] = []
        var isStopping = false
        var isBusy: Bool { position < lease.count }
    }

    let graph: GraphColumns
    let options: SimulationOptions
    var core: SchedulerCore
    var random: SplitMix64
    var future = EventHeap<VirtualEvent>()
    var slots: [Slot]
    var output = SchedulerOutput()
    var buffer = LeaseBuffer()
    var witness: RunWitness
    /// What functions said of cores.
    var measured: [TaskID: UInt64] = [:]
    var encoder = RunEventEncoder()
    var now: UInt64 = 0
    var inputs = 0
    var steps = 0
    var finishes = 0
    var plannedTimer: UInt64?
    var faultIsPlanted = false
    var isPaused = false

    package init(graph: GraphColumns, options: SimulationOptions) {
        self.graph = graph
        self.options = options
        core = SchedulerCore(
            graph: graph,
            configuration: SchedulerConfiguration(
                slots: options.slots, cpu: options.cpu, keepGoing: options.keepGoing, seed: options.seed,
                targets: options.targets, outputs: options.outputs, recordsEvents: true))
        random = SplitMix64(seed: options.seed)
        // One more than there are, for the fault that runs too many.
        slots = Array(repeating: Slot(), count: options.slots + 1)
        witness = RunWitness(graph: graph, outputs: options.outputs, isOn: options.checksRules)
    }

    /// Runs to the end, or to the first broken rule.
    package consuming func run() -> SimulationResult {
        core.start(now: now, into: &output)
        if let time = options.cancelAt { future.plan(.cancel, at: time) }
        settle()
        while witness.violation == nil, let (time, event) = future.next() {
            now = time
            handle(event)
            settle()
            // Virtual time does not stand still: a run this long goes round in circles.
            if steps > 1_000_000 + 1_000 * core.rowCount { witness.report("the run does not end") }
        }
        if witness.violation == nil { checkEnd() }
        return SimulationResult(
            counts: core.counts, makespan: now, inputs: inputs, log: encoder.takeBytes(),
            violation: witness.violation)
    }

    // MARK: - Events

    private mutating func handle(_ event: VirtualEvent) {
        switch event {
        case .taskEnds(let slot): taskEnds(slot)
        case .report(let report): deliver(report)
        case .expansion(let task): answerExpansion(task)
        case .measurement(let task, let attempt): answerMeasurement(task, attempt)
        case .timer:
            plannedTimer = nil
            core.advance(now: now, into: &output)
        case .cancel:
            core.cancel(now: now, into: &output)
            if random.chance(0.5) { stopAll() }
        case .resume:
            isPaused = false
            core.resume(now: now, into: &output)
        }
    }

    private mutating func taskEnds(_ slot: Int) {
        let entry = slots[slot].lease[slots[slot].position]
        slots[slot].position += 1
        if random.chance(options.lossRate) {
            slots[slot].reports.append(.failed(entry.task, attempt: entry.attempt, slot: -1, Failure(.lost)))
            giveBackRest(of: slot, lost: random.chance(0.5))
        } else {
            slots[slot].reports.append(outcome(of: entry, slot))
            if slots[slot].isStopping || random.chance(options.returnRate) { giveBackRest(of: slot, lost: false) }
        }
        if slots[slot].isBusy { planEnd(of: slot) }
        if !slots[slot].isBusy || random.chance(0.5) { send(slot) }
    }

    private mutating func outcome(of entry: LeaseEntry, _ slot: Int) -> SchedulerEvent {
        let number = Int16(min(slot, options.slots - 1))
        if slots[slot].isStopping && random.chance(0.7) {
            return .failed(entry.task, attempt: entry.attempt, slot: number, Failure(.cancelled))
        }
        guard random.chance(options.failureRate) else {
            return .finished(
                entry.task, attempt: entry.attempt, slot: number, holdsMemory: random.chance(0.8),
                isFalsy: random.chance(0.3), nanoseconds: UInt64(random.below(options.longestTask)),
                bytes: UInt64(random.below(4096)))
        }
        let kinds: [Ended] = [.error, .error, .error, .timeout, .crash, .crash, .result, .memory]
        let failure = Failure(
            kinds[random.below(kinds.count)], neverRetry: random.chance(0.05),
            retryAfter: random.chance(0.1) ? UInt64(random.below(options.longestTask)) : nil)
        return .failed(entry.task, attempt: entry.attempt, slot: number, failure)
    }

    private mutating func giveBackRest(of slot: Int, lost: Bool) {
        for entry in slots[slot].lease[slots[slot].position...] {
            slots[slot].reports.append(
                lost
                    ? .failed(entry.task, attempt: entry.attempt, slot: -1, Failure(.lost))
                    : .returned(entry.task, attempt: entry.attempt))
        }
        slots[slot].position = slots[slot].lease.count
    }

    /// Sends a slot's reports: mostly at once, sometimes late and not in their order.
    private mutating func send(_ slot: Int) {
        let reports = slots[slot].reports
        slots[slot].reports.removeAll()
        for report in reports {
            if options.fault == .loseReport, !faultIsPlanted, case .finished = report {
                faultIsPlanted = true
                continue
            }
            if random.chance(0.1) {
                future.plan(.report(report), at: now + UInt64(random.below(options.longestTask)))
            } else {
                deliver(report)
            }
            // A lease that is given back may come back under the same number, so only ends of attempts come twice.
            if case .returned = report { continue }
            let repeats = options.fault == .acceptDuplicate || random.chance(options.duplicateRate)
            if repeats { future.plan(.report(report), at: now + UInt64(random.below(2 * options.longestTask))) }
        }
    }

    private mutating func deliver(_ report: SchedulerEvent) {
        inputs += 1
        switch report {
        case .finished(let task, let attempt, let slot, let holdsMemory, let isFalsy, let nanoseconds, let bytes):
            let accepted = core.finished(
                task, attempt: attempt, slot: Int(slot), holdsMemory: holdsMemory, isFalsy: isFalsy,
                nanoseconds: nanoseconds, bytes: bytes, now: now, into: &output)
            if accepted || options.fault == .acceptDuplicate { witness.done(task, holdsMemory: holdsMemory) }
            if options.fault == .releaseEarly && accepted && holdsMemory && !faultIsPlanted {
                faultIsPlanted = true
                witness.released(first: task, count: 1)
            }
        case .failed(let task, let attempt, let slot, let failure):
            let accepted = core.failed(task, attempt: attempt, slot: Int(slot), failure, now: now, into: &output)
            if accepted { witness.stopped(task) }
        case .returned(let task, let attempt):
            if core.returned(task, attempt: attempt, now: now, into: &output) { witness.stopped(task) }
        default: preconditionFailure("only reports of attempts are delivered")
        }
    }

    private mutating func answerExpansion(_ task: TaskID) {
        inputs += 1
        if random.chance(options.expansionFailureRate) {
            core.expansionFailed(task, now: now, into: &output)
            return
        }
        var elements = random.below(options.mostElements + 1)
        if let first = graph.references(of: task).first.map({ Reference(word: $0) }), first.operation == .overLiteral {
            elements = first.payload < options.literals.count ? options.literals[first.payload] : elements
        }
        if core.expanded(task, elements: elements, now: now, into: &output) {
            witness.expanded(task, elements: elements)
        }
    }

    /// The functions among a row's options say how many cores it has, or fail; now and then twice.
    private mutating func answerMeasurement(_ task: TaskID, _ attempt: UInt16) {
        inputs += 1
        for _ in 0...(random.chance(options.duplicateRate) ? 1 : 0) {
            if random.chance(options.failureRate) {
                core.unmeasured(task, attempt: attempt, Failure(.error), now: now, into: &output)
            } else {
                let cores = UInt64(random.below(3)) * 5_000
                let measurement = Measurement(
                    amounts: ["cpu": cores], priority: random.chance(0.5) ? Int32(random.below(5)) : nil)
                if core.measured(task, attempt: attempt, measurement, into: &output) { measured[task] = cores }
            }
        }
    }

    private mutating func stopAll() {
        for slot in slots.indices { slots[slot].isStopping = true }
    }

    // MARK: - Between events

    /// Performs what the core asked for, hands out work, and checks.
    private mutating func settle() {
        steps += 1
        perform()
        if options.pauseRate > 0 && !isPaused && random.chance(options.pauseRate) { pause() }
        let shift = random.below(options.slots)
        for number in 0..<options.slots {
            let slot = (number + shift) % options.slots
            guard !slots[slot].isBusy && witness.violation == nil else { continue }
            lease(slot, of: slot)
        }
        plantInLeases()
        if let time = core.nextTimer, plannedTimer.map({ time < $0 }) ?? true {
            plannedTimer = time
            future.plan(.timer, at: max(time, now))
        }
        if options.checkEvery > 0 && steps % options.checkEvery == 0, let problem = core.sanityProblem() {
            witness.report("state: \(problem)")
        }
    }

    private mutating func pause() {
        core.pause(now: now, into: &output)
        guard core.isPaused else { return }  // the run has ended
        isPaused = true
        future.plan(.resume, at: now + UInt64(random.below(4 * options.longestTask)))
        if options.fault == .goOn { core.resume(now: now, into: &output) }
        perform()
    }

    private mutating func perform() {
        for action in output.actions {
            switch action {
            case .expand(let task):
                future.plan(.expansion(task), at: now + UInt64(random.below(options.longestTask)))
            case .measure(let task, let attempt):
                future.plan(
                    .measurement(task, attempt: attempt), at: now + UInt64(random.below(options.longestTask)))
            case .rows(let task, let first, let count): witness.rows(task, first: first, count: count)
            case .release(let first, let count): witness.released(first: first, count: count)
            case .retry: break
            case .giveUp(let task, _, _): witness.gaveUp(task)
            case .missing(let task, _): witness.missing(task)
            case .recover(let task, _): witness.stopped(task, again: true)
            case .stopRunning: stopAll()
            case .finish: finishes += 1
            }
        }
        encoder.append(contentsOf: output.events)
        output.clear()
    }

    /// Slot `slot` takes its next lease under the number `number`.
    private mutating func lease(_ slot: Int, of number: Int) {
        buffer.clear()
        let limit = 1 + random.below(options.leaseLimit)
        let count = core.take(slot: number, limit: limit, now: now, into: &buffer, output: &output)
        slots[slot] = Slot(lease: buffer.entries, reports: slots[slot].reports, isStopping: false)
        if count != buffer.entries.count || count > limit { witness.report("a lease has the wrong length") }
        perform()
        guard let first = buffer.entries.first else { return core.idle(slot: number) }
        if isPaused { witness.report("a task starts while the run is paused") }
        slots[slot].cpu = cpu(of: first.task)
        for entry in buffer.entries {
            if core.claimsMatter && cpu(of: entry.task) != slots[slot].cpu {
                witness.report("a lease mixes requests for cpu")
            }
            witness.started(entry.task)
        }
        planEnd(of: slot)
        checkClaims()
    }

    /// Cores that there are.
    private var cpu: UInt64 { options.cpu ?? UInt64(options.slots) * 10_000 }

    /// What the task claims of them.
    private func cpu(of task: TaskID) -> UInt64 { min(cpu, measured[task] ?? core.options(of: task).cpu) }

    private mutating func planEnd(of slot: Int) {
        future.plan(.taskEnds(slot: slot), at: now + 1 + UInt64(random.below(options.longestTask)))
    }

    private mutating func plantInLeases() {
        guard !faultIsPlanted else { return }
        if options.fault == .overcommit, !slots[options.slots].isBusy {
            lease(options.slots, of: 0)
        } else if options.fault == .startUnasked, steps > 1 {
            faultIsPlanted = true
            witness.started(TaskID(graph.count - 1))
        }
    }

    private mutating func checkClaims() {
        let busy = slots.filter(\.isBusy)
        if busy.count > options.slots { witness.report("\(busy.count) leases run on \(options.slots) slots") }
        guard core.claimsMatter else { return }
        let sum = busy.reduce(0) { $0 + $1.cpu }
        if sum > cpu { witness.report("\(sum) of cpu runs, there is \(cpu)") }
    }

    private mutating func checkEnd() {
        let counts = core.counts
        if !core.isFinished || finishes != 1 {
            witness.report("the run does not end: \(counts)")
        } else if counts.done + counts.failed + counts.skipped != counts.total {
            witness.report("not every task ended: \(counts)")
        }
        if let problem = core.sanityProblem() { witness.report("state: \(problem)") }
        witness.ended()
    }
}
