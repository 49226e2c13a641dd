import CLuaShim
package import HandoutCore
package import HandoutPlan
package import LuaRuntime

/// What a slot's thread does next.
package enum SlotTurn: Sendable {
    /// Its lease is there.
    case run
    /// The run is over.
    case stop
    /// Another thread serves the slot.
    case leave
}

/// A worker whose slots are threads of this process, each with a Lua state of its own.
package final class ThreadPool: WorkerLink, @unchecked Sendable {
    // @unchecked: `taken`, `lent` and `claims` are touched under the coordinator's lock, as `WorkerLink` says; `threads` by the owner.
    package let slots: Int
    let tables: RunTables
    private let program: ProgramStorage
    private let host: PlanHost
    let worker: String
    private let leases: [LeaseSlot]
    /// By slot: completions collected of the lease, and how many entries it had.
    private let taken: UnsafeMutablePointer<UInt32>
    private let lent: UnsafeMutablePointer<UInt32>
    let options: [TaskOptions]
    let optionIndices: Column<UInt32>
    /// By set of options: what a lease says of each of its tasks.
    private let itemsOfOptions: Column<handout_lease_item>
    /// By slot: what its lease holds, where that is more than cpu and memory.
    private var claims: [NativeClaim?]
    /// Some task has a substitute result; without, nothing of it is looked at for each completion.
    private let recovers: Bool
    private var threads: [NativeThread] = []
    private var next: @Sendable (_ slot: Int) -> SlotTurn = { _ in .stop }
    /// By slot: the state of its thread, touched by that thread only.
    private let states: UnsafeMutablePointer<TaskState?>
    /// What runner processes have in common; nil: tasks run on the threads themselves.
    private let runners: Runners?
    /// Failures for which a substitute result is made, by task.
    var lastFailures: [TaskID: UnsafeMutablePointer<handout_failure>] = [:]
    private var recovering: [TaskID: UnsafeMutablePointer<handout_failure>] = [:]
    /// By slot: its lease makes a substitute result in a process. Nothing of it is taken back: its supervisor may just be
    /// reading the failure to send it, which would be freed when the substitute was made elsewhere.
    private var sendsFailure: [Bool]

    /// By slot: runs again what its lease has done; nil: nothing is verified.
    private var verifiers: [ResultVerifier]?
    /// By slot: completions of its lease that were verified. What is not is not collected.
    private let verified: Locked<[UInt32]>
    /// Tasks whose second result was another, and how.
    private let differing = Locked<[(task: TaskID, message: String)]>([])

    /// By slot: the task that functions are asked for.
    let measuring: Locked<[LeaseEntry?]>

    /// Nil when there is no memory for the slots.
    ///
    /// - Parameter runner: path of the program whose processes tasks run in, for tables in shared memory; nil: they run on
    ///   the threads.
    package init?(
        slots: Int, tables: RunTables, program: ProgramStorage, host: PlanHost, worker: String, runner: String? = nil
    ) {
        self.slots = slots
        self.tables = tables
        self.program = program
        self.host = host
        self.worker = worker
        leases = (0..<slots).compactMap { _ in LeaseSlot() }
        taken = UnsafeMutablePointer<UInt32>.allocate(capacity: slots)
        taken.initialize(repeating: 0, count: slots)
        lent = UnsafeMutablePointer<UInt32>.allocate(capacity: slots)
        lent.initialize(repeating: 0, count: slots)
        options = tables.plan.graph.options
        itemsOfOptions = Column(
            options.map { limits in
                var item = handout_lease_item()
                item.timeout = limits.timeout
                item.memory = limits.memory
                item.cpu = limits.cpu
                item.grant = limits.grant
                return item
            })
        recovers = options.contains(where: \.recovers)
        claims = Array(repeating: nil, count: slots)
        sendsFailure = Array(repeating: false, count: slots)
        measuring = Locked(Array(repeating: nil, count: slots))
        verified = Locked(Array(repeating: 0, count: slots))
        optionIndices = tables.plan.graph.optionIndices
        states = UnsafeMutablePointer<TaskState?>.allocate(capacity: slots)
        states.initialize(repeating: nil, count: slots)
        runners = runner.flatMap { Runners(path: $0, program: program, tables: tables, host: host) }
        if leases.count != slots || (runner != nil && runners == nil) { return nil }
    }

    deinit {
        lent.deallocate()
        taken.deallocate()
        states.deallocate()
        for failure in recovering.values { handout_failure_free(failure) }
        for failure in lastFailures.values { handout_failure_free(failure) }
    }

    /// From now on every task that succeeds is run once more, in a state of its own, and its results are compared. Before
    /// `start`. `host`: of the second attempts, which should say nothing. False: no memory.
    package func verify(host: PlanHost) -> Bool {
        let second = runners.map { Runners(path: $0.program, program: program, tables: tables, host: host) }
        if runners != nil && second == nil { return false }
        let made = (0..<slots).compactMap { _ in
            ResultVerifier(
                shared: tables.shared,
                state: { [program, tables] lease in
                    if let runners = second ?? nil {
                        return handout_supervisor_new(runners.native, lease.pointer).map { .process($0) }
                    }
                    return handout_task_state_new(program.native, tables.native, host.native, lease.pointer)
                        .map { .local($0) }
                }, note: { [differing] task, message in differing.withLock { $0.append((task, message)) } })
        }
        guard made.count == slots else { return false }
        verifiers = made
        return true
    }

    /// Tasks whose second result was another, in their order, and how.
    package var unrepeatable: [(task: TaskID, message: String)] {
        differing.withLock { $0 }.map { ($0.task, program.redaction.apply($0.message)) }
            .sorted { $0.task.rawValue < $1.task.rawValue }
    }

    /// Starts the threads. `next` is asked by each for what comes.
    ///
    /// - Throws: `ThreadError` when the system has no more threads; those started before go on.
    package func start(next: @escaping @Sendable (_ slot: Int) -> SlotTurn) throws(ThreadError) {
        self.next = next
        for slot in 0..<slots {
            threads.append(
                try NativeThread(slot: leases[slot]) { [self] in serve(slot, next) })
        }
    }

    package func replaceThread(slot: Int) -> Bool {
        guard slot < threads.count else { return false }
        do throws(ThreadError) {
            let thread = try NativeThread(slot: leases[slot]) { [self, next] in serve(slot, next) }
            // Nothing of it is waited for, and nothing that it uses goes away.
            threads[slot].detach()
            threads[slot] = thread
            return true
        } catch {
            return false
        }
    }

    /// Waits for the threads to end. Not after a run was abandoned: a thread that is stuck in C code never does.
    ///
    /// - Parameter meanwhile: called every 50 ms; false: no thread is waited for any more.
    package func join(meanwhile: () -> Bool = { true }) {
        for slot in threads.indices {
            while !threads[slot].join(within: 50_000_000) {
                guard meanwhile() else { return }
            }
        }
        threads.removeAll()
        next = { _ in .stop }  // it holds the coordinator, which holds this
    }

    /// Makes a state that can run every task, on the calling thread, and frees it. Returns the bytes that it used.
    package func measureState() -> Int {
        guard let state = handout_task_state_new(program.native, tables.native, host.native, nil) else { return 0 }
        defer { handout_task_state_free(state) }
        return handout_task_state_prepare(state)
    }

    private func serve(_ slot: Int, _ next: @Sendable (_ slot: Int) -> SlotTurn) {
        if runners != nil { _ = state(of: slot) }  // leases are lent by way of the page that it shares with its runner
        while true {
            switch next(slot) {
            case .run: break
            case .stop: return endState(of: slot)
            case .leave: return
            }
            while true {
                guard let running = state(of: slot) else { fatalError("no memory for a Lua state") }
                // 0: the lease is done; else a limit was hit, and a new state goes on with what is left of it.
                if running.run() { break }
                dropState(of: slot)
            }
            if let verifiers {
                verifiers[slot].check(leases[slot])
                verified.withLock { $0[slot] = handout_slot_done(leases[slot].pointer) }
            }
        }
    }

    /// The state of the slot's thread, made when there is none.
    func state(of slot: Int) -> TaskState? {
        if states[slot] == nil { states[slot] = newState(leases[slot]) }
        return states[slot]
    }

    private func newState(_ lease: LeaseSlot) -> TaskState? {
        if let runners { return handout_supervisor_new(runners.native, lease.pointer).map { .process($0) } }
        return handout_task_state_new(program.native, tables.native, host.native, lease.pointer).map { .local($0) }
    }

    /// After a limit was hit. Supervisors go on: they start another runner themselves.
    func dropState(of slot: Int) {
        if case .local = states[slot] { endState(of: slot) }
    }

    private func endState(of slot: Int) {
        states[slot]?.free()
        states[slot] = nil
    }

    /// The value of a task after the run, encoded; nil when it has none.
    package func value(of task: TaskID) -> EncodedValue? {
        guard tables.isIndirect(task) else { return tables.value(of: task) }
        var out = handout_buffer()
        var text = [CChar](repeating: 0, count: 1200)
        guard composeValue(of: task, &out, &text) == 0 else {
            handout_buffer_free(&out)
            return nil
        }
        let value = EncodedValue(draining: &out)
        return value.bytes == [0xC0] ? nil : value
    }

    /// Finds the value by way of other rows or in Lua, with a state of its own: those of the slots are gone.
    private func composeValue(of task: TaskID, _ out: inout handout_buffer, _ text: inout [CChar]) -> Int32 {
        if let runners {
            guard let lease = LeaseSlot(), let supervisor = handout_supervisor_new(runners.native, lease.pointer) else {
                return -1
            }
            defer { handout_supervisor_free(supervisor) }
            return TaskState.process(supervisor).value(task.rawValue, &out, &text)
        }
        guard let state = handout_task_state_new(program.native, tables.native, host.native, nil) else { return -1 }
        defer { handout_task_state_free(state) }
        return TaskState.local(state).value(task.rawValue, &out, &text)
    }

    // MARK: - WorkerLink

    package func collect(slot: Int, into completions: inout [Completion], failures: inout [FailureReport]) {
        let done = verifiers == nil ? handout_slot_done(leases[slot].pointer) : verified.withLock { $0[slot] }
        guard let from = handout_slot_completions(leases[slot].pointer) else { return }
        var native = from + Int(taken[slot])
        for _ in Int(taken[slot])..<Int(done) {
            let ended = native.pointee.ended
            var completion = Completion(
                task: TaskID(rawValue: native.pointee.task), attempt: native.pointee.attempt,
                ended: ended == 0 ? nil : Ended(rawValue: ended), nanoseconds: native.pointee.nanoseconds)
            if ended == 0 {
                let tag = UInt32(native.pointee.value.tag)
                completion.isFalsy = tag == HANDOUT_NIL.rawValue || tag == HANDOUT_FALSE.rawValue
                if tables.store(native.pointee.value, of: completion.task) {
                    completion.holdsMemory = true
                    completion.bytes = UInt64(native.pointee.value.length)
                }
                if recovers { forgetRecovery(completion.task) }
            } else if let failure = native.pointee.failure {
                failures.append(describe(&completion, failure))
            }
            completions.append(completion)
            native += 1
        }
        taken[slot] = done
    }

    /// What is said of an attempt that failed; `failure` is kept for its substitute result, or freed.
    @inline(never)
    private func describe(_ completion: inout Completion, _ failure: UnsafeMutablePointer<handout_failure>)
        -> FailureReport
    {
        completion.neverRetry = failure.pointee.never_retry != 0
        completion.retryAfter = failure.pointee.has_retry_after != 0 ? failure.pointee.retry_after : nil
        let isRecovery = recovering[completion.task] != nil
        var report = report(completion, failure.pointee)
        report.isOfRecovery = isRecovery
        let declared = tables.declaredRow(of: completion.task)
        if !isRecovery && options[Int(optionIndices.base[declared.index])].recovers {
            handout_failure_free(lastFailures.updateValue(failure, forKey: completion.task))
        } else {
            handout_failure_free(failure)
            if completion.ended != .lost { forgetRecovery(completion.task) }
        }
        return report
    }

    private func forgetRecovery(_ task: TaskID) {
        handout_failure_free(recovering.removeValue(forKey: task))
        handout_failure_free(lastFailures.removeValue(forKey: task))
    }

    func report(_ completion: Completion, _ failure: handout_failure) -> FailureReport {
        let place = tables.plan.place(of: tables.declaredRow(of: completion.task))
        let file = failure.file.map { String(cString: $0) }
        return FailureReport(
            task: completion.task, attempt: completion.attempt, ended: completion.ended ?? .error,
            message: program.redaction.apply(text(failure.message, failure.message_length)),
            traceback: text(failure.traceback, failure.traceback_length), file: file ?? place.file,
            line: file == nil ? place.line : Int(failure.line), worker: worker)
    }

    private func text(_ bytes: UnsafeMutablePointer<CChar>?, _ length: UInt32) -> String {
        let start = bytes.map { UnsafeRawPointer($0).assumingMemoryBound(to: UInt8.self) }
        return String(decoding: UnsafeBufferPointer(start: start, count: Int(length)), as: UTF8.self)
    }

    package func missing(_ task: TaskID, failed: Bool) { tables.missing(task, failed: failed) }

    package func recover(_ task: TaskID) {
        recovering[task] = lastFailures.removeValue(forKey: task)
    }

    package func lend(slot: Int, _ entries: [LeaseEntry], claim: LeaseClaim?, time: UInt64) {
        guard let items = handout_slot_items(leases[slot].pointer) else { return }
        if let claim { claims[slot] = NativeClaim(claim) }
        var item = items
        for entry in entries {
            item.pointee = itemsOfOptions.base[Int(optionIndices.base[tables.declaredRow(of: entry.task).index])]
            item.pointee.task = entry.task.rawValue
            item.pointee.attempt = entry.attempt
            item.pointee.retries_left = UInt16(entry.retriesLeft)
            if entry.recovers { item.pointee.recovers = UnsafePointer(recovering[entry.task]) }
            item += 1
        }
        if recovers, runners != nil { sendsFailure[slot] = entries.contains(where: \.recovers) }
        if claim != nil, let native = claims[slot] {
            for index in entries.indices { native.apply(to: &items[index]) }
        }
        lent[slot] = UInt32(truncatingIfNeeded: entries.count)
        taken[slot] = 0
        if verifiers != nil { verified.withLock { $0[slot] = 0 } }
        handout_slot_lend(leases[slot].pointer, UInt32(entries.count), time)
    }

    package func unstarted(slot: Int) -> Int {
        sendsFailure[slot] ? 0 : Int(handout_slot_unstarted(leases[slot].pointer))
    }

    package func reclaim(slot: Int, atMost: Int, into entries: inout [LeaseEntry]) {
        guard !sendsFailure[slot] else { return }
        var first: UInt32 = 0
        let count = handout_slot_reclaim(leases[slot].pointer, UInt32(atMost), &first)
        for index in Int(first)..<Int(first + count) {
            if let entry = entry(slot, index) { entries.append(entry) }
        }
    }

    /// An entry of the slot's lease, as it was lent.
    private func entry(_ slot: Int, _ index: Int) -> LeaseEntry? {
        guard index < Int(lent[slot]), let items = handout_slot_items(leases[slot].pointer) else { return nil }
        let item = items[index]
        return LeaseEntry(
            task: TaskID(rawValue: item.task), attempt: item.attempt,
            retriesLeft: UInt8(truncatingIfNeeded: item.retries_left), recovers: item.recovers != nil)
    }

    package func release(first: TaskID, count: Int) { tables.release(first: first, count: count) }

    package func append(task: TaskID, first: TaskID, count: Int) {
        tables.append(task: task, first: first, count: count)
    }

    package func expand(_ task: TaskID, slot: Int) -> Result<Expansion, ExpansionError> {
        tables.expand(task, state: { state(of: slot) }, drop: { dropState(of: slot) })
    }

    package func stopRunning() {
        for lease in leases { handout_slot_cancel(lease.pointer, 1) }
        for verifier in verifiers ?? [] { handout_slot_cancel(verifier.lease.pointer, 1) }
    }

    package func stuckAttempt() -> FailureReport? {
        for slot in 0..<slots where handout_slot_stuck(leases[slot].pointer) != 0 {
            let running = Int(handout_slot_done(leases[slot].pointer))
            guard let entry = measuring.withLock({ $0[slot] }) ?? entry(slot, running) else { continue }
            return stuck(entry.task, entry.attempt)
        }
        for verifier in verifiers ?? [] where handout_slot_stuck(verifier.lease.pointer) != 0 {
            guard let item = handout_slot_items(verifier.lease.pointer)?.pointee else { continue }
            return stuck(TaskID(rawValue: item.task), item.attempt)
        }
        return nil
    }

    private func stuck(_ task: TaskID, _ attempt: UInt16) -> FailureReport {
        let place = tables.plan.place(of: tables.declaredRow(of: task))
        return FailureReport(
            task: task, attempt: attempt, ended: .timeout,
            message: "the deadline passed in a library function, which cannot be stopped in thread isolation",
            file: place.file, line: place.line, worker: worker)
    }
}
