import Glibc
import Handout
import HandoutCore
import HandoutPlan
import LuaRuntime

/// What a file of `--events` says of its run so far.
struct EventLog {
    /// Of one task: what happened to it.
    struct Entry {
        var attempts: [TaskExplanation.Attempt] = []
        /// By attempt: amounts as the event has them, and the variant from 0.
        var variant = 0
        var isFinished = false
        /// It failed, and there is no attempt after it.
        var hasFailed = false
        var skipped: String?
        /// When it was finished, had failed for good or was skipped.
        var ended: Double?
        /// The line that names it first.
        var line: Int

        var isRunning: Bool { ended == nil && attempts.last.map { $0.finish == nil } ?? false }
    }

    let path: String
    private(set) var graph: String?
    private(set) var entries: [String: Entry] = [:]
    /// In the order in which they are named first.
    private(set) var names: [String] = []
    /// Maps and reduces that know their elements.
    private(set) var elements: [String: Int] = [:]
    /// Amounts of each worker, in the order of joining.
    private(set) var workers: [(name: String, totals: [String: UInt64])] = []
    private(set) var running: Set<String> = []
    private var instanceNames: [String: [String]] = [:]
    /// What a strategy's filter said no to, in order.
    private(set) var refusals: [(time: Double, task: String, worker: String, reason: String)] = []
    private(set) var time = 0.0
    private(set) var hasEnded = false

    /// Reads the file as far as it is written; a last line that is not whole is left out.
    ///
    /// - Parameter until: seconds; later events are left out.
    init(_ path: String, until: Double?) throws(CommandFailure) {
        self.path = path
        let bytes: [UInt8]
        do { bytes = try FileReading.bytes(of: path, limit: 4 << 30) } catch {
            throw CommandFailure(.environment, "--events: '\(TextEscape.shown(path))': \(error)")
        }
        var start = 0, line = 0
        while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
            line += 1
            defer { start = end + 1 }
            guard end > start else { continue }
            guard let json = try? EncodedValue(json: Array(bytes[start..<end])), let value = Value(encoded: json),
                let time = value["time"]?.doubleValue, let kind = value["kind"]?.stringValue
            else { throw failure("line \(line): expected an event, a JSON object with 'time' and 'kind'") }
            if let until, time > until { break }
            self.time = time
            take(kind, value, line)
        }
        if graph == nil {
            throw failure(bytes.isEmpty ? "no events yet" : "expected the event 'run_started' first")
        }
        if let until { time = until }
    }

    /// Instances of a map that some event names, in that order.
    func instances(of map: String) -> [String] { instanceNames[map] ?? [] }

    /// What ran at some moment of a span.
    func running(during span: ClosedRange<Double>) -> [String] {
        entries.filter { entry in
            entry.value.attempts.contains { attempt in
                attempt.start <= span.lowerBound && attempt.finish.map { $0 > span.lowerBound } ?? true
                    || attempt.start > span.lowerBound && attempt.start < span.upperBound
            }
        }.keys.sorted()
    }

    func failure(_ message: String) -> CommandFailure {
        CommandFailure(.usage, "--events: '\(TextEscape.shown(path))': \(message)")
    }

    private mutating func take(_ kind: String, _ event: Value, _ line: Int) {
        switch kind {
        case "run_started": graph = event["name"]?.stringValue ?? ""
        case "run_finished": hasEnded = true
        case "worker_joined":
            guard let name = event["worker"]?.stringValue else { return }
            workers.append((name, EventLog.amounts(event["total"])))
        case "warning":
            guard event["code"]?.stringValue == "filter", let task = event["task"]?.stringValue,
                let worker = event["worker"]?.stringValue
            else { return }
            refusals.append((time, task, worker, event["message"]?.stringValue ?? ""))
        case "map_expanded":
            guard let task = event["task"]?.stringValue else { return }
            elements[task] = event["count"]?.integerValue ?? 0
        case "task_started", "task_finished", "task_failed", "task_skipped":
            guard let task = event["task"]?.stringValue else { return }
            if entries[task] == nil {
                names.append(task)
                if task.last == "]", let open = task.lastIndex(of: "[") {
                    instanceNames[String(task[..<open]), default: []].append(task)
                }
            }
            change(task, kind, event, line)
        default: break
        }
    }

    private static func amounts(_ value: Value?) -> [String: UInt64] {
        guard case .table(let table)? = value else { return [:] }
        var amounts: [String: UInt64] = [:]
        for (key, value) in table {
            guard let name = key.stringValue, let amount = value.doubleValue, amount >= 0, amount < 1e15 else {
                continue
            }
            amounts[name] = UInt64(name == "memory" ? amount : amount * 10_000)
        }
        return amounts
    }

    private mutating func change(_ task: String, _ kind: String, _ event: Value, _ line: Int) {
        var entry = entries[task] ?? Entry(line: line)
        switch kind {
        case "task_started":
            entry.variant = (event["variant"]?.integerValue ?? 1) - 1
            let attempt = TaskExplanation.Attempt(
                number: event["attempt"]?.integerValue ?? entry.attempts.count + 1,
                worker: event["worker"]?.stringValue ?? "", placed: time, start: time)
            // An attempt that was taken back before it began is told of again, under the same number.
            if entry.attempts.last?.number == attempt.number { entry.attempts.removeLast() }
            entry.attempts.append(attempt)
            running.insert(task)
        case "task_finished":
            entry.isFinished = true
            entry.end(time)
        case "task_failed": entry.fail(time, event)
        default:
            entry.skipped = event["reason"]?.stringValue ?? ""
            entry.ended = time
        }
        if kind != "task_started" { running.remove(task) }
        entries[task] = entry
    }
}

extension EventLog.Entry {
    fileprivate mutating func end(_ time: Double) {
        ended = time
        if let last = attempts.indices.last { attempts[last].finish = time }
    }

    fileprivate mutating func fail(_ time: Double, _ event: Value) {
        let isFinal = event["final"]?.boolValue ?? true
        let number = event["attempt"]?.integerValue ?? attempts.last?.number ?? 1
        if attempts.last?.number != number {
            // It failed before it began: its options could not be computed, or its list.
            attempts.append(
                TaskExplanation.Attempt(
                    number: number, worker: event["worker"]?.stringValue ?? "", placed: time, start: time))
        }
        let last = attempts.count - 1
        attempts[last].finish = time
        attempts[last].ended = event["ended"]?.stringValue
        attempts[last].message = event["message"]?.stringValue
        if let file = event["file"]?.stringValue {
            attempts[last].place = event["line"]?.integerValue.map { "\(file):\($0)" } ?? file
        }
        guard isFinal else {
            attempts[last].retryAt = time + (event["retry_after"]?.doubleValue ?? 0)
            return
        }
        hasFailed = true
        ended = time
    }
}
