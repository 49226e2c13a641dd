import HandoutCore

/// Run events as JSON lines (`lua-api.md`, section 8): what `--events` writes.
enum EventLines {
    static func lines(_ events: [Run.Event]) -> [UInt8] {
        var output: [UInt8] = []
        for event in events {
            output += Array(event.json.utf8)
            output.append(UInt8(ascii: "\n"))
        }
        return output
    }
}

extension Run.Event {
    /// The event as one JSON object on one line, as `handout-lua run --events` writes it.
    public var json: String {
        "{\"seq\":\(sequence),\"time\":\(time),\"run\":\(TextEscape.json(run)),\(fields)}"
    }

    private var fields: String {
        switch kind {
        case .runStarted(let name, let seed):
            return "\"kind\":\"run_started\",\"name\":\(TextEscape.json(name)),\"seed\":\(seed)"
        case .runFinished(let ok, let seconds): return "\"kind\":\"run_finished\",\"ok\":\(ok),\"seconds\":\(seconds)"
        case .runPaused: return "\"kind\":\"run_paused\""
        case .runResumed: return "\"kind\":\"run_resumed\""
        case .workerJoined(let worker): return "\"kind\":\"worker_joined\",\(of(worker))"
        case .workerChanged(let worker): return "\"kind\":\"worker_changed\",\(of(worker))"
        case .mapExpanded(let task, let count):
            return "\"kind\":\"map_expanded\",\"task\":\(TextEscape.json(task)),\"count\":\(count)"
        case .taskReady(let attempt): return "\"kind\":\"task_ready\",\(of(attempt))"
        case .taskStarted(let attempt, let worker, let variant, let amounts):
            return "\"kind\":\"task_started\",\(of(attempt)),\"worker\":\(TextEscape.json(worker)),"
                + "\"variant\":\(variant),\"amounts\":\(self.amounts(amounts))"
        case .taskProgressed(let attempt, let fraction, let text):
            return
                "\"kind\":\"task_progressed\",\"fraction\":\(fraction),\"text\":\(TextEscape.json(text)),\(of(attempt))"
        case .taskLogged(let attempt, let level, let text):
            return "\"kind\":\"task_logged\",\"level\":\"\(level)\",\"text\":\(TextEscape.json(text)),\(of(attempt))"
        case .taskFinished(let attempt, let worker, let seconds, let bytes):
            return "\"kind\":\"task_finished\",\(of(attempt)),\"worker\":\(TextEscape.json(worker)),"
                + "\"seconds\":\(seconds),\"bytes\":\(bytes)"
        case .taskFailed(let failure): return failed(failure)
        case .taskSkipped(let task, let reason):
            return "\"kind\":\"task_skipped\",\"task\":\(TextEscape.json(task)),\"reason\":\"\(reason.rawValue)\""
        case .warning(let warning):
            return "\"kind\":\"warning\",\"code\":\(TextEscape.json(warning.code)),"
                + "\"message\":\(TextEscape.json(warning.message)),\(place(warning.file, warning.line))"
                + (warning.task.map { ",\"task\":\(TextEscape.json($0))" } ?? "")
                + (warning.worker.map { ",\"worker\":\(TextEscape.json($0))" } ?? "")
        }
    }

    private func of(_ worker: Worker) -> String {
        let labels = worker.labels.sorted { $0.key < $1.key }.map {
            "\(TextEscape.json($0.key)):\(TextEscape.json($0.value))"
        }
        return "\"worker\":\(TextEscape.json(worker.id)),\"total\":\(amounts(worker.total)),"
            + "\"labels\":{\(labels.joined(separator: ","))},\"price\":\(number(worker.price)),"
            + "\"speed\":\(number(worker.speed))"
    }

    private func place(_ file: String?, _ line: Int?) -> String {
        "\"file\":\(file.map { TextEscape.json($0) } ?? "null"),\"line\":\(line.map { String($0) } ?? "null")"
    }

    private func failed(_ failure: TaskFailure) -> String {
        return "\"kind\":\"task_failed\",\"task\":\(TextEscape.json(failure.task)),\"attempt\":\(failure.attempt),"
            + "\"worker\":\(TextEscape.json(failure.worker)),\"ended\":\"\(failure.kind.rawValue)\","
            + "\"message\":\(TextEscape.json(failure.message)),\(place(failure.file, failure.line)),"
            + "\"final\":\(failure.isFinal),\"retry_after\":\(failure.retryAfter)"
    }

    private func of(_ attempt: Attempt) -> String {
        "\"task\":\(TextEscape.json(attempt.id)),\"attempt\":\(attempt.number)"
    }

    /// Names in bytewise order.
    private func amounts(_ amounts: [String: Double]) -> String {
        let entries = amounts.sorted { $0.key < $1.key }.map { name, amount in
            "\(TextEscape.json(name)):\(number(amount))"
        }
        return "{\(entries.joined(separator: ","))}"
    }

    /// Whole numbers without a point.
    private func number(_ value: Double) -> String { Int(exactly: value).map { String($0) } ?? String(value) }
}
