package import HandoutCore

/// What a simulated cluster knows of tasks and links that the scheduler does not.
package protocol SimulatedWorld {
    /// Nanoseconds that the row takes on that worker; `speed` is the worker's.
    func duration(_ row: Int, origin: Int, worker: Int, variant: Int, speed: Double) -> UInt64
    /// Nanoseconds and bytes that it takes to bring the value of `input` to `row` on another worker.
    func transfer(of input: Int, to row: Int, from: Int, to worker: Int) -> (nanoseconds: UInt64, bytes: UInt64)
    /// Bytes of the row's value.
    func bytes(_ row: Int, origin: Int) -> UInt64
    /// Elements that a map or reduce runs over.
    func elements(_ row: Int) -> Int
}

/// A worker of a simulated cluster.
package struct SimulatedWorker: Sendable {
    package var offer: WorkerOffer
    package var joinsAt: UInt64
    /// When it is lost for good, which nobody knows before; nil: never.
    package var failsAt: UInt64?
    /// From when on which price per hour holds; empty: that of the offer.
    package var prices: [(from: UInt64, price: Double)]

    package init(offer: WorkerOffer, joinsAt: UInt64 = 0, prices: [(from: UInt64, price: Double)] = []) {
        self.offer = offer
        self.joinsAt = joinsAt
        self.prices = prices
    }
}

/// What goes wrong in a simulated cluster. Everything is drawn from the seed.
package struct ClusterFaults: Sendable {
    /// Probability that an attempt fails, of whatever kind.
    package var failureRate = 0.0
    /// Probability, for each attempt, that its worker dies before it ends.
    package var deathRate = 0.0
    /// Probability that a dead worker comes back.
    package var returnRate = 1.0
    /// Probability that a worker is slow, and by how much.
    package var slowRate = 0.0
    package var slowFactor = 4.0
    /// Probability that a report comes late, and so maybe after those that were sent after it.
    package var lateRate = 0.0
    /// Probability that a report comes a second time.
    package var duplicateRate = 0.0
    /// Probability that a lost report is sent again only after a while.
    package var dropRate = 0.0
    /// Clocks of workers run faster or slower by up to this part: what they say that a task took is wrong by it.
    package var clockSkew = 0.0
    /// Nanoseconds of which delays are drawn.
    package var delay: UInt64 = 1_000_000

    package init() {}

    /// Nothing goes wrong, and workers are as fast as they say.
    package var areNone: Bool {
        failureRate + deathRate + slowRate + lateRate + duplicateRate + dropRate + clockSkew == 0
    }
}

/// Mistakes planted in the driver, to test that the checks find them.
package enum ClusterFault: Sendable, CaseIterable {
    /// An attempt is given to a second worker, where nothing was claimed.
    case overcommit
    /// A completion never arrives.
    case loseCompletion
    /// A completion of an attempt that its worker's death has ended counts as one of the next.
    case acceptStale
}

package struct ClusterOptions {
    package var seed: UInt64
    package var workers: [SimulatedWorker]
    package var shared: [String: UInt64] = [:]
    package var allocator = Allocator.loadBalanced
    package var plan: PlacementPlan?
    /// Makes what plans again while the run goes on, of what is kept of the run; nil: the plan holds to the end.
    package var replanner: ((RunProgress) -> any RunReplanner)?
    package var keepGoing = false
    package var targets: [TaskID] = []
    package var outputs: [TaskID] = []
    package var faults = ClusterFaults()
    package var planted: ClusterFault?
    /// Rules are checked after every event, from outside. Off for runs of many tasks.
    package var checksRules = false
    /// Tasks take as long as is expected of them, and nothing goes wrong: what room is kept for starts in time.
    package var estimatesHold = false
    package var recordsEvents = false
    /// The strategy is told what happens.
    package var tellsStrategy = false
    /// The result says what every attempt was given.
    package var recordsInputs = false
    /// Keeps why some tasks wait and are placed as they are; nil: nobody asks.
    package var record: DecisionRecord?

    package init(seed: UInt64, workers: [SimulatedWorker]) {
        self.seed = seed
        self.workers = workers
    }
}

/// One attempt that ended well, in virtual nanoseconds.
package struct ScheduledAttempt: Sendable, BitwiseCopyable {
    package var task: UInt32
    package var worker: Int32
    package var variant: UInt8
    package var start: UInt64
    package var finish: UInt64
    /// The declared row that it is or is made of, and which instance or node; -1: the declared row itself.
    package var declared: UInt32 = 0
    package var element: Int32 = -1
}

package struct ClusterResult: Sendable {
    package var counts = Counts()
    /// Virtual nanoseconds to the end of the last attempt.
    package var makespan: UInt64 = 0
    /// Price of what was held while it was held.
    package var cost = 0.0
    /// Part of all workers' cores that was in use, 0 to 1.
    package var utilisation = 0.0
    package var bytesMoved: UInt64 = 0
    /// By start.
    package var schedule: [ScheduledAttempt] = []
    /// By row: rows whose values it was given, when that was asked for.
    package var inputs: [UInt32: [UInt32]] = [:]
    /// Plans that were made while it went on, and taken.
    package var plans = (made: 0, taken: 0)
    /// By declared row: elements of lists, when inputs were asked for.
    package var elements: [Int: Int] = [:]
    /// Nanoseconds that each worker was busy, weighted by the share of it that was held.
    package var busy: [Double] = []
    package var log: [UInt8] = []
    package var violation: String?
    /// Rows that were never run, because nothing that is left could hold them.
    package var waiting = 0
}
