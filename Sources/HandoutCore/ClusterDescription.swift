/// What a cluster file declares (`lua-api.md`, section 10): workers, pools that they share, and the network.
///
/// Amounts are in 1/10 000, of `memory` in bytes; times in nanoseconds.
package struct ClusterDescription: Sendable, Equatable {
    package struct Worker: Sendable, Equatable {
        package var name: String
        /// Amounts by resource: `cpu`, `memory`, `gpu` and others.
        package var totals: [String: UInt64]
        /// The names of the indices of those resources that are handed out by index.
        package var indices: [String: [String]]
        /// By ascending time; empty: it is free.
        package var prices: [PriceStep]
        package var speed: Double
        package var labels: [String: String]
        /// How long it stays after it has joined; nil: for ever.
        package var lifetime: UInt64?
        package var joins: UInt64
        /// A tracker file.
        package var trackers: String?

        package init(
            name: String, totals: [String: UInt64] = [:], indices: [String: [String]] = [:], prices: [PriceStep] = [],
            speed: Double = 1, labels: [String: String] = [:], lifetime: UInt64? = nil, joins: UInt64 = 0,
            trackers: String? = nil
        ) {
            self.name = name
            self.totals = totals
            self.indices = indices
            self.prices = prices
            self.speed = speed
            self.labels = labels
            self.lifetime = lifetime
            self.joins = joins
            self.trackers = trackers
        }

        /// The price an hour of the whole worker, so long after the start of the run.
        package func price(at time: UInt64) -> Double { prices.last { $0.at <= time }?.price ?? 0 }
    }

    /// A price an hour, from a time after the start of the run on.
    package struct PriceStep: Sendable, Equatable {
        package var at: UInt64
        package var price: Double

        package init(at: UInt64, price: Double) {
            self.at = at
            self.price = price
        }
    }

    /// An ordered pair of workers; nil is any.
    package struct Link: Sendable, Equatable {
        package var from: String?
        package var to: String?
        /// Bytes a second; nil: the network's.
        package var bandwidth: UInt64?
        /// Nil: the network's.
        package var latency: UInt64?

        package init(from: String?, to: String?, bandwidth: UInt64? = nil, latency: UInt64? = nil) {
            self.from = from
            self.to = to
            self.bandwidth = bandwidth
            self.latency = latency
        }
    }

    package struct Network: Sendable, Equatable {
        /// Bytes a second; nil: no limit.
        package var bandwidth: UInt64?
        package var latency: UInt64
        package var links: [Link]

        package init(bandwidth: UInt64? = nil, latency: UInt64 = 0, links: [Link] = []) {
            self.bandwidth = bandwidth
            self.latency = latency
            self.links = links
        }

        /// What holds from one worker to another: the last link that matches. O(links).
        package func path(from: String, to: String) -> (bandwidth: UInt64?, latency: UInt64) {
            let link = links.last { ($0.from ?? from) == from && ($0.to ?? to) == to }
            return (link?.bandwidth ?? bandwidth, link?.latency ?? latency)
        }
    }

    package var workers: [Worker]
    /// Pools of the whole cluster.
    package var shared: [String: UInt64]
    package var network: Network

    package init(workers: [Worker], shared: [String: UInt64] = [:], network: Network = Network()) {
        self.workers = workers
        self.shared = shared
        self.network = network
    }
}
