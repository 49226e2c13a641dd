import HandoutCore
import HandoutPlan

/// Why tasks of a run were skipped, and how maps stand.
extension LiveExplainer {
    func skipReason(_ name: String, _ row: Int) -> String? {
        let reason = log.entries[name]?.skipped ?? rows.owner(name).flatMap { log.entries[$0]?.skipped } ?? ""
        switch reason {
        case "when": return "skipped, because a condition was not met (\(conditions(row)))"
        case "upstream":
            let failed = failedAbove(name, row)
            guard !failed.isEmpty else { return "skipped, because something that it needs failed" }
            let names = failed.prefix(4).map { "'\(TextEscape.shown($0))'" }.joined(separator: ", ")
            return "skipped, because \(names)\(failed.count > 4 ? " and \(failed.count - 4) more" : ""), "
                + "which it needs, failed"
        default:
            let first = log.names.filter { log.entries[$0]?.hasFailed ?? false }
                .min { (log.entries[$0]?.ended ?? 0, $0) < (log.entries[$1]?.ended ?? 0, $1) }
            return first.map { "skipped, because the run was stopped when '\(TextEscape.shown($0))' failed" }
                ?? "skipped, because the run was stopped"
        }
    }

    private func conditions(_ row: Int) -> String {
        var parts: [String] = []
        var section: Reference.Operation?
        for word in graph.references(of: TaskID(row)) {
            let reference = Reference(word: word)
            switch reference.operation {
            case .when?, .unless?: section = reference.operation
            case .near?, .function?: section = nil
            case .task? where section != nil:
                let name = TextEscape.shown(graph.name(TaskID(reference.payload)))
                parts.append(section == .when ? "when '\(name)'" : "unless '\(name)'")
            default: break
            }
        }
        return parts.isEmpty ? "of the graph that it belongs to" : parts.joined(separator: ", ")
    }

    private func failedAbove(_ name: String, _ row: Int) -> [String] {
        var failed: [String] = []
        var seen: Set<String> = [name]
        var open = [(name, row)]
        while let (name, row) = open.popLast(), seen.count < 100_000 {
            for input in inputs(name, row) where seen.insert(input).inserted {
                guard let entry = log.entries[input] else { continue }
                if entry.hasFailed { failed.append(input) }
                if entry.skipped != nil, let row = rows.row(input) { open.append((input, row)) }
            }
        }
        return failed.sorted()
    }

    func instances(_ name: String, _ row: Int) -> TaskExplanation.Instances? {
        guard let count = log.elements[name], graph.kind(TaskID(row)) == .map else { return nil }
        var instances = TaskExplanation.Instances(count: count)
        for instance in log.instances(of: name) {
            guard let entry = log.entries[instance] else { continue }
            switch state(entry) {
            case .done: instances.done += 1
            case .running: instances.running += 1
            case .failed: instances.failed += 1
            case .skipped: instances.skipped += 1
            default: continue
            }
            if instances.example == nil || entry.hasFailed || entry.isRunning { instances.example = instance }
        }
        return instances
    }
}
