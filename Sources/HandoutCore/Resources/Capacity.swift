/// What a worker has.
package struct WorkerCapacity: Sendable, Equatable {
    package var name: String
    /// By name of the resource: 1/10 000, of memory bytes. What is not named it has not, but for memory: no bound.
    package var totals: [String: UInt64]
    package var labels: [String: String]

    package init(name: String, totals: [String: UInt64], labels: [String: String] = [:]) {
        self.name = name
        self.totals = totals
        self.labels = labels
    }

    package func total(_ resource: String) -> UInt64 { totals[resource] ?? (resource == "memory" ? UInt64.max : 0) }
}

/// What there is to run tasks on, for refusing at once what could never run.
package struct Capacity: Sendable {
    /// In order of joining. Empty: nothing is refused.
    package var workers: [WorkerCapacity]
    /// Pools of the whole cluster.
    package var shared: [String: UInt64]
    /// How to get more of the first worker's cores, for messages: `-j`.
    package var coresFlag: String?

    package init(workers: [WorkerCapacity] = [], shared: [String: UInt64] = [:], coresFlag: String? = nil) {
        self.workers = workers
        self.shared = shared
        self.coresFlag = coresFlag
    }

    /// Why no worker could ever hold the request, in words that follow the name of the task; nil: one could.
    ///
    /// - Parameters:
    ///   - limits: pools of the graph.
    ///   - graph: its name.
    package func problem(of request: NamedRequest, limits: [String: UInt64], graph: String) -> String? {
        guard !workers.isEmpty else { return nil }
        var candidates = workers
        if let name = request.worker {
            candidates = workers.filter { $0.name == name }
            if candidates.isEmpty { return unknownWorker(name) }
        }
        if let label = missingLabel(request.labels, &candidates) { return label }
        var first: String?
        for variant in request.variants {
            guard let problem = problem(of: variant.amounts, candidates, limits, graph) else { return nil }
            if first == nil { first = problem }
        }
        guard request.variants.count > 1, let first else { return first }
        return "none of its \(request.variants.count) variants can run; the first \(first)"
    }

    private func unknownWorker(_ name: String) -> String {
        let known = workers.prefix(8).map { "'\($0.name)'" }.joined(separator: ", ")
        let more = workers.count > 8 ? " and \(workers.count - 8) more" : ""
        return "option 'worker': no worker '\(TextEscape.shown(name))' is known or declared; there is \(known)\(more)"
    }

    /// Leaves the workers that have the labels; otherwise says which one is short.
    private func missingLabel(_ labels: [TaskRequest.Label], _ candidates: inout [WorkerCapacity]) -> String? {
        for label in labels {
            let having = candidates.filter { worker in
                worker.labels[label.name].map { label.values.contains($0) } ?? false
            }
            if having.isEmpty {
                let wanted = label.values.map { TextEscape.shown($0) }.joined(separator: " or ")
                let there = Set(candidates.compactMap { $0.labels[label.name] }).sorted().prefix(8)
                let known = there.isEmpty ? "" : "; there is \(there.joined(separator: ", "))"
                return "needs a worker of \(TextEscape.shown(label.name)) \(wanted), which none is\(known)"
            }
            candidates = having
        }
        return nil
    }

    private func problem(
        of amounts: [String: UInt64], _ candidates: [WorkerCapacity], _ limits: [String: UInt64], _ graph: String
    ) -> String? {
        var ofWorkers: [(name: String, amount: UInt64)] = []
        // Short names first: cpu and gpu before memory, those before what only this user knows.
        for (name, amount) in amounts.sorted(by: { ($0.key.utf8.count, $0.key) < ($1.key.utf8.count, $1.key) })
        where amount > 0 {
            if let limit = limits[name] {
                guard amount > limit else { continue }
                return "needs \(Capacity.shown(amount, of: name)), more than the limit of graph '\(graph)': "
                    + Capacity.text(limit, of: name)
            }
            if let total = shared[name] {
                guard amount > total else { continue }
                return "needs \(Capacity.shown(amount, of: name)), more than the cluster has: "
                    + Capacity.text(total, of: name)
            }
            guard let largest = candidates.max(by: { $0.total(name) < $1.total(name) }) else { continue }
            if amount > largest.total(name) { return short(name, amount, largest) }
            ofWorkers.append((name, amount))
        }
        if candidates.contains(where: { worker in ofWorkers.allSatisfy { worker.total($0.name) >= $0.amount } }) {
            return nil
        }
        return together(ofWorkers, candidates)
    }

    private func short(_ name: String, _ amount: UInt64, _ largest: WorkerCapacity) -> String {
        let hint = name == "cpu" ? coresFlag.map { " (\($0) sets it)" } ?? "" : ""
        return "needs \(Capacity.shown(amount, of: name)), more than any worker has: worker '\(largest.name)' has "
            + Capacity.text(largest.total(name), of: name) + hint
    }

    /// Each amount fits somewhere, all of them nowhere: the nearest worker lacks the fewest.
    private func together(_ amounts: [(name: String, amount: UInt64)], _ candidates: [WorkerCapacity]) -> String {
        func lacking(_ worker: WorkerCapacity) -> [(name: String, amount: UInt64)] {
            amounts.filter { worker.total($0.name) < $0.amount }
        }
        let wanted = amounts.map { Capacity.shown($0.amount, of: $0.name) }.joined(separator: ", ")
        guard let nearest = candidates.min(by: { lacking($0).count < lacking($1).count }) else {
            return "needs \(wanted) on one worker"
        }
        let has = lacking(nearest).map { Capacity.shown(nearest.total($0.name), of: $0.name) }
        return "needs \(wanted) on one worker, which none has; the nearest, worker '\(nearest.name)', has "
            + has.joined(separator: ", ")
    }

    /// `2 gpu`, `64GiB memory`
    package static func shown(_ amount: UInt64, of resource: String) -> String {
        "\(text(amount, of: resource)) \(resource)"
    }

    /// `2`, `0.5`, `64GiB`
    package static func text(_ amount: UInt64, of resource: String) -> String {
        guard resource == "memory" else { return decimal(amount, scale: 10_000) }
        let units: [(String, UInt64)] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        for (unit, size) in units where amount >= size {
            let hundredths = amount / (size / 100 + 1)
            return amount % size == 0 ? "\(amount / size)\(unit)" : "\(decimal(hundredths, scale: 100))\(unit)"
        }
        return "\(amount) bytes"
    }

    private static func decimal(_ amount: UInt64, scale: UInt64) -> String {
        let whole = amount / scale
        guard amount % scale > 0 else { return "\(whole)" }
        var digits = String(amount % scale + scale).dropFirst()
        while digits.last == "0" { digits.removeLast() }
        return "\(whole).\(digits)"
    }
}
