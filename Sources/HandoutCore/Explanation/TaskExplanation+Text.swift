extension TaskExplanation {
    /// For people: a line that says how it stands, then indented what led there.
    package var text: String {
        var lines = [headline]
        if let reason { lines.append("  " + reason) }
        if let instances { lines.append("  " + TaskExplanation.text(instances)) }
        lines += inputLines
        if let ready {
            let last = ready.last.map { ", when \(TextEscape.shown($0)) had ended" } ?? ""
            lines.append("  ready at \(TaskExplanation.time(ready.time))\(last)")
        }
        lines += happenings.sorted { ($0.time, $0.order) < ($1.time, $1.order) }.flatMap(\.lines)
        lines += notes.map { "  " + TextEscape.shown($0) }
        return lines.joined(separator: "\n")
    }

    static func time(_ seconds: Double) -> String { "\(ShownNumber.text(seconds)) s" }

    private var headline: String {
        var line = "\(TextEscape.shown(task)): \(standing)"
        if let at { line += ", at \(TaskExplanation.time(at))" }
        if let declared { line += " (\(TextEscape.shown(declared)))" }
        return line
    }

    private var standing: String {
        switch state {
        case .waiting: "waits for what it needs"
        case .ready: waits.last.map { "ready since \(TaskExplanation.time(ready?.time ?? $0.from)), waits" } ?? "ready"
        case .running:
            attempts.last.map {
                "runs on \(TextEscape.shown($0.worker)) since \(TaskExplanation.time($0.start))"
                    + ($0.number > 1 ? ", attempt \($0.number)" : "")
            } ?? "runs"
        case .paused: "failed, and waits for its next attempt"
        case .done:
            attempts.last.map { attempt in
                "done on \(TextEscape.shown(attempt.worker))"
                    + (attempt.finish.map {
                        ", ran from \(TaskExplanation.time(attempt.start)) to \(TaskExplanation.time($0))"
                    } ?? "")
            } ?? "done"
        case .failed: "failed" + (attempts.count > 1 ? " after \(attempts.count) attempts" : "")
        case .skipped: "skipped"
        case .absent: "absent: it ended without a value, and the run goes on"
        case .expanded: "its instances go on"
        case .excluded: "no part of this run"
        case .unmade: "not there yet"
        }
    }

    static func text(_ instances: Instances) -> String {
        var parts = ["\(instances.done) done"]
        let open = instances.count - instances.done - instances.running - instances.failed - instances.skipped
        for (count, word) in [
            (instances.running, "running"), (instances.failed, "failed"), (instances.skipped, "skipped"),
            (open, "waiting"),
        ] where count > 0 {
            parts.append("\(count) \(word)")
        }
        let example = instances.example.map { "; ask for one of them: explain … '\(TextEscape.shown($0))'" } ?? ""
        return "\(ShownNumber.counted(instances.count, "instance")): \(parts.joined(separator: ", "))\(example)"
    }

    // MARK: - What is waited for

    private static let mostInputs = 8
    private static let mostObstacles = 12

    private var inputLines: [String] {
        let direct = waitsFor.filter { !$0.isIndirect }, indirect = waitsFor.filter(\.isIndirect)
        return TaskExplanation.lines("waits for", direct) + TaskExplanation.lines("which wait for", indirect)
    }

    private static func lines(_ title: String, _ inputs: [Input]) -> [String] {
        guard !inputs.isEmpty else { return [] }
        var lines = ["  \(title):"]
        for input in inputs.prefix(mostInputs) {
            var line = "    \(TextEscape.shown(input.task)), \(word(input.state))"
            if let worker = input.worker { line += " on \(TextEscape.shown(worker))" }
            if let since = input.since { line += " since \(time(since))" }
            lines.append(line)
        }
        if inputs.count > mostInputs { lines.append("    and \(inputs.count - mostInputs) more") }
        return lines
    }

    private static func word(_ state: State) -> String {
        switch state {
        case .waiting: "which waits itself"
        case .expanded: "whose instances go on"
        case .paused: "which failed and will be tried again"
        case .unmade: "which is not there yet"
        case .excluded: "which is no part of this run"
        case .ready, .running, .done, .failed, .skipped, .absent: state.rawValue
        }
    }

    // MARK: - What happened, in order

    private var happenings: [(time: Double, order: Int, lines: [String])] {
        waits.map { ($0.from, 1, TaskExplanation.lines($0)) }
            + attempts.flatMap { attempt in
                let ends = TaskExplanation.ending(attempt).map { [(attempt.finish ?? attempt.start, 0, $0)] } ?? []
                return [(attempt.placed, 2, beginning(attempt))] + ends
            }
    }

    private static func lines(_ wait: Wait) -> [String] {
        let span =
            wait.until.map { "\(time(wait.from)) to \(time($0)): waited \(time($0 - wait.from))" }
            ?? "since \(time(wait.from)): waits"
        var lines = ["  \(span)"]
        if wait.ahead > 0, let first = wait.first {
            let rank = wait.rank.map { " (\($0))" } ?? ""
            lines.append(
                "    \(ShownNumber.counted(wait.ahead, "ready task")) before it, first \(TextEscape.shown(first))\(rank)"
            )
        }
        lines += wait.obstacles.prefix(mostObstacles).map { "    " + $0.text }
        let more = wait.obstacles.count - mostObstacles
        return more > 0 ? lines + ["    and \(ShownNumber.counted(more, "other reason")) on other workers"] : lines
    }

    private func beginning(_ attempt: Attempt) -> [String] {
        let number = attempts.count > 1 || attempt.number > 1 ? "attempt \(attempt.number): " : ""
        var line = "  \(TaskExplanation.time(attempt.placed)): \(number)placed on \(TextEscape.shown(attempt.worker))"
        if let choice = attempt.choice { line += " by \(TextEscape.shown(choice.allocator)): \(choice.text)" }
        var lines = [line]
        if attempt.start > attempt.placed {
            lines.append("    its data came until \(TaskExplanation.time(attempt.start))")
        }
        return lines + (attempt.choice?.ruledOut.map { "    " + $0.text } ?? [])
    }

    private static func ending(_ attempt: Attempt) -> [String]? {
        guard let ended = attempt.ended, let finish = attempt.finish else { return nil }
        var line = "  \(time(finish)): attempt \(attempt.number) on \(TextEscape.shown(attempt.worker)) "
        line += ended == "lost" ? "was lost with its worker" : "failed (\(ended))"
        if let message = attempt.message, !message.isEmpty { line += ": \(TextEscape.shown(message))" }
        // Messages of errors mostly begin with their place.
        if let place = attempt.place, !(attempt.message?.hasPrefix(place) ?? false) {
            line += " at \(TextEscape.shown(place))"
        }
        if let retry = attempt.retryAt {
            line += retry > finish ? "; tried again from \(time(retry)) on" : "; tried again at once"
        }
        return [line]
    }
}

extension TaskExplanation.Obstacle {
    /// `w1, w2: 2 gpu are wanted, 1 of 4 free (held by a, b)`
    package var text: String {
        let subject = TaskExplanation.Obstacle.list(workers, most: 4, noun: "worker")
        return (subject.isEmpty ? "" : subject + ": ") + what
    }

    /// `a, b, c and 7 more`, or where there are many `a to j (10 workers)`
    static func list(_ names: [String], most: Int, noun: String) -> String {
        let shown = names.map { TextEscape.shown($0) }
        if shown.count <= most { return shown.joined(separator: ", ") }
        return shown.prefix(most - 1).joined(separator: ", ") + " and \(shown.count - most + 1) more"
    }

    private var what: String {
        let name = name.map { TextEscape.shown($0) } ?? ""
        switch kind {
        case .short: return amounts + held
        case .fragmented: return amounts + ", but on no single one" + held
        case .never:
            return total == 0 ? "has no \(resource ?? "")" : "has \(total.map(shown) ?? "no") of \(wantedText) wanted"
        case .label:
            let wanted = values.map { TextEscape.shown($0) }.joined(separator: " or ")
            let own = has.map { "is \(TextEscape.shown($0))" } ?? "has none"
            return "label '\(TextEscape.shown(label ?? ""))' must be \(wanted), and \(own)"
        case .unable: return "the file gives it no run time there"
        case .worker: return "it is to run on '\(name)' only (option worker)"
        case .planned: return "it is planned on '\(name)'"
        case .near: return "it is to run near a result, which is on '\(name)'"
        case .absent: return "joins at \(time.map(TaskExplanation.time) ?? "a later time")"
        case .lost: return "was lost"
        case .left: return "has left"
        case .reserved: return "room is kept for \(name), which ranks before it"
        case .filtered: return name.isEmpty ? "the strategy's filter said no" : "the strategy's filter said no: \(name)"
        case .scored: return "the strategy gave it a score there, and another task went first"
        case .unasked: return "the strategy was not asked about it there yet"
        case .unnamed:
            let wait = time.map { "; it waits until \(TaskExplanation.time($0))" } ?? ""
            return "it fits, and the strategy's allocate did not name it\(wait)"
        }
    }

    private func shown(_ amount: UInt64) -> String { Capacity.text(amount, of: resource ?? "") }

    private var wantedText: String { wanted.map { Capacity.shown($0, of: resource ?? "") } ?? "" }

    private var amounts: String {
        "\(wantedText) wanted, \(free.map(shown) ?? "0") of \(total.map(shown) ?? "0") free"
            + (workers.isEmpty ? " in the whole run" : "")
    }

    private var held: String {
        guard !holders.isEmpty else { return "" }
        return " (held by \(TaskExplanation.Obstacle.list(holders, most: 6, noun: "task")))"
    }
}

extension TaskExplanation.Choice {
    /// `the least work so far (0 s; next w2 with 4 s)`
    package var text: String {
        var text = phrase
        if let value = value.map(measured) {
            text += " (\(value)\(runnerUp.map { "; next \(TextEscape.shown($0))\(nextValue)" } ?? ""))"
        } else if let runnerUp {
            text += " (next \(TextEscape.shown(runnerUp)))"
        }
        if let fallback { text += "; \(TextEscape.shown(fallback))" }
        return text
    }

    private var nextValue: String { runnerUpValue.map { " with \(measured($0))" } ?? "" }

    private var phrase: String {
        switch rule {
        case .first: "the first worker that it fits on"
        case .leastWork: "the least work so far"
        case .data: "most of its data is there"
        case .price: "the least price an hour"
        case .speed: "the fastest"
        case .plan: "planned there"
        case .score: "the highest score"
        case .named: "allocate named it"
        case .near: "the result that it is to run near to is there"
        case .only: "the only worker that it fits on"
        case .chance: "drawn by lot"
        }
    }

    private func measured(_ value: Double) -> String {
        switch rule {
        case .leastWork: TaskExplanation.time(value)
        case .data: "\(ShownNumber.text(value)) bytes"
        case .plan: "as number \(ShownNumber.text(value))"
        default: ShownNumber.text(value)
        }
    }
}
