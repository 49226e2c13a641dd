/// Says how much of some resources there is, while runs go on (`lua-api.md`, section 10).
///
/// Amounts are in 1/10 000, of `memory` in bytes. Calls may take long; one at a time, on the thread that the tracker was made for.
package protocol ResourceTracker: AnyObject {
    var name: String { get }
    /// Names of the resources that it reports.
    var provides: [String] { get }
    var scope: TrackerScope { get }
    /// Nanoseconds from one `available` to the next, and before a refused claim is asked for again.
    var interval: UInt64 { get }
    /// It wants to be asked before attempts hold something, or told afterwards.
    var keepsClaims: Bool { get }

    /// What there is at first. Once, before any other call; nil: what `available` says first.
    func register() -> TrackerReading?
    /// What may be used now, what is claimed included.
    func available(_ state: TrackerState) -> TrackerReading
    /// Before an attempt holds some.
    func request(_ claim: ResourceClaim) -> TrackerAnswer
    /// After an attempt held some. What went wrong, if anything did.
    func release(_ claim: ResourceClaim) -> TrackerProblem?
    /// Told what holds from now on.
    func update(_ totals: [String: UInt64])
}

extension ResourceTracker {
    package var keepsClaims: Bool { false }
    package func register() -> TrackerReading? { nil }
    package func request(_ claim: ResourceClaim) -> TrackerAnswer { .granted }
    package func release(_ claim: ResourceClaim) -> TrackerProblem? { nil }
    package func update(_ totals: [String: UInt64]) {}
}

package enum TrackerScope: Sendable {
    /// Resources of the worker that it runs on.
    case worker
    /// A pool of the whole cluster: the first worker that runs it reports, another takes over.
    case cluster
}

/// What a tracker is told.
package struct TrackerState: Sendable, Equatable {
    /// What attempts hold now.
    package var claimed: [String: UInt64]
    /// Seconds.
    package var now: Double

    package init(claimed: [String: UInt64] = [:], now: Double = 0) {
        self.claimed = claimed
        self.now = now
    }
}

/// What an attempt holds, or is about to.
package struct ResourceClaim: Sendable, Equatable {
    package var task: String
    package var attempt: UInt32
    package var amounts: [String: UInt64]

    package init(task: String, attempt: UInt32, amounts: [String: UInt64]) {
        self.task = task
        self.attempt = attempt
        self.amounts = amounts
    }
}

/// What a tracker found.
package enum TrackerReading: Sendable, Equatable {
    case report(TrackerReport)
    /// It does not know now, and why.
    case unknown(String?)
    /// It is wrong: what it found is not known.
    case failed(TrackerProblem)
}

/// What is wrong with a tracker.
package struct TrackerProblem: Error, Sendable, Equatable {
    /// Without the place.
    package var message: String
    package var file: String?
    package var line: Int?

    package init(message: String, file: String? = nil, line: Int? = nil) {
        self.message = message
        self.file = file
        self.line = line
    }

    /// `licences.lua:14: tracker 'flexlm': probe: …`
    package var text: String {
        guard let file else { return message }
        return line.map { "\(file):\($0): \(message)" } ?? "\(file): \(message)"
    }
}

package struct TrackerReport: Sendable, Equatable {
    /// Of some of what it provides.
    package var totals: [String: UInt64]
    /// Of the whole worker an hour.
    package var price: Double?
    package var labels: [String: String]?

    package init(totals: [String: UInt64] = [:], price: Double? = nil, labels: [String: String]? = nil) {
        self.totals = totals
        self.price = price
        self.labels = labels
    }
}

package enum TrackerAnswer: Sendable, Equatable {
    case granted
    /// The task waits, and is asked for again; why.
    case refused(String?)
    /// It is wrong: as if it had refused.
    case failed(TrackerProblem)
}

/// What holds of a tracker's resources, reading after reading.
///
/// A reading that is not known keeps the last one; after three in a row nothing is there. There is one warning: of a tracker
/// that is wrong at once, of one that does not know after the third.
package struct TrackedTotals: Sendable, Equatable {
    package static let patience = 3

    package enum Change: Sendable, Equatable {
        /// All that is provided, as it holds now.
        case totals([String: UInt64])
        case price(Double)
        case labels([String: String])
        case warning(TrackerProblem)
    }
    package let name: String
    package private(set) var totals: [String: UInt64]
    private var unknown = 0
    private var hasWarned = false
    private var price: Double?
    private var labels: [String: String]?

    /// Nothing is there until the first report.
    package init(name: String, provides: [String]) {
        self.name = name
        totals = Dictionary(provides.map { ($0, 0) }, uniquingKeysWith: { first, _ in first })
    }

    /// What the reading changes.
    package mutating func take(_ reading: TrackerReading) -> [Change] {
        let before = totals
        var changes: [Change] = []
        switch reading {
        case .report(let report):
            unknown = 0
            hasWarned = false
            for (resource, total) in report.totals where totals[resource] != nil { totals[resource] = total }
            if let new = report.price, new != price { changes.append(.price(new)) }
            if let new = report.labels, new != labels { changes.append(.labels(new)) }
            price = report.price ?? price
            labels = report.labels ?? labels
        case .unknown(let reason):
            if countUnknown() && !hasWarned {
                let why = reason.map { ": \($0)" } ?? ""
                hasWarned = true
                changes.append(
                    .warning(TrackerProblem(message: "tracker '\(name)' has not answered 3 times in a row\(why)")))
            }
        case .failed(let problem):
            _ = countUnknown()
            if !hasWarned { changes.append(.warning(problem)) }
            hasWarned = true
        }
        if totals != before { changes.insert(.totals(totals), at: 0) }
        return changes
    }
    /// One more that is not known in a row. True: the one after which nothing is there.
    private mutating func countUnknown() -> Bool {
        unknown += 1
        guard unknown == TrackedTotals.patience else { return false }
        totals = totals.mapValues { _ in 0 }
        return true
    }
}
