/// Why one task waits, was placed where it was, ran again or never ran: what `handout-lua explain` says.
///
/// Facts only: its texts are in `TaskExplanation+Text.swift` and `TaskExplanation+JSON.swift`. Times are seconds since the
/// run's start, amounts 1/10 000 (of memory bytes).
package struct TaskExplanation: Sendable, Equatable {
    /// Where the task stands at the moment that is asked about.
    package enum State: String, Sendable {
        /// Something that it needs has not ended.
        case waiting
        /// Nothing it needs is missing; it is not placed.
        case ready
        case running
        /// An attempt failed; the next one comes after a pause.
        case paused
        case done, failed, skipped
        /// Ended without a value, and well.
        case absent
        /// A map whose instances go on.
        case expanded
        /// It is no part of the run.
        case excluded
        /// An instance of a map or reduce whose list is not known yet.
        case unmade
    }

    package var task: String
    package var state: State
    /// The moment that is asked about; nil: the end of what is known.
    package var at: Double?
    /// `file:line` of the declaration.
    package var declared: String?
    package var waitsFor: [Input] = []
    package var ready: Ready?
    package var waits: [Wait] = []
    package var attempts: [Attempt] = []
    /// Why it was skipped, or never made.
    package var reason: String?
    /// Of a map: its instances.
    package var instances: Instances?
    /// What else has to be said.
    package var notes: [String] = []

    package init(task: String, state: State = .waiting) {
        self.task = task
        self.state = state
    }

    /// Something that has not ended, and is waited for.
    package struct Input: Sendable, Equatable {
        package var task: String
        package var state: State
        /// Since when; nil: not known.
        package var since: Double?
        package var worker: String?
        /// It is needed by way of others that wait too.
        package var isIndirect: Bool

        package init(
            _ task: String, _ state: State, since: Double? = nil, worker: String? = nil, isIndirect: Bool = false
        ) {
            self.task = task
            self.state = state
            self.since = since
            self.worker = worker
            self.isIndirect = isIndirect
        }
    }

    /// From when on nothing that it needs was missing, and what had been the last of it.
    package struct Ready: Sendable, Equatable {
        package var time: Double
        package var last: String?

        package init(time: Double, last: String? = nil) {
            self.time = time
            self.last = last
        }
    }

    /// A stretch of time in which it was ready and not placed, for the same reasons throughout.
    package struct Wait: Sendable, Equatable {
        package var from: Double
        /// Nil: it goes on.
        package var until: Double?
        /// Ready tasks that rank before it, and the first of them.
        package var ahead = 0
        package var first: String?
        /// What is between the two, where it is known: "priority 5, this one has 0".
        package var rank: String?
        package var obstacles: [Obstacle] = []

        package init(from: Double, until: Double? = nil) {
            self.from = from
            self.until = until
        }
    }

    /// Why it does not run on some workers.
    package struct Obstacle: Sendable, Equatable {
        package enum Kind: String, Sendable {
            /// Not enough of a resource is free.
            case short
            /// Enough is free, but on no single index.
            case fragmented
            /// There is less of a resource than it asks for.
            case never
            case label
            /// An instance file gives it no run time there.
            case unable
            /// It is to run on another worker: its own wish, the plan's, or that of `near`.
            case worker, planned, near
            /// The worker has not joined, was lost, or has left.
            case absent, lost, left
            /// Room is kept for a task that ranks before it.
            case reserved
            /// The strategy's filter said no.
            case filtered
            /// The strategy gave a score, or was not asked yet.
            case scored, unasked
            /// The strategy decides by rounds, and did not name it.
            case unnamed
        }

        package var kind: Kind
        /// Empty: the cluster or the run as a whole.
        package var workers: [String] = []
        package var resource: String?
        package var wanted: UInt64?
        package var free: UInt64?
        package var total: UInt64?
        /// Tasks that hold the resource there.
        package var holders: [String] = []
        package var label: String?
        package var values: [String] = []
        package var has: String?
        /// The worker, the task, or the strategy's reason.
        package var name: String?
        package var time: Double?

        package init(_ kind: Kind) { self.kind = kind }

        /// The same but for workers, and what of it changes all the time.
        package func isAlike(_ other: Obstacle) -> Bool {
            kind == other.kind && resource == other.resource && wanted == other.wanted && label == other.label
                && values == other.values && has == other.has && name == other.name && time == other.time
        }
    }

    /// One attempt: where and why there, and how it ended.
    package struct Attempt: Sendable, Equatable {
        package var number: Int
        package var worker: String
        /// When it was placed, when its run began (data had come), and when it ended.
        package var placed: Double
        package var start: Double
        package var finish: Double?
        package var choice: Choice?
        /// How it failed; nil: it did not.
        package var ended: String?
        package var message: String?
        package var place: String?
        /// When the next attempt was allowed; nil: there is none.
        package var retryAt: Double?

        package init(number: Int, worker: String, placed: Double, start: Double) {
            self.number = number
            self.worker = worker
            self.placed = placed
            self.start = start
        }
    }

    /// Why an attempt was placed on its worker.
    package struct Choice: Sendable, Equatable {
        package enum Rule: String, Sendable {
            /// The first that fits.
            case first
            /// The least work so far; values in seconds.
            case leastWork = "least_work"
            /// Most of its data; values in bytes.
            case data
            /// The least price an hour of it.
            case price
            case speed
            /// A plan of the whole graph.
            case plan
            /// A strategy's score.
            case score
            /// A strategy's round.
            case named
            /// A result that it is to run near to is there.
            case near
            case only
            case chance
        }

        package var rule: Rule
        package var allocator: String
        /// What the rule compares, of the worker that was chosen.
        package var value: Double?
        package var runnerUp: String?
        package var runnerUpValue: Double?
        /// Workers on which it fitted.
        package var fitting: Int
        /// Workers on which it fitted too, and why not there.
        package var ruledOut: [Obstacle] = []
        /// The allocator did not decide; why not.
        package var fallback: String?

        package init(_ rule: Rule, allocator: String, fitting: Int = 1) {
            self.rule = rule
            self.allocator = allocator
            self.fitting = fitting
        }
    }

    /// Of a map or reduce: what it is made of.
    package struct Instances: Sendable, Equatable {
        package var count: Int
        package var done = 0
        package var running = 0
        package var failed = 0
        package var skipped = 0
        /// One to ask about: the one that ended last, or runs, or waits.
        package var example: String?

        package init(count: Int) { self.count = count }
    }
}
