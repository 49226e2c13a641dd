import HandoutCore
import HandoutExecutor
import HandoutPlan
import HandoutWorker

/// What a task said of itself, or a strategy of it.
struct Remark: Sendable {
    enum Kind: Sendable {
        case logged(Run.Event.Level, String)
        case progressed(Double, String)
        /// A strategy's filter keeps it from a worker, for that reason.
        case refused(worker: String, String)
    }
    var time: UInt64
    var task: TaskID
    var kind: Kind
}

/// What tasks log and report, until it is asked for. From any thread.
final class RemarkCollector: @unchecked Sendable {
    // @unchecked: `remarks` is touched with the gate locked.
    private let gate = Gate()
    private var remarks: [Remark] = []

    func logged(_ task: TaskID, _ level: Int, _ text: String, time: UInt64) {
        let level = Run.Event.Level(rawValue: max(0, min(3, level))) ?? .info
        note(Remark(time: time, task: task, kind: .logged(level, text)))
    }

    func progressed(_ task: TaskID, _ fraction: Double, _ text: String, time: UInt64) {
        note(Remark(time: time, task: task, kind: .progressed(fraction, text)))
    }

    func refused(_ task: TaskID, _ worker: String, _ reason: String, time: UInt64) {
        note(Remark(time: time, task: task, kind: .refused(worker: worker, reason)))
    }

    private func note(_ remark: Remark) { gate.withLock { remarks.append(remark) } }

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
    private let slots: Int
    /// Of the last event.
    private var number = 0
    private var time: UInt64 = 0
    /// Tasks whose attempt now is not their first.
    private var attempts: [TaskID: UInt16] = [:]

    init(run: String, plan: Plan, tables: RunTables, slots: Int) {
        self.run = run
        self.plan = plan
        self.tables = tables
        self.slots = slots
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
        let task = attempt(remark.task, attempts[remark.task] ?? 1)
        switch remark.kind {
        case .logged(let level, let text): append(remark.time, .taskLogged(task, level, text), to: &output)
        case .progressed(let fraction, let text):
            append(remark.time, .taskProgressed(task, fraction, text), to: &output)
        case .refused(let worker, let reason):
            let kind = Run.Event.Kind.warning(code: "filter", message: reason, task: name(remark.task), worker: worker)
            append(remark.time, kind, to: &output)
        }
    }

    private mutating func append(
        _ event: RunEvent, _ reports: [UInt64: FailureReport], to output: inout [Run.Event]
    ) {
        append(event.time, kind(of: event, reports), to: &output)
        guard case .runStarted = event.kind else { return }
        let total = ["cpu": Double(slots)]
        append(event.time, .workerJoined(worker: "local", total: total), to: &output)
    }

    private mutating func kind(of event: RunEvent, _ reports: [UInt64: FailureReport]) -> Run.Event.Kind {
        switch event.kind {
        case .runStarted(let seed): return .runStarted(name: plan.graph.name, seed: seed)
        case .mapExpanded(let task, let elements): return .mapExpanded(task: name(task), count: Int(elements))
        case .taskStarted(let task, let number, _):
            if number > 1 { attempts[task] = number }
            return .taskStarted(attempt(task, number), worker: "local", variant: 1, amounts: amounts(of: task))
        case .taskFinished(let task, let number, _, let nanoseconds, let bytes):
            return .taskFinished(
                attempt(task, number), worker: "local", seconds: seconds(nanoseconds), bytes: Int(bytes))
        case .taskFailed(let task, let number, let ended, let isFinal, let retryAfter):
            let number = max(1, number)
            return .taskFailed(failed(task, number, ended, isFinal, retryAfter, reports[key(task, number)]))
        case .taskSkipped(let task, let reason): return .taskSkipped(task: name(task), Run.Event.SkipReason(reason))
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

    private func amounts(of task: TaskID) -> [String: Double] {
        let options = plan.graph.options(of: tables.declaredRow(of: task))
        var amounts = ["cpu": Double(options.cpu) / 10_000]
        if options.memory > 0 { amounts["memory"] = Double(options.memory) }
        return amounts
    }

    private func seconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds / 1000) / 1_000_000 }
}
