import HandoutCore
import HandoutPlan
import HandoutScheduler

/// What is short where the run is.
extension LiveExplainer {
    /// Resources of which not enough is free for the row, as far as events and plan say.
    ///
    /// - Parameter span: in seconds; what is free is that of its middle, and tasks that held it are those of all of it. Nil: the
    ///   end of the file.
    func obstacles(_ row: Int, during span: ClosedRange<Double>?) -> [TaskExplanation.Obstacle] {
        let requests = graph.requests
        let at = span.map { ($0.lowerBound + $0.upperBound) / 2 }
        guard let wanted = request(row)?.variants.first else { return [] }
        return refusals(row, at: at)
            + wanted.amounts.compactMap { amount in
                let name = requests.names[Int(amount.resource)]
                let limit = requests.limits.first { $0.resource == amount.resource }?.amount
                guard let total = limit ?? total(name) else { return nil }
                let holders = holders(of: amount.resource, during: at.map { $0...$0 })
                let used = holders.reduce(UInt64(0)) { $0 &+ $1.amount }
                let free = total > used ? total - used : 0
                guard free < amount.amount else { return nil }
                var obstacle = TaskExplanation.Obstacle(amount.amount > total ? .never : .short)
                if limit == nil { obstacle.workers = [log.workers.first?.name ?? "local"] }
                obstacle.resource = name
                obstacle.wanted = amount.amount
                obstacle.free = free
                obstacle.total = total
                obstacle.holders = (span == nil ? holders : self.holders(of: amount.resource, during: span)).map(\.name)
                return obstacle
            }
    }

    /// What the strategy's filter last said of the task, or of one that asks for the same: it is asked for these together.
    private func refusals(_ row: Int, at: Double?) -> [TaskExplanation.Obstacle] {
        let request = request(row)
        var found: [TaskExplanation.Obstacle] = []
        for refusal in log.refusals.reversed() where at.map({ refusal.time <= $0 }) ?? true {
            guard let other = rows.row(refusal.task), other == row || self.request(other) == request,
                !found.contains(where: { $0.workers == [refusal.worker] })
            else { continue }
            var obstacle = TaskExplanation.Obstacle(.filtered)
            obstacle.workers = [refusal.worker]
            obstacle.name = refusal.reason.isEmpty ? nil : refusal.reason
            found.append(obstacle)
        }
        return found
    }

    private func request(_ row: Int) -> TaskRequest? {
        let requests = graph.requests
        let options = Int(graph.optionIndices[row])
        guard options < requests.ofOptions.count else { return nil }
        return requests.requests[Int(requests.ofOptions[options])]
    }

    /// Of this machine; cores as the run had them. Nil: no bound.
    private func total(_ resource: String) -> UInt64? {
        if let total = log.workers.first?.totals[resource] { return total }
        let total = worker.indices[resource].map { UInt64($0.count) * 10_000 } ?? worker.capacity.total(resource)
        return total == UInt64.max ? nil : total
    }

    private func holders(of resource: UInt32, during span: ClosedRange<Double>?) -> [(
        name: String, amount: UInt64
    )] {
        let running = span.map { log.running(during: $0) } ?? log.running.sorted()
        return running.compactMap { name in
            guard let row = rows.row(name), let request = request(row) else { return nil }
            let variant = min(log.entries[name]?.variant ?? 0, request.variants.count - 1)
            return request.variants[variant].amounts.first { $0.resource == resource }.map { (name, $0.amount) }
        }
    }
}
