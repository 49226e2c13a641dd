import HandoutCore
import HandoutExecutor
import HandoutPlan
import HandoutWorker

/// What the scheduler does not know of: what a task said of itself, and what trackers found.
struct Remark: Sendable {
    enum Kind: Sendable {
        case logged(TaskID, Run.Event.Level, String)
        case progressed(TaskID, Double, String)
        case changed(Run.Event.Worker)
        case warned(Run.Event.Warning)
        /// A strategy's filter keeps the task from a worker, for that reason.
        case refused(TaskID, worker: String, String)
    }
    var time: UInt64
    var kind: Kind
}

/// What tasks log and report and trackers find, until it is asked for. From any thread.
final class RemarkCollector: @unchecked Sendable {
    // @unchecked: `remarks` is touched with the gate locked.
    private let gate = Gate()
    private var remarks: [Remark] = []

    func logged(_ task: TaskID, _ level: Int, _ text: String, time: UInt64) {
        let level = Run.Event.Level(rawValue: max(0, min(3, level))) ?? .info
        note(.logged(task, level, text), time: time)
    }

    func progressed(_ task: TaskID, _ fraction: Double, _ text: String, time: UInt64) {
        note(.progressed(task, fraction, text), time: time)
    }

    func refused(_ task: TaskID, _ worker: String, _ reason: String, time: UInt64) {
        note(.refused(task, worker: worker, reason), time: time)
    }

    func note(_ kind: Remark.Kind, time: UInt64) { gate.withLock { remarks.append(Remark(time: time, kind: kind)) } }

    /// The remarks made until `time`, in order.
    func take(until time: UInt64) -> [Remark] {
        gate.withLock {
            let taken = remarks.filter { $0.time <= time }
            remarks.removeAll { $0.time <= time }
            return taken
        }.sorted { $0.time < $1.time }
    }
}

/// What happened in a part of a run: scheduler events, what describes the failed attempts among them, and the remarks of
/// that time.
struct EventBatch: Sendable {
    var events: [RunEvent]
    var failures: [FailureReport]
    var remarks: [Remark]
    var isEmpty: Bool { events.isEmpty && remarks.isEmpty }
}

/// Puts the batches of a run into one order and makes `Run.Event`s of them. Batches in order.
struct EventNarrator: Sendable {
    private let run: String
    private let plan: Plan
    private let tables: RunTables
    private let worker: Run.Event.Worker
    /// Of the last event.
    private var number = 0
    private var time: UInt64 = 0
    /// Tasks whose attempt now is not their first.
    private var attempts: [TaskID: UInt16] = [:]
    /// Attempts that were told of as ready (false) or started (true) and have not ended. One that a lease gave back unstarted
    /// is ready, and lent, again.
    private var told: [UInt64: Bool] = [:]

    init(run: String, plan: Plan, tables: RunTables, worker: Run.Event.Worker) {
        self.run = run
        self.plan = plan
        self.tables = tables
        self.worker = worker
    }

    mutating func events(of batch: EventBatch) -> [Run.Event] {
        var reports: [UInt64: FailureReport] = [:]
        for report in batch.failures { reports[key(report.task, report.attempt)] = report }
        var output: [Run.Event] = []
        var next = 0
        for event in batch.events {
            while next < batch.remarks.count && batch.remarks[next].time <= event.time {
                append(batch.remarks[next], to: &output)
                next += 1
            }
            append(event, reports, to: &output)
        }
        for remark in batch.remarks[next...] { append(remark, to: &output) }
        return output
    }

    private func key(_ task: TaskID, _ attempt: UInt16) -> UInt64 { UInt64(task.rawValue) << 16 | UInt64(attempt) }

    private mutating func append(_ moment: UInt64, _ kind: Run.Event.Kind, to output: inout [Run.Event]) {
        number += 1
        // A remark may be noted a moment after its time was read.
        time = max(time, moment)
        output.append(Run.Event(sequence: number, time: seconds(time), run: run, kind: kind))
    }

    private mutating func append(_ remark: Remark, to output: inout [Run.Event]) {
        func named(_ task: TaskID) -> Run.Event.Attempt { attempt(task, attempts[task] ?? 1) }
        switch remark.kind {
        case .logged(let task, let level, let text):
            append(remark.time, .taskLogged(named(task), level, text), to: &output)
        case .progressed(let task, let fraction, let text):
            append(remark.time, .taskProgressed(named(task), fraction, text), to: &output)
        case .changed(let worker): append(remark.time, .workerChanged(worker), to: &output)
        case .warned(let warning): append(remark.time, .warning(warning), to: &output)
        case .refused(let task, let worker, let reason):
            let warning = Run.Event.Warning(code: "filter", message: reason, task: name(task), worker: worker)
            append(remark.time, .warning(warning), to: &output)
        }
    }

    private mutating func append(
        _ event: RunEvent, _ reports: [UInt64: FailureReport], to output: inout [Run.Event]
    ) {
        guard !isRepeated(event.kind) else { return }
        append(event.time, kind(of: event, reports), to: &output)
        guard case .runStarted = event.kind else { return }
        append(event.time, .workerJoined(worker), to: &output)
    }

    private mutating func isRepeated(_ kind: RunEvent.Kind) -> Bool {
        switch kind {
        case .taskReady(let task, let attempt):
            guard told[key(task, attempt)] == nil else { return true }
            told[key(task, attempt)] = false
        case .taskStarted(let task, let attempt, _, _):
            return told.updateValue(true, forKey: key(task, attempt)) == true
        case .taskFinished(let task, let attempt, _, _, _), .taskFailed(let task, let attempt, _, _, _):
            told.removeValue(forKey: key(task, attempt))
        default: break
        }
        return false
    }

    private mutating func kind(of event: RunEvent, _ reports: [UInt64: FailureReport]) -> Run.Event.Kind {
        switch event.kind {
        case .runStarted(let seed): return .runStarted(name: plan.graph.name, seed: seed)
        case .mapExpanded(let task, let elements): return .mapExpanded(task: name(task), count: Int(elements))
        case .taskReady(let task, let number): return .taskReady(attempt(task, number))
        case .taskStarted(let task, let number, _, let variant):
            if number > 1 { attempts[task] = number }
            return .taskStarted(
                attempt(task, number), worker: "local", variant: Int(variant) + 1,
                amounts: amounts(of: task, Int(variant)))
        case .taskFinished(let task, let number, _, let nanoseconds, let bytes):
            return .taskFinished(
                attempt(task, number), worker: "local", seconds: seconds(nanoseconds), bytes: Int(bytes))
        case .taskFailed(let task, let number, let ended, let isFinal, let retryAfter):
            let number = max(1, number)
            return .taskFailed(failed(task, number, ended, isFinal, retryAfter, reports[key(task, number)]))
        case .taskSkipped(let task, let reason): return .taskSkipped(task: name(task), Run.Event.SkipReason(reason))
        case .runPaused: return .runPaused
        case .runResumed: return .runResumed
        case .runFinished(let ok): return .runFinished(ok: ok, seconds: seconds(event.time))
        }
    }

    private func failed(
        _ task: TaskID, _ attempt: UInt16, _ ended: Ended, _ isFinal: Bool, _ retryAfter: UInt64,
        _ report: FailureReport?
    ) -> TaskFailure {
        TaskFailure(
            task: name(task), attempt: Int(attempt), kind: TaskFailure.Kind(ended), message: report?.message ?? "",
            traceback: report?.traceback ?? "", file: report?.file, line: report?.line, worker: "local",
            isOptional: report?.optional ?? false, isFinal: isFinal, retryAfter: seconds(retryAfter))
    }

    private func attempt(_ task: TaskID, _ attempt: UInt16) -> Run.Event.Attempt {
        Run.Event.Attempt(id: name(task), number: Int(attempt))
    }

    private func name(_ task: TaskID) -> String { String(decoding: tables.name(of: task), as: UTF8.self) }

    /// What it declares.
    private func amounts(of task: TaskID, _ variant: Int) -> [String: Double] {
        let requests = plan.graph.requests
        let options = Int(plan.graph.optionIndices[tables.declaredRow(of: task).index])
        let variants = requests.requests[Int(requests.ofOptions[options])].variants
        let variant = variants[min(variant, variants.count - 1)]
        return Dictionary(
            variant.amounts.map { amount in
                let name = requests.names[Int(amount.resource)]
                return (name, Run.Event.number(amount.amount, of: name))
            }, uniquingKeysWith: { $1 })
    }

    private func seconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds / 1000) / 1_000_000 }
}
