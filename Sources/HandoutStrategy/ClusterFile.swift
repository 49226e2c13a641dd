import CLuaShim
package import HandoutCore
package import HandoutPlan
import LuaRuntime

/// Reads cluster files (`lua-api.md`, section 10).
package enum ClusterFile {
    /// The cluster that the file at `path` declares.
    ///
    /// - Throws: `PlanRefusal` with every problem found.
    package static func read(
        path: String, limits: FileLimits = FileLimits(), print: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(PlanRefusal) -> ClusterDescription {
        let sources: ProgramSources
        do throws(ProgramError) { sources = try ProgramSources(path: path) } catch { throw PlanRefusal(error) }
        return try read(sources, limits: limits, print: print)
    }

    /// The cluster that sources in memory declare. Runs on a thread of its own, so that its deadline holds.
    package static func read(
        _ sources: ProgramSources, limits: FileLimits = FileLimits(),
        print: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(PlanRefusal) -> ClusterDescription {
        let found = try FileThread.run(sources.entry.file, limits) { slot -> Result<ClusterDescription, PlanRefusal>? in
            let storage = FileStorage(sources, slot: slot, limits: limits) { _, text in print(text) }
            guard let cluster = handout_cluster_read(storage.config) else { return nil }
            defer { handout_cluster_free(cluster) }
            guard cluster.pointee.problems.count == 0 else {
                return .failure(PlanRefusal(cluster.pointee.problems))
            }
            return .success(ClusterDescription(cluster.pointee))
        }
        return try found.get()
    }
}

extension ClusterDescription {
    fileprivate init(_ native: handout_cluster) {
        let workers = (0..<Int(native.worker_count)).flatMap { index -> [Worker] in
            let worker = native.workers[index]
            let one = Worker(worker, of: native)
            guard worker.count > 1 else { return [one] }
            return (1...Int(worker.count)).map { number in
                var copy = one
                copy.name += "-\(number)"
                return copy
            }
        }
        let shared = (0..<Int(native.shared_count)).map { native.shared[$0] }
        let links = (0..<Int(native.link_count)).map { index -> Link in
            let link = native.links[index]
            return Link(
                from: link.from.map { String(cString: $0) }, to: link.to.map { String(cString: $0) },
                bandwidth: link.bandwidth > 0 ? link.bandwidth : nil,
                latency: link.has_latency != 0 ? link.latency : nil)
        }
        self.init(
            workers: workers,
            shared: Dictionary(
                shared.map { (String(cString: $0.name), $0.amount) }, uniquingKeysWith: { first, _ in first }),
            network: Network(
                bandwidth: native.bandwidth > 0 ? native.bandwidth : nil, latency: native.latency, links: links))
    }
}

extension ClusterDescription.Worker {
    fileprivate init(_ worker: handout_cluster_worker, of native: handout_cluster) {
        self.init(
            name: String(cString: worker.name),
            prices: part(worker.price_first, worker.price_count).map { index in
                ClusterDescription.PriceStep(at: native.prices[index].at, price: native.prices[index].price)
            }, speed: worker.speed, lifetime: worker.lifetime > 0 ? worker.lifetime : nil, joins: worker.joins,
            trackers: worker.trackers.map { String(cString: $0) })
        for index in part(worker.amount_first, worker.amount_count) {
            let amount = native.amounts[index]
            let name = String(cString: amount.name)
            totals[name] = amount.amount
            guard amount.indexed != 0 else { continue }
            indices[name] = part(amount.index_first, amount.index_count).map { index in
                native.indices[index].map { String(cString: $0) } ?? ""
            }
        }
        for index in part(worker.label_first, worker.label_count) {
            labels[String(cString: native.labels[index].name)] = String(cString: native.labels[index].value)
        }
    }
}

private func part(_ first: UInt32, _ count: UInt32) -> Range<Int> { Int(first)..<Int(first) + Int(count) }
