import HandoutCore

/// Why a row is placed where it is.
extension SchedulerCore {
    /// Keeps what is needed to explain the tasks that are watched. Before `start`.
    func keep(_ record: DecisionRecord) {
        placer?.record = record
        for (number, watch) in record.watches.enumerated() where watch.element == nil {
            record.found(watch.declared, for: number)
        }
    }

    /// A watched row is about to be placed: what speaks for the worker, and which other one came next.
    func noteDecision(
        _ record: DecisionRecord, _ row: Int, _ queue: ClassQueue, _ target: (worker: Int, variant: Int),
        _ placer: Placer, isNamed: Bool = false
    ) {
        guard let watch = record.watch(ofRow: row) else { return }
        var others: [(worker: Int, variant: Int)] = []
        for worker in 0..<placer.workers.count where worker != target.worker {
            queue.look(at: worker, placer.workers)
            if let variant = queue.variant(on: worker, placer.workers, beside: placer.reservation) {
                others.append((worker, variant))
            }
        }
        // What the strategy refused runs only where the built-in allocator decides, because nothing runs at all.
        let refusal = isNamed || placer.fallsBack ? nil : answer(record, row, queue, target.worker, placer)
        let isForced = !isNamed && placer.allocator.isScored && !placer.fallsBack && refusal?.score == nil
        let wasFallingBack = placer.fallsBack
        placer.fallsBack = wasFallingBack || isForced
        defer { placer.fallsBack = wasFallingBack }
        var choice = choice(record, row, queue, target, others, placer, isNamed: isNamed)
        choice.fitting = others.count + 1
        if choice.rule == .score { choice.ruledOut = refused(record, row, queue, others.map(\.worker), placer) }
        if placer.fallsBack {
            choice.allocator = "load-balanced"
            let reason = refusal?.reason.map { ": \($0)" } ?? ""
            choice.fallback = record.fallback ?? "the strategy left everything idle\(reason)"
        }
        record.change(watch) { $0.choice = choice }
    }

    /// Workers on which it fits too, and which the strategy's filter refused.
    private func refused(
        _ record: DecisionRecord, _ row: Int, _ queue: ClassQueue, _ workers: [Int], _ placer: Placer
    ) -> [TaskExplanation.Obstacle] {
        var found: [TaskExplanation.Obstacle] = []
        for worker in workers {
            guard let answer = answer(record, row, queue, worker, placer), answer.score == nil else { continue }
            var obstacle = TaskExplanation.Obstacle(.filtered)
            obstacle.name = answer.reason
            add(obstacle, of: placer.workers.facts[worker].offer.capacity.name, isPool: false, to: &found)
        }
        return found
    }

    private func choice(
        _ record: DecisionRecord, _ row: Int, _ queue: ClassQueue, _ target: (worker: Int, variant: Int),
        _ others: [(worker: Int, variant: Int)], _ placer: Placer, isNamed: Bool
    ) -> TaskExplanation.Choice {
        typealias Choice = TaskExplanation.Choice
        func by(_ rule: Choice.Rule) -> Choice { Choice(rule, allocator: record.allocator) }
        if isNamed { return by(.named) }
        if let entry = planned(row, placer), entry.worker == Int32(target.worker) {
            var choice = by(.plan)
            choice.value = Double(entry.order) + 1
            return choice
        }
        if pinnedWorker(row, placer) == target.worker { return by(.near) }
        let rule = rule(row, target.worker, placer)
        if others.isEmpty && rule != .score && rule != .data { return by(.only) }
        var choice = by(rule)
        func values(_ worker: Int, _ variant: Int) -> Double? {
            value(record, rule, row, queue, worker, variant, placer)
        }
        choice.value = values(target.worker, target.variant)
        let ranked = others.compactMap { other in
            preference(rule, queue, other, placer, values(other.worker, other.variant)).map { (other, $0) }
        }
        // Of equals the first, as it is chosen.
        if let next = ranked.enumerated().min(by: { ($1.element.1, $0.offset) < ($0.element.1, $1.offset) })?.element.0
        {
            choice.runnerUp = placer.workers.facts[next.worker].offer.capacity.name
            choice.runnerUpValue = values(next.worker, next.variant)
        }
        return choice
    }

    /// What the allocator compares.
    private func rule(_ row: Int, _ worker: Int, _ placer: Placer) -> TaskExplanation.Choice.Rule {
        switch placer.fallsBack ? .loadBalanced : placer.allocator {
        case .firstAvailable, .planned, .rounds: .first
        case .loadBalanced: .leastWork
        case .locality: inputBytes(row, on: worker) > 0 ? .data : .leastWork
        case .cost: .price
        case .fastest: .speed
        case .scored: .score
        case .random: .chance
        }
    }

    private func value(
        _ record: DecisionRecord, _ rule: TaskExplanation.Choice.Rule, _ row: Int, _ queue: ClassQueue, _ worker: Int,
        _ variant: Int, _ placer: Placer
    ) -> Double? {
        let facts = placer.workers.facts[worker]
        switch rule {
        case .leastWork: return facts.assigned / 1e9
        case .data: return Double(inputBytes(row, on: worker))
        case .price:
            let amounts = queue.request.variants[variant].amounts
            return facts.offer.price * placer.workers.share(amounts, on: worker) / facts.offer.speed
        case .speed: return facts.offer.speed
        case .score: return answer(record, row, queue, worker, placer)?.score
        case .first, .plan, .named, .near, .only, .chance: return nil
        }
    }

    /// The higher the sooner; nil: it is no candidate.
    private func preference(
        _ rule: TaskExplanation.Choice.Rule, _ queue: ClassQueue, _ other: (worker: Int, variant: Int),
        _ placer: Placer, _ value: Double?
    ) -> Double? {
        switch rule {
        case .score, .data: value
        case .chance: nil
        default: placer.score(queue, other.worker, other.variant)
        }
    }

    /// What the strategy last said of the row on a worker.
    func answer(
        _ record: DecisionRecord, _ row: Int, _ queue: ClassQueue, _ worker: Int, _ placer: Placer
    ) -> DecisionRecord.Answer? {
        let isPerTask = placer.allocator == .scored(perTask: true)
        return record.answers[
            DecisionRecord.Question(
                requestClass: queue.number, row: isPerTask ? UInt32(row) : nil, worker: worker)]
    }
}
