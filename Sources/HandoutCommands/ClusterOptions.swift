import ArgumentParser
import HandoutCore
import HandoutPlacement
import HandoutPlan
import HandoutScheduler
import HandoutSimulation
import HandoutStrategy

/// A cluster that a file declares, for commands that run nothing.
struct ClusterFileOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The workers, as a cluster file declares them. Default: this machine.", valueName: "file"),
        completion: .file(extensions: ["lua"]))
    var cluster: String?

    /// The cluster of `--cluster`; nil: this machine.
    func description() throws(CommandFailure) -> ClusterDescription? {
        guard let cluster else { return nil }
        do {
            let description = try ClusterFile.read(path: cluster) { text in
                Terminal.standard.line("cluster: " + TextEscape.shown(text))
            }
            if let note = description.trackerNote { Terminal.standard.line("\(TextEscape.shown(cluster)): \(note)") }
            return description
        } catch {
            let status: ExitStatus = error.problems.contains { $0.code == "file" } ? .environment : .usage
            throw CommandFailure(
                status, error.problems.map { TextEscape.shown($0.text, keepLines: true) }.joined(separator: "\n"))
        }
    }
}

extension ClusterDescription {
    /// That trackers are not asked, where there are some: they say what their own worker has, on that worker.
    var trackerNote: String? {
        let tracked = workers.filter { $0.trackers != nil }
        guard let first = tracked.first else { return nil }
        let others = tracked.count == 1 ? "" : " and \(tracked.count - 1) more"
        return "note: the trackers of worker '\(TextEscape.shown(first.name))'\(others) are not asked: "
            + "a worker has what the file says"
    }

    /// What there is to be had.
    var capacity: Capacity {
        Capacity(
            workers: workers.map { WorkerCapacity(name: $0.name, totals: $0.totals, labels: $0.labels) }, shared: shared
        )
    }

    var simulated: [SimulatedWorker] {
        workers.map { worker in
            let offer = WorkerOffer(
                capacity: WorkerCapacity(name: worker.name, totals: worker.totals, labels: worker.labels),
                indices: worker.indices, price: worker.price(at: 0), speed: worker.speed,
                leavesAt: worker.lifetime.map { $0 &+ worker.joins })
            return SimulatedWorker(
                offer: offer, joinsAt: worker.joins, prices: worker.prices.map { ($0.at, $0.price) })
        }
    }

    /// Times and rates between workers, by number.
    var rates: EstimateWorld.Network {
        let names = workers.map(\.name)
        let network = network
        guard !network.links.isEmpty else {
            let bandwidth = network.bandwidth.map(Double.init) ?? .infinity
            let latency = network.latency
            return EstimateWorld.Network(bandwidth: { _, _ in bandwidth }, latency: { _, _ in latency })
        }
        return EstimateWorld.Network(
            bandwidth: { network.path(from: names[$0], to: names[$1]).bandwidth.map(Double.init) ?? .infinity },
            latency: { network.path(from: names[$0], to: names[$1]).latency })
    }

    /// The same for planners, in seconds.
    var placementNetwork: PlacementInstance.Network {
        func link(_ bandwidth: UInt64?, _ latency: UInt64) -> PlacementInstance.Link {
            PlacementInstance.Link(bandwidth: bandwidth.map(Double.init) ?? .infinity, latency: Double(latency) / 1e9)
        }
        var pairs: [PlacementInstance.Network.Pair: PlacementInstance.Link] = [:]
        if !network.links.isEmpty {
            for from in workers.indices {
                for to in workers.indices where from != to {
                    let path = network.path(from: workers[from].name, to: workers[to].name)
                    pairs[PlacementInstance.Network.Pair(from: from, to: to)] = link(path.bandwidth, path.latency)
                }
            }
        }
        return PlacementInstance.Network(link: link(network.bandwidth, network.latency), pairs: pairs)
    }
}
