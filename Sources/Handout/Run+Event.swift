import HandoutCore
import HandoutScheduler

extension Run {
    /// Something that happened in a run, as `handout-lua run --events` writes it (`lua-api.md`, section 8).
    public struct Event: Sendable, Hashable {
        /// From 1, without gaps.
        public var sequence: Int
        /// Seconds since the run's start.
        public var time: Double
        /// The run's `id`.
        public var run: String
        public var kind: Kind

        public init(sequence: Int, time: Double, run: String, kind: Kind) {
            self.sequence = sequence
            self.time = time
            self.run = run
            self.kind = kind
        }

        /// What happened. There will be more kinds: switch with a `default`.
        public enum Kind: Sendable, Hashable {
            case runStarted(name: String, seed: UInt64)
            case runFinished(ok: Bool, seconds: Double)
            case runPaused
            case runResumed
            case workerJoined(Worker)
            /// What the worker has, costs or is labelled is another, by what a tracker found.
            case workerChanged(Worker)
            /// A map or reduce knows how many elements it runs over.
            case mapExpanded(task: String, count: Int)
            /// Nothing that the attempt needs is missing; it waits for a thread, or for what it asks for to be free.
            case taskReady(Attempt)
            /// `variant` from 1; amounts of memory in bytes, others as numbers.
            case taskStarted(Attempt, worker: String, variant: Int, amounts: [String: Double])
            /// `fraction` from 0 to 1, with a text of the task's own.
            case taskProgressed(Attempt, _ fraction: Double, _ text: String)
            case taskLogged(Attempt, Level, _ text: String)
            /// `seconds` of run time; `bytes` that the result occupies, 0 for small ones.
            case taskFinished(Attempt, worker: String, seconds: Double, bytes: Int)
            /// An attempt failed; `isFinal` of it says whether there is none after it.
            case taskFailed(TaskFailure)
            case taskSkipped(task: String, SkipReason)
            /// Something is not as it should be, and the run goes on.
            case warning(Warning)
        }

        /// A worker, as it is from then on.
        public struct Worker: Sendable, Hashable {
            public var id: String
            /// What there is for tasks, by resource: of memory bytes, others as numbers.
            public var total: [String: Double]
            public var labels: [String: String]
            /// Per hour, for the whole worker.
            public var price: Double
            /// Run time is estimate divided by speed.
            public var speed: Double

            public init(
                id: String, total: [String: Double], labels: [String: String] = [:], price: Double = 0,
                speed: Double = 1
            ) {
                self.id = id
                self.total = total
                self.labels = labels
                self.price = price
                self.speed = speed
            }

            init(_ offer: WorkerOffer) {
                self.init(
                    id: offer.capacity.name,
                    total: Dictionary(
                        offer.capacity.totals.map { ($0.key, number($0.value, of: $0.key)) }, uniquingKeysWith: { $1 }),
                    labels: offer.capacity.labels, price: offer.price, speed: offer.speed)
            }
        }

        /// What a warning says.
        public struct Warning: Sendable, Hashable {
            /// What it is about: `tracker`; `filter`: the strategy's filter keeps the task, and those that ask for the
            /// same, from the worker, and the message is its reason, or empty.
            public var code: String
            public var message: String
            /// Where in whose file it is wrong, if that is known.
            public var file: String?
            public var line: Int?
            /// What it is about, where it is about one.
            public var task: String?
            public var worker: String?

            public init(
                code: String, message: String, file: String? = nil, line: Int? = nil, task: String? = nil,
                worker: String? = nil
            ) {
                self.code = code
                self.message = message
                self.file = file
                self.line = line
                self.task = task
                self.worker = worker
            }
        }

        /// An amount of a resource as events have it.
        static func number(_ amount: UInt64, of resource: String) -> Double {
            resource == "memory" ? Double(amount) : Double(amount) / 10_000
        }

        /// An attempt of a task.
        public struct Attempt: Sendable, Hashable {
            /// The task's full name: `id`, `id[3]`, `id[key]`.
            public var id: String
            /// From 1.
            public var number: Int

            public init(id: String, number: Int) {
                self.id = id
                self.number = number
            }
        }

        /// How much a line of a task's log matters.
        public enum Level: Int, Sendable, Hashable, CustomStringConvertible {
            case debug, info, warning, error

            public var description: String {
                switch self {
                case .debug: "debug"
                case .info: "info"
                case .warning: "warning"
                case .error: "error"
                }
            }
        }

        /// Why a task was never run.
        public enum SkipReason: String, Sendable, Hashable {
            /// What it needs, or comes after, did not succeed.
            case upstream
            /// The run was stopped first.
            case cancelled
            /// A condition was not met.
            case when

            init(_ reason: HandoutCore.SkipReason) {
                switch reason {
                case .upstream: self = .upstream
                case .cancelled: self = .cancelled
                case .when: self = .when
                }
            }
        }
    }
}

/// An attempt that failed (`lua-api.md`, section 7).
public struct TaskFailure: Error, Sendable, Hashable {
    /// How the attempt ended.
    public enum Kind: String, Sendable, Hashable {
        /// The function raised an error.
        case error
        /// The result is not plain data, or there were two.
        case result
        /// The task's `timeout` was reached.
        case timeout
        /// The memory limit was reached.
        case memory
        /// The process it ran in died.
        case crash
        /// The worker it ran on went away.
        case lost
        case cancelled

        init(_ ended: Ended) { self = Kind(rawValue: ended.description) ?? .error }
    }

    /// The task's full name: `id`, `id[3]`, `id[key]`.
    public var task: String
    /// From 1.
    public var attempt: Int
    public var kind: Kind
    public var message: String
    /// "file:line: in …" lines, innermost first; may be empty.
    public var traceback: String
    /// The script's file and line that raised, else those of the task's declaration.
    public var file: String?
    public var line: Int?
    public var worker: String
    /// The task is absent now, and the run not failed.
    public var isOptional: Bool
    /// There is no attempt after it.
    public var isFinal: Bool
    /// Seconds until the next attempt may start.
    public var retryAfter: Double
}

extension TaskFailure: CustomStringConvertible {
    /// `nightly.lua:7: task 'row[2]' failed (error): …`
    public var description: String {
        let place = file.map { file in line.map { "\(file):\($0): " } ?? "\(file): " } ?? ""
        return "\(place)task '\(task)' failed (\(kind.rawValue)): \(message)"
    }
}
