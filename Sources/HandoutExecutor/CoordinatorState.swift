import HandoutCore
import HandoutScheduler

/// What a coordinator guards: one value, so that entering the gate is the only check of access a lease costs.
struct CoordinatorState: ~Copyable {
    let link: any WorkerLink
    let worker: String
    let epoch: UInt64
    private let slots: Int
    var core: SchedulerCore
    var output = SchedulerOutput()
    var expansions: [TaskID] = []
    /// Attempts whose options are to be asked for, from the first that is left on.
    var measurements: [(task: TaskID, attempt: UInt16)] = []
    var measured = 0
    /// What came of the attempts of tasks whose options are functions.
    var histories: [TaskID: AttemptHistory] = [:]
    private let hasMeasured: Bool
    private let claimsMatter: Bool
    var capacity: Capacity
    let limits: [String: UInt64]
    let graph: String
    var notes: [RunNote] = []
    /// Attempts that failed since events were drained, when events are recorded.
    var described: [FailureReport] = []
    var failures: [FailureReport] = []
    var idle = 0
    var isAbandoned = false
    var isStopping = false
    /// Threads that sleep should look again.
    var wakesAll = false
    var wakesOne = false
    private var lease = LeaseBuffer()
    private var takenBack: [LeaseEntry] = []
    private var completions: [Completion] = []
    private var reports: [FailureReport] = []
    var pending: [UInt64: FailureReport] = [:]
    private var pace: [SlotPace]
    /// Asks the strategy; nil: there is none, or no more.
    var strategist: (any Strategist)?
    /// What it is being asked; nil: nothing.
    var inquiry: Inquiry?
    /// How often it was asked.
    var inquiries = 0
    /// Attempts that failed, of which the strategy was not told yet.
    var untold: [FailureReport] = []
    /// Asks trackers; nil: there are none.
    let keeper: (any ClaimKeeper)?
    /// By slot: what its lease holds that a tracker was asked for.
    var held: [GuardedClaim?]
    var placements: [Placement] = []
    /// Other runs share what this one runs on.
    var shared: SharedPart?

    init(
        graph: GraphColumns, configuration: SchedulerConfiguration, link: any WorkerLink, worker: String,
        capacity: Capacity, epoch: UInt64, strategist: (any Strategist)?, keeper: (any ClaimKeeper)?
    ) {
        self.strategist = strategist
        self.keeper = keeper
        held = Array(repeating: nil, count: keeper == nil ? 0 : configuration.slots)
        self.link = link
        self.worker = worker
        self.epoch = epoch
        slots = link.slots
        self.capacity = capacity
        self.graph = graph.name
        limits = Dictionary(
            graph.requests.limits.map { (graph.requests.names[Int($0.resource)], $0.amount) }, uniquingKeysWith: { $1 })
        core = SchedulerCore(graph: graph, configuration: configuration)
        hasMeasured = core.hasMeasured
        claimsMatter = core.claimsMatter
        pace = Array(repeating: SlotPace(), count: configuration.slots)
    }

    var isOver: Bool { core.isFinished || isAbandoned }

    /// The slot's own thread has ended its lease.
    mutating func report(slot: Int, now: UInt64) {
        pace[slot].ended(now: now)
        if !held.isEmpty { giveBack(slot) }
        _ = collect(slot, now)
        pace[slot].measure()
    }

    /// Feeds what a slot has ended to the core. True when there was anything.
    mutating func collect(_ slot: Int, _ now: UInt64) -> Bool {
        completions.empty()
        link.collect(slot: slot, into: &completions, failures: &reports)
        guard !completions.isEmpty else { return false }
        if !reports.isEmpty {
            for report in reports { pending[key(report.task, report.attempt)] = report }
            for report in reports { describe(report) }
            reports.removeAll(keepingCapacity: true)
        }
        for index in completions.indices {
            let completion = completions[index]
            if hasMeasured { note(completion, slot: slot) }
            if let ended = completion.ended {
                core.failed(
                    completion.task, attempt: completion.attempt, slot: slot,
                    Failure(ended, neverRetry: completion.neverRetry, retryAfter: completion.retryAfter), now: now,
                    into: &output)
            } else {
                core.finished(
                    completion.task, attempt: completion.attempt, slot: slot, holdsMemory: completion.holdsMemory,
                    isFalsy: completion.isFalsy, nanoseconds: completion.nanoseconds, bytes: completion.bytes, now: now,
                    into: &output)
            }
        }
        pace[slot].collected(completions.count)
        perform()
        return true
    }

    /// Keeps what describes an attempt that failed for those who are told of it.
    mutating func describe(_ report: FailureReport) {
        if core.configuration.recordsEvents { described.append(report) }
        if core.configuration.tellsStrategy { untold.append(report) }
    }

    func key(_ task: TaskID, _ attempt: UInt16) -> UInt64 { UInt64(task.rawValue) << 16 | UInt64(attempt) }

    /// Does what the core asked for.
    mutating func perform() {
        guard !output.actions.isEmpty else { return }
        for action in output.actions {
            switch action {
            case .expand(let task): expansions.append(task)
            case .measure(let task, let attempt): measurements.append((task, attempt))
            case .rows(let task, let first, let count): link.append(task: task, first: first, count: count)
            case .release(let first, let count): link.release(first: first, count: count)
            case .retry(let task, let attempt, let after):
                if let report = pending.removeValue(forKey: key(task, attempt)) {
                    notes.append(.retrying(report, after: after))
                }
            case .missing(let task, let failed): link.missing(task, failed: failed)
            case .recover(let task, let attempt):
                if let report = pending.removeValue(forKey: key(task, attempt)) {
                    notes.append(.retrying(report, after: 0))
                }
                link.recover(task)
            case .giveUp(let task, let attempt, let ended): giveUp(task, attempt, ended)
            case .stopRunning:
                isStopping = true
                link.stopRunning()
            case .finish: wakesAll = true
            }
        }
        output.actions.empty()
    }

    private mutating func giveUp(_ task: TaskID, _ attempt: UInt16, _ ended: Ended) {
        if !histories.isEmpty { histories.removeValue(forKey: task) }
        guard var report = pending.removeValue(forKey: key(task, attempt)), ended != .cancelled else { return }
        report.optional = core.isOptional(task)
        if report.isOfRecovery { report.attempt -= 1 }
        fail(report)
    }

    private mutating func fail(_ report: FailureReport) {
        failures.append(report)
        notes.append(.failed(report))
    }

    /// A map or reduce was counted outside the gate.
    mutating func expanded(_ task: TaskID, _ counted: Result<Expansion, ExpansionError>, now: UInt64) {
        switch counted {
        case .success(let expansion): core.expanded(task, expansion, now: now, into: &output)
        case .failure(let error):
            let report = FailureReport(
                task: task, attempt: 1, ended: .result, message: error.message, file: error.file, line: error.line,
                worker: worker)
            pending[key(task, 0)] = report
            describe(report)
            core.expansionFailed(task, now: now, into: &output)
        }
        perform()
        wakesAll = true
    }

    /// Lends the slot what it is to run next, or says what a strategy or tracker is to be asked before; nil: nothing is ready
    /// for it.
    mutating func lend(_ slot: Int, _ now: UInt64, mayAsk: Bool) -> Step? {
        let ready = core.counts.ready
        guard ready > 0, !core.isPaused else {
            shared?.wantsNothing()
            return nil
        }
        if mayAsk, strategist != nil, let step = nextInquiry(slot, now) { return step }
        let limit = ready == 1 ? 1 : min(pace[slot].limit, max(1, ready / max(1, slots)))
        lease.clear()
        guard core.take(slot: slot, limit: limit, now: now, into: &lease, output: &output) > 0 else {
            // What it looked at may be what the strategy has not been asked about.
            return mayAsk && strategist != nil ? nextInquiry(slot, now) : nil
        }
        if shared != nil, !admits(slot, now) { return nil }
        let claim = claimsMatter ? core.leaseClaim(ofSlot: slot) : nil
        if !held.isEmpty, let asked = guardedClaim(lease.entries, claim) {
            core.withdrawStart(of: asked.entry, output: &output)
            wakesOne = idle > 0 && core.counts.ready > 0
            return .request(asked)
        }
        start(lease.entries, claim, on: slot, now)
        return .run
    }

    /// Gives the slot its lease.
    mutating func start(_ entries: [LeaseEntry], _ claim: LeaseClaim?, on slot: Int, _ now: UInt64) {
        link.lend(slot: slot, entries, claim: claim, time: epoch + now)
        pace[slot].started(now: now)
        wakesOne = idle > 0 && core.counts.ready > 0 && pace[slot].isWorthWaking(tasks: core.counts.ready)
    }

    /// Whether the runs beside this one leave room for the lease. Else its tasks are ready again, as if it had not been.
    private mutating func admits(_ slot: Int, _ now: UInt64) -> Bool {
        let (cpu, memory) = core.amounts(of: lease.entries, slot: slot)
        if shared?.admit(slot, SharedCapacity.Amounts(cpu: cpu, memory: memory), time: epoch + now) ?? true {
            return true
        }
        for entry in lease.entries.reversed() { core.withdrawStart(of: entry, output: &output) }
        for entry in lease.entries { core.returned(entry.task, attempt: entry.attempt, now: now, into: &output) }
        perform()
        return false
    }

    /// A slot without work looks at leases that have run for long: what they have ended is collected, and half of what
    /// the fullest has not begun is taken back.
    mutating func helpOthers(_ slot: Int, _ now: UInt64) -> Bool {
        var collected = false
        var fullest = -1
        var most = 0
        for other in 0..<slots where other != slot && pace[other].runsLong(now: now) && mayReclaim(other) {
            if collect(other, now) { collected = true }
            let unstarted = link.unstarted(slot: other)
            if unstarted > most { (fullest, most) = (other, unstarted) }
        }
        if collected && (core.counts.ready > 0 || !expansions.isEmpty || !measurements.isEmpty) { return true }
        guard fullest >= 0 else { return false }
        takenBack.removeAll(keepingCapacity: true)
        link.reclaim(slot: fullest, atMost: (most + 1) / 2, into: &takenBack)
        for entry in takenBack { core.returned(entry.task, attempt: entry.attempt, now: now, into: &output) }
        perform()
        return !takenBack.isEmpty
    }

    /// What leases hold that has not begun is taken back.
    mutating func pause(now: UInt64) {
        collectAll(now: now)
        core.pause(now: now, into: &output)
        guard core.isPaused else { return }
        takenBack.removeAll(keepingCapacity: true)
        for slot in 0..<slots where mayReclaim(slot) {
            link.reclaim(slot: slot, atMost: link.unstarted(slot: slot), into: &takenBack)
        }
        for entry in takenBack { core.returned(entry.task, attempt: entry.attempt, now: now, into: &output) }
        perform()
    }

    mutating func resume(now: UInt64) {
        core.resume(now: now, into: &output)
        wakesAll = true
    }

    /// What a tracker granted is not asked for again.
    private func mayReclaim(_ slot: Int) -> Bool { held.isEmpty || held[slot] == nil }

    mutating func cancel(now: UInt64) {
        core.cancel(now: now, into: &output)
        perform()
    }

    mutating func collectAll(now: UInt64) {
        for slot in 0..<slots { _ = collect(slot, now) }
    }

    /// Gives the run up while an attempt still runs in code that nothing can stop.
    mutating func abandonIfStuck(now: UInt64) {
        guard !isOver, let report = link.stuckAttempt() else { return }
        fail(report)
        cancel(now: now)
        isAbandoned = true
        wakesAll = true
    }
}
