import HandoutCore
import HandoutExecutor
import HandoutPlan
import HandoutWorker

/// The run's events as JSON lines (`lua-api.md`, section 8): what `--events` writes.
///
/// Scheduler events come in order, with times of the run's own clock; what tasks log and report meanwhile is put between
/// them by its time.
final class EventLines: @unchecked Sendable {
    // @unchecked: `remarks` is touched with the gate locked, `number` by the thread that asks for lines.
    /// What a task said of itself.
    struct Remark: Sendable {
        var time: UInt64
        var task: TaskID
        var fields: String
    }

    private let run: String
    private let plan: Plan
    private let tables: RunTables
    private let slots: Int
    private let gate = Gate()
    private var remarks: [Remark] = []
    /// Of the last line.
    private var number = 0

    init(run: String, plan: Plan, tables: RunTables, slots: Int) {
        self.run = run
        self.plan = plan
        self.tables = tables
        self.slots = slots
    }

    /// Notes what a task logged; from any thread.
    func logged(_ task: TaskID, _ level: Int, _ text: String, time: UInt64) {
        let name = ["debug", "info", "warning", "error"][max(0, min(3, level))]
        note(task, "\"kind\":\"task_logged\",\"level\":\"\(name)\",\"text\":\(TextEscape.json(text))", time)
    }

    /// Notes what a task reported of its progress; from any thread.
    func progressed(_ task: TaskID, _ fraction: Double, _ text: String, time: UInt64) {
        note(task, "\"kind\":\"task_progressed\",\"fraction\":\(fraction),\"text\":\(TextEscape.json(text))", time)
    }

    private func note(_ task: TaskID, _ fields: String, _ time: UInt64) {
        gate.withLock { remarks.append(Remark(time: time, task: task, fields: fields)) }
    }

    /// The lines of these events and of the remarks since the last call. `failures` describe failed attempts.
    func lines(_ events: [RunEvent], failures: [FailureReport]) -> [UInt8] {
        var reports: [UInt64: FailureReport] = [:]
        for report in failures { reports[key(report.task, report.attempt)] = report }
        let remarks = takeRemarks()
        var output: [UInt8] = []
        var next = 0
        for event in events {
            while next < remarks.count && remarks[next].time <= event.time {
                append(remarks[next], to: &output)
                next += 1
            }
            append(event, reports, to: &output)
        }
        for remark in remarks[next...] { append(remark, to: &output) }
        return output
    }

    private func takeRemarks() -> [Remark] {
        gate.withLock {
            let taken = remarks
            remarks.removeAll()
            return taken
        }.sorted { $0.time < $1.time }
    }

    private func key(_ task: TaskID, _ attempt: UInt16) -> UInt64 { UInt64(task.rawValue) << 16 | UInt64(attempt) }

    private func append(_ remark: Remark, to output: inout [UInt8]) {
        appendLine(remark.time, ",\(remark.fields),\"task\":\(name(remark.task))", to: &output)
    }

    private func append(_ event: RunEvent, _ reports: [UInt64: FailureReport], to output: inout [UInt8]) {
        if case .runStarted = event.kind {
            appendLine(event.time, fields(of: event, reports), to: &output)
            appendLine(
                event.time,
                ",\"kind\":\"worker_joined\",\"worker\":\"local\",\"total\":{\"cpu\":\(slots)},"
                    + "\"labels\":{},\"price\":0,\"speed\":1", to: &output)
        } else {
            appendLine(event.time, fields(of: event, reports), to: &output)
        }
    }

    private func appendLine(_ time: UInt64, _ fields: String, to output: inout [UInt8]) {
        number += 1
        let head = "{\"seq\":\(number),\"time\":\(seconds(time)),\"run\":\"\(run)\""
        output += Array((head + fields + "}\n").utf8)
    }

    private func fields(of event: RunEvent, _ reports: [UInt64: FailureReport]) -> String {
        switch event.kind {
        case .runStarted(let seed):
            return ",\"kind\":\"run_started\",\"name\":\(TextEscape.json(plan.graph.name)),\"seed\":\(seed)"
        case .mapExpanded(let task, let elements):
            return ",\"kind\":\"map_expanded\",\"task\":\(name(task)),\"count\":\(elements)"
        case .taskStarted(let task, let attempt, _):
            return ",\"kind\":\"task_started\",\(of(task, attempt)),\"worker\":\"local\",\"variant\":1,"
                + "\"amounts\":\(amounts(of: task))"
        case .taskFinished(let task, let attempt, _, let nanoseconds, let bytes):
            return ",\"kind\":\"task_finished\",\(of(task, attempt)),\"worker\":\"local\","
                + "\"seconds\":\(seconds(nanoseconds)),\"bytes\":\(bytes)"
        case .taskFailed(let task, let attempt, let ended, let isFinal, let retryAfter):
            return failed(task, max(1, attempt), ended, isFinal, retryAfter, reports[key(task, max(1, attempt))])
        case .taskSkipped(let task, let reason):
            return ",\"kind\":\"task_skipped\",\"task\":\(name(task)),\"reason\":\"\(reason)\""
        case .runFinished(let ok):
            return ",\"kind\":\"run_finished\",\"ok\":\(ok),\"seconds\":\(seconds(event.time))"
        }
    }

    private func failed(
        _ task: TaskID, _ attempt: UInt16, _ ended: Ended, _ isFinal: Bool, _ retryAfter: UInt64,
        _ report: FailureReport?
    ) -> String {
        let file = report?.file.map { TextEscape.json($0) } ?? "null"
        let line = report?.line.map { String($0) } ?? "null"
        return ",\"kind\":\"task_failed\",\(of(task, attempt)),\"worker\":\"local\",\"ended\":\"\(ended)\","
            + "\"message\":\(TextEscape.json(report?.message ?? "")),\"file\":\(file),\"line\":\(line),"
            + "\"final\":\(isFinal),\"retry_after\":\(seconds(retryAfter))"
    }

    private func of(_ task: TaskID, _ attempt: UInt16) -> String { "\"task\":\(name(task)),\"attempt\":\(attempt)" }

    private func name(_ task: TaskID) -> String {
        TextEscape.json(String(decoding: tables.name(of: task), as: UTF8.self))
    }

    private func amounts(of task: TaskID) -> String {
        let options = plan.graph.options(of: tables.declaredRow(of: task))
        let memory = options.memory > 0 ? ",\"memory\":\(options.memory)" : ""
        let cpu = options.cpu % 10_000 == 0 ? "\(options.cpu / 10_000)" : "\(Double(options.cpu) / 10_000)"
        return "{\"cpu\":\(cpu)\(memory)}"
    }

    private func seconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds / 1000) / 1_000_000 }
}
