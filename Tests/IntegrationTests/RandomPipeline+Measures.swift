import HandoutCore

/// Options that are functions of `(inputs, attempt)`.
extension RandomPipeline {
    /// Some of a task's amounts are functions; `mayEnd`: they may fail it for good.
    mutating func addMeasures(_ options: inout Options, mayEnd: Bool) {
        guard !options.isInline, uses(.measured, 0.25) else { return }
        var kinds = ["cpu", "memory", "timeout", "priority", "estimate"]
        if level == 0, hasLimits { kinds.append("resources") }
        let failing = failingAttempts(options, mayEnd: mayEnd)
        for place in 0...random.below(3) where !kinds.isEmpty {
            let kind = kinds.remove(at: random.below(kinds.count))
            let result = measure(kind)
            var text = "function(inputs, attempt) \(result) end"
            if place == 0, failing > 0 {
                reached.insert(.measuredInVain)
                options.measureFails = failing > options.retries
                text =
                    "function(inputs, attempt) if attempt.number <= \(failing) then \(failure(of: kind)) end \(result) end"
            }
            options.texts.append(kind == "resources" ? "resources = { tokens = \(text) }" : "\(kind) = \(text)")
            if kind == "resources" { reached.insert(.measuredResource) }
            if kind == "memory" { reached.insert(.measuredMemory) }
        }
    }

    private mutating func failingAttempts(_ options: Options, mayEnd: Bool) -> Int {
        guard random.chance(0.35) else { return 0 }
        return random.below(options.retries + (mayEnd || options.isOptional || options.recovers == true ? 2 : 1))
    }

    private mutating func measure(_ kind: String) -> String {
        switch kind {
        case "cpu":
            return pick([
                "return all(inputs, attempt) % 10001 / 10000", "return digest(inputs.bytes) % 2",
                "return (inputs.n + attempt.number) % 3 / 4", "return math.random()",
                "return attempt.counts.error / 100",
            ])
        case "memory":
            return pick([
                "return 64 + all(inputs) % 64 << 20", "return attempt.number * (64 << 20)", "return \"100.5MiB\"",
                "return attempt.ended == \"memory\" and attempt.amounts.memory + (1 << 20) or 64 << 20", "return 0",
            ])
        case "timeout": return pick(["return \"1h\"", "return 600 + inputs.n", "return 0"])
        case "priority": return pick(["return all(inputs) % 7 - 3", "return -attempt.number", "return 2.0"])
        case "estimate": return pick(["return attempt.number", "return \"3m\""])
        default: return "return all(inputs[1], attempt.message) % 5 / 2"
        }
    }

    /// What none of these options can be, or an error.
    private mutating func failure(of kind: String) -> String {
        pick([
            "error(\"no \" .. (attempt.ended or \"end\") .. all(inputs))",
            "error({ message = \"a table\", n = inputs.n })",
            "return nil", "return \"plenty\"", "return {}", "return -1.5", "return attempt.missing.field",
        ])
    }
}
