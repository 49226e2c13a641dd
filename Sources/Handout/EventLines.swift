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
        case .workerJoined(let worker, let total):
            return "\"kind\":\"worker_joined\",\"worker\":\(TextEscape.json(worker)),\"total\":\(amounts(total)),"
                + "\"labels\":{},\"price\":0,\"speed\":1"
        case .mapExpanded(let task, let count):
            return "\"kind\":\"map_expanded\",\"task\":\(TextEscape.json(task)),\"count\":\(count)"
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
        case .warning(let code, let message, let task, let worker):
            return "\"kind\":\"warning\",\"code\":\(TextEscape.json(code)),\"message\":\(TextEscape.json(message)),"
                + "\"file\":null,\"line\":null" + (task.map { ",\"task\":\(TextEscape.json($0))" } ?? "")
                + (worker.map { ",\"worker\":\(TextEscape.json($0))" } ?? "")
        }
    }

    private func failed(_ failure: TaskFailure) -> String {
        let file = failure.file.map { TextEscape.json($0) } ?? "null"
        let line = failure.line.map { String($0) } ?? "null"
        return "\"kind\":\"task_failed\",\"task\":\(TextEscape.json(failure.task)),\"attempt\":\(failure.attempt),"
            + "\"worker\":\(TextEscape.json(failure.worker)),\"ended\":\"\(failure.kind.rawValue)\","
            + "\"message\":\(TextEscape.json(failure.message)),\"file\":\(file),\"line\":\(line),"
            + "\"final\":\(failure.isFinal),\"retry_after\":\(failure.retryAfter)"
    }

    private func of(_ attempt: Attempt) -> String {
        "\"task\":\(TextEscape.json(attempt.id)),\"attempt\":\(attempt.number)"
    }

    /// Names in bytewise order; whole numbers without a point.
    private func amounts(_ amounts: [String: Double]) -> String {
        let entries = amounts.sorted { $0.key < $1.key }.map { name, amount in
            "\(TextEscape.json(name)):\(Int(exactly: amount).map { String($0) } ?? String(amount))"
        }
        return "{\(entries.joined(separator: ","))}"
    }
}
