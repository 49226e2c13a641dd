package import HandoutCore

/// What a simulated run meets. All of it is drawn from the seed.
package struct SimulationOptions: Sendable {
    package var seed: UInt64
    package var slots = 3
    /// Cores in 1/10 000; nil: one a slot.
    package var cpu: UInt64?
    package var keepGoing = false
    package var targets: [TaskID] = []
    package var outputs: [TaskID] = []
    /// A lease has at most this many tasks.
    package var leaseLimit = 4
    /// Nanoseconds that an attempt takes at most.
    package var longestTask = 1_000_000
    /// Probability that an attempt fails, of whatever kind.
    package var failureRate = 0.0
    /// Probability that a worker dies during an attempt: the rest of its lease is lost.
    package var lossRate = 0.0
    /// Probability that a lease gives back what it has not started.
    package var returnRate = 0.0
    /// Probability that a report comes a second time, later.
    package var duplicateRate = 0.0
    /// Probability that an expansion finds no list.
    package var expansionFailureRate = 0.0
    /// Most elements of a list that is made at run time.
    package var mostElements = 12
    /// Lengths of the lists known when planned, by their index in the value pool.
    package var literals: [Int] = []
    /// Probability, after each event, that the run is paused for a while.
    package var pauseRate = 0.0
    /// When the user cancels the run; nil: never.
    package var cancelAt: UInt64?
    /// Every start, end and release is checked against the graph; off: for runs of many tasks.
    package var checksRules = true
    /// The core's state is checked after every so many events; 0: never.
    package var checkEvery = 1
    /// A mistake of the driver that the checks have to find.
    package var fault: SimulationFault?

    package init(seed: UInt64) { self.seed = seed }
}

/// Mistakes planted in the driver, to test that the simulator finds them.
package enum SimulationFault: Sendable, CaseIterable {
    /// A report never arrives.
    case loseReport
    /// A second report for an attempt is booked as if it were the first.
    case acceptDuplicate
    /// A slot runs a task that no lease gave it.
    case startUnasked
    /// A slot takes a second lease while it runs the first and keeps no account of it.
    case overcommit
    /// A result is freed when it is made.
    case releaseEarly
    /// A run goes on that nobody has let go on.
    case goOn
}

/// How a simulated run ended.
package struct SimulationResult: Sendable {
    package var counts = Counts()
    /// Moment of the last event, in virtual nanoseconds.
    package var makespan: UInt64 = 0
    /// Reports and answers that the core was given.
    package var inputs = 0
    /// The run events, encoded. The same options give the same bytes.
    package var log: [UInt8] = []
    /// The first rule that was broken; nil: none.
    package var violation: String?
}
