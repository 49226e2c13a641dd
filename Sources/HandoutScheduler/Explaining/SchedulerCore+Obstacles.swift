import HandoutCore

/// What keeps a ready row from a worker.
extension SchedulerCore {
    /// What keeps the row from a worker now; empty: nothing that is known.
    func obstacles(
        _ record: DecisionRecord, _ row: Int, _ queue: ClassQueue, _ worker: Int, _ placer: Placer
    ) -> [TaskExplanation.Obstacle] {
        typealias Obstacle = TaskExplanation.Obstacle
        let facts = placer.workers.facts[worker]
        guard facts.isUp else {
            let hasLeft = facts.offer.leavesAt.map { $0 <= placer.now } ?? false
            return [Obstacle(hasLeft ? .left : .lost)]
        }
        if let wrong = misfit(row, queue, facts.offer, placer) { return [wrong] }
        let variants = queue.request.variants
        guard let able = variants.first(where: { placer.workers.couldEverFit($0.amounts, on: worker) }) else {
            return lacks(variants[0], worker, placer) { placer.workers.total(worker, $0) }
        }
        guard variants.contains(where: { placer.workers.fits($0.amounts, on: worker) }) else {
            let lacks = lacks(able, worker, placer) { placer.workers.free(worker, $0) }
            return lacks.isEmpty ? fragments(able, worker, placer) : lacks
        }
        return [undecided(record, row, queue, worker, placer)]
    }

    /// The worker is not the right one, whatever is free there.
    private func misfit(
        _ row: Int, _ queue: ClassQueue, _ offer: WorkerOffer, _ placer: Placer
    ) -> TaskExplanation.Obstacle? {
        if let wanted = queue.request.worker, wanted != offer.capacity.name {
            let isOwn = placer.classes[requestClass(of: row, placer)].request.worker == wanted
            var obstacle = TaskExplanation.Obstacle(isOwn ? .worker : planned(row, placer) != nil ? .planned : .near)
            obstacle.name = wanted
            return obstacle
        }
        for label in queue.request.labels {
            let has = offer.capacity.labels[label.name]
            if has.map({ label.values.contains($0) }) ?? false { continue }
            var obstacle = TaskExplanation.Obstacle(.label)
            obstacle.label = label.name
            obstacle.values = label.values
            obstacle.has = has
            return obstacle
        }
        return nil
    }

    /// Resources of which there is less than the variant asks for.
    private func lacks(
        _ variant: TaskRequest.Variant, _ worker: Int, _ placer: Placer, there: (Int) -> UInt64
    ) -> [TaskExplanation.Obstacle] {
        variant.amounts.compactMap { amount in
            let resource = Int(amount.resource)
            guard there(resource) < amount.amount else { return nil }
            let total = placer.workers.total(worker, resource)
            return shortage(total < amount.amount ? .never : .short, amount, worker, placer)
        }
    }

    private func fragments(
        _ variant: TaskRequest.Variant, _ worker: Int, _ placer: Placer
    ) -> [TaskExplanation.Obstacle] {
        variant.amounts.compactMap { amount in
            placer.workers.fits([amount], on: worker) ? nil : shortage(.fragmented, amount, worker, placer)
        }
    }

    private func shortage(
        _ kind: TaskExplanation.Obstacle.Kind, _ amount: ResourceAmount, _ worker: Int, _ placer: Placer
    ) -> TaskExplanation.Obstacle {
        var obstacle = TaskExplanation.Obstacle(kind)
        obstacle.resource = placer.requests.names[Int(amount.resource)]
        obstacle.wanted = amount.amount
        obstacle.free = placer.workers.free(worker, Int(amount.resource))
        obstacle.total = placer.workers.total(worker, Int(amount.resource))
        return obstacle
    }

    /// It fits there.
    private func undecided(
        _ record: DecisionRecord, _ row: Int, _ queue: ClassQueue, _ worker: Int, _ placer: Placer
    ) -> TaskExplanation.Obstacle {
        if let held = placer.reservation, queue.variant(on: worker, placer.workers, beside: held) == nil {
            var obstacle = TaskExplanation.Obstacle(.reserved)
            obstacle.name = firstReady(placer.classes[held.requestClass]).map { record.name(planPlace(of: $0)) }
            return obstacle
        }
        if placer.allocator == .rounds {
            var obstacle = TaskExplanation.Obstacle(.unnamed)
            obstacle.time = placer.waitsUntil > placer.now ? DecisionRecord.seconds(placer.waitsUntil) : nil
            return obstacle
        }
        guard let answer = answer(record, row, queue, worker, placer) else {
            return TaskExplanation.Obstacle(.unasked)
        }
        var obstacle = TaskExplanation.Obstacle(answer.score == nil ? .filtered : .scored)
        obstacle.name = answer.reason
        return obstacle
    }
}
