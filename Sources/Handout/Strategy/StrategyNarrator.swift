import HandoutCore
import HandoutScheduler
import LuaRuntime

/// Makes of what a strategy hears the tables that its `on_event` is given (`lua-api.md`, section 8).
struct StrategyNarrator {
    typealias Core = UnsafeMutablePointer<SchedulerCore>

    let run: String
    let graph: GraphColumns
    let nameOf: (_ row: Int, _ declared: Int, _ element: Int?) -> String
    private var sequence = 0
    private var reports: [UInt64: FailureReport] = [:]

    init(
        run: String, graph: GraphColumns, nameOf: @escaping (_ row: Int, _ declared: Int, _ element: Int?) -> String
    ) {
        self.run = run
        self.graph = graph
        self.nameOf = nameOf
    }

    /// Describes attempts that failed, among the events that follow.
    mutating func describe(_ reports: [FailureReport]) {
        for report in reports { self.reports[key(report.task, report.attempt)] = report }
    }

    mutating func forgetReports() { reports.removeAll(keepingCapacity: true) }

    /// The event, encoded; nil: it could not be.
    mutating func event(_ heard: HeardEvent, _ core: Core) -> EncodedValue? {
        sequence += 1
        var fields: [Value: Value] = [
            "seq": .integer(sequence), "time": .float(seconds(heard.time)), "run": .string(run),
        ]
        func add(_ kind: String, _ more: [Value: Value]) {
            fields["kind"] = .string(kind)
            fields.merge(more) { $1 }
        }
        switch heard.kind {
        case .worker(let notice, let worker): add(notice.rawValue, self.worker(worker, notice, core))
        case .run(let kind):
            let (name, more) = self.fields(of: kind, time: heard.time, core)
            add(name, more)
        }
        return try? Value.table(fields).encoded()
    }

    private func key(_ task: TaskID, _ attempt: UInt16) -> UInt64 { UInt64(task.rawValue) << 16 | UInt64(attempt) }

    private func seconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds) / 1e9 }

    private func fields(
        of kind: RunEvent.Kind, time: UInt64, _ core: Core
    ) -> (String, [Value: Value]) {
        switch kind {
        case .runStarted(let seed):
            return ("run_started", ["name": .string(graph.name), "seed": .integer(Int(truncatingIfNeeded: seed))])
        case .runPaused: return ("run_paused", [:])
        case .runResumed: return ("run_resumed", [:])
        case .runFinished(let ok): return ("run_finished", ["ok": .boolean(ok), "seconds": .float(seconds(time))])
        case .mapExpanded(let task, let elements):
            return ("map_expanded", ["task": name(task, core), "count": .integer(Int(elements))])
        case .taskReady(let task, let attempt): return ("task_ready", self.attempt(task, attempt, core))
        case .taskStarted(let task, let attempt, let slot, let variant):
            let amounts = core.pointee.amounts(of: task, variant: Int(variant))
            return (
                "task_started",
                self.attempt(task, attempt, core).merging([
                    "worker": .string(core.pointee.workerName(ofSlot: Int(slot))),
                    "variant": .integer(Int(variant) + 1),
                    "amounts": StrategyNarrator.table(amounts),
                ]) { $1 }
            )
        case .taskFinished(let task, let attempt, let slot, let nanoseconds, let bytes):
            return (
                "task_finished",
                self.attempt(task, attempt, core).merging([
                    "worker": .string(core.pointee.workerName(ofSlot: Int(slot))),
                    "seconds": .float(seconds(nanoseconds)), "bytes": .integer(Int(clamping: bytes)),
                ]) { $1 }
            )
        case .taskFailed(let task, let attempt, let ended, let final, let retryAfter):
            return ("task_failed", failed(task, attempt, ended, final, retryAfter, core))
        case .taskSkipped(let task, let reason):
            return ("task_skipped", ["task": name(task, core), "reason": .string("\(reason)")])
        }
    }

    private func failed(
        _ task: TaskID, _ attempt: UInt16, _ ended: Ended, _ isFinal: Bool, _ retryAfter: UInt64, _ core: Core
    ) -> [Value: Value] {
        var fields = self.attempt(task, max(1, attempt), core)
        fields["ended"] = .string("\(ended)")
        fields["final"] = .boolean(isFinal)
        fields["retry_after"] = .float(seconds(retryAfter))
        guard let report = reports[key(task, attempt)] ?? reports[key(task, max(1, attempt))] else { return fields }
        fields["worker"] = .string(report.worker)
        fields["message"] = .string(report.message)
        if let file = report.file { fields["file"] = .string(file) }
        if let line = report.line { fields["line"] = .integer(line) }
        return fields
    }

    private func name(_ task: TaskID, _ core: Core) -> Value {
        let place = core.pointee.planPlace(of: task.index)
        return .string(nameOf(task.index, place.declared, place.element))
    }

    private func attempt(_ task: TaskID, _ attempt: UInt16, _ core: Core) -> [Value: Value] {
        ["task": name(task, core), "attempt": .integer(Int(attempt))]
    }

    private func worker(_ worker: Int, _ notice: WorkerNotice, _ core: Core) -> [Value: Value] {
        guard let standing = core.pointee.workerFacts(worker) else { return [:] }
        let offer = standing.offer
        guard notice == .joined || notice == .changed else { return ["worker": .string(offer.capacity.name)] }
        return [
            "worker": .string(offer.capacity.name), "price": .float(offer.price), "speed": .float(offer.speed),
            "labels": .table(
                Dictionary(
                    offer.capacity.labels.map { (Value.string($0.key), Value.string($0.value)) },
                    uniquingKeysWith: { $1 })),
            "total": StrategyNarrator.table(offer.capacity.totals.map { ($0.key, $0.value) }),
        ]
    }

    /// Amounts by name: of memory bytes, else numbers.
    private static func table(_ amounts: [(name: String, amount: UInt64)]) -> Value {
        .table(
            Dictionary(
                amounts.map { name, amount in
                    (
                        Value.string(name),
                        name == "memory" ? .integer(Int(clamping: amount)) : .float(Double(amount) / 10_000)
                    )
                }, uniquingKeysWith: { $1 }))
    }
}
