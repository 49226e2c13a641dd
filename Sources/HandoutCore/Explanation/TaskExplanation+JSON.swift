extension TaskExplanation {
    /// The same facts as one JSON object; what is not known is left out.
    package var json: String {
        var object = JSONFields()
        object.add("task", task)
        object.add("state", state.rawValue)
        object.add("at", at)
        object.add("declared", declared)
        object.add("reason", reason)
        if let instances { object.add("instances", raw: TaskExplanation.json(instances)) }
        object.add("waits_for", list: waitsFor.map(TaskExplanation.json))
        if let ready {
            var fields = JSONFields()
            fields.add("time", ready.time)
            fields.add("last", ready.last)
            object.add("ready", raw: fields.text)
        }
        object.add("waits", list: waits.map(TaskExplanation.json))
        object.add("attempts", list: attempts.map(TaskExplanation.json))
        if !notes.isEmpty { object.add("notes", list: notes.map { TextEscape.json($0) }) }
        return object.text
    }

    private static func json(_ instances: Instances) -> String {
        var fields = JSONFields()
        for (name, count) in [
            ("count", instances.count), ("done", instances.done), ("running", instances.running),
            ("failed", instances.failed), ("skipped", instances.skipped),
        ] {
            fields.add(name, raw: "\(count)")
        }
        fields.add("example", instances.example)
        return fields.text
    }

    private static func json(_ input: Input) -> String {
        var fields = JSONFields()
        fields.add("task", input.task)
        fields.add("state", input.state.rawValue)
        fields.add("since", input.since)
        fields.add("worker", input.worker)
        fields.add("direct", raw: "\(!input.isIndirect)")
        return fields.text
    }

    private static func json(_ wait: Wait) -> String {
        var fields = JSONFields()
        fields.add("from", wait.from)
        fields.add("until", wait.until)
        fields.add("ahead", raw: "\(wait.ahead)")
        fields.add("first", wait.first)
        fields.add("rank", wait.rank)
        fields.add("why", list: wait.obstacles.map(json))
        return fields.text
    }

    private static func json(_ obstacle: Obstacle) -> String {
        func amount(_ amount: UInt64?) -> Double? {
            amount.map { obstacle.resource == "memory" ? Double($0) : Double($0) / 10_000 }
        }
        var fields = JSONFields()
        fields.add("kind", obstacle.kind.rawValue)
        fields.add("workers", list: obstacle.workers.map { TextEscape.json($0) })
        fields.add("resource", obstacle.resource)
        fields.add("wanted", amount(obstacle.wanted))
        fields.add("free", amount(obstacle.free))
        fields.add("total", amount(obstacle.total))
        if obstacle.kind == .short || obstacle.kind == .fragmented {
            fields.add("held_by", list: obstacle.holders.map { TextEscape.json($0) })
        }
        fields.add("label", obstacle.label)
        if obstacle.label != nil { fields.add("values", list: obstacle.values.map { TextEscape.json($0) }) }
        fields.add("has", obstacle.has)
        fields.add(obstacle.kind == .filtered ? "reason" : "name", obstacle.name)
        fields.add("time", obstacle.time)
        return fields.text
    }

    private static func json(_ attempt: Attempt) -> String {
        var fields = JSONFields()
        fields.add("attempt", raw: "\(attempt.number)")
        fields.add("worker", attempt.worker)
        fields.add("placed", attempt.placed)
        fields.add("start", attempt.start)
        fields.add("finish", attempt.finish)
        if let choice = attempt.choice { fields.add("choice", raw: json(choice)) }
        fields.add("ended", attempt.ended)
        fields.add("message", attempt.message)
        fields.add("place", attempt.place)
        fields.add("retry_at", attempt.retryAt)
        return fields.text
    }

    private static func json(_ choice: Choice) -> String {
        var fields = JSONFields()
        fields.add("allocator", choice.allocator)
        fields.add("rule", choice.rule.rawValue)
        fields.add("value", choice.value)
        fields.add("runner_up", choice.runnerUp)
        fields.add("runner_up_value", choice.runnerUpValue)
        fields.add("fitting", raw: "\(choice.fitting)")
        if !choice.ruledOut.isEmpty { fields.add("ruled_out", list: choice.ruledOut.map(json)) }
        fields.add("fallback", choice.fallback)
        return fields.text
    }
}

/// The members of a JSON object, in the order in which they are added.
private struct JSONFields {
    private var members: [String] = []

    var text: String { "{\(members.joined(separator: ","))}" }

    mutating func add(_ name: String, raw: String) { members.append("\"\(name)\":\(raw)") }

    mutating func add(_ name: String, _ text: String?) {
        if let text { add(name, raw: TextEscape.json(text)) }
    }

    mutating func add(_ name: String, _ number: Double?) {
        if let number { add(name, raw: Int(exactly: number).map { String($0) } ?? String(number)) }
    }

    mutating func add(_ name: String, list: [String]) { add(name, raw: "[\(list.joined(separator: ","))]") }
}
