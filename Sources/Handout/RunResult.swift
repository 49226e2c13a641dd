import HandoutCore
import HandoutScheduler
import LuaRuntime

/// What came of a run: the shape of `handout-lua run --json`.
public struct RunResult: Sendable, Hashable {
    /// No task failed without `optional`, and the run was not cancelled.
    public var ok: Bool
    /// The run's `id`.
    public var run: String
    /// By name. Nil: the task was skipped or failed, or the run ended first; a task that gave nil has `.null`.
    public var outputs: [String: Value?]
    /// What failed for good, in the order in which it did.
    public var failures: [TaskFailure]
    public var tasks: Counts
    /// From the start of the first task to the end.
    public var seconds: Double
    /// The run was cancelled before it had ended by itself.
    public var isCancelled: Bool
    /// A deadline passed in a library function that nothing can stop: the run was given up with a thread in it, which is
    /// never given back. A program that meets this should end soon.
    public var isAbandoned: Bool

    /// How many tasks ended how. Disjoint.
    public struct Counts: Sendable, Hashable {
        public var done: Int
        public var failed: Int
        /// What never started, too.
        public var skipped: Int
        public var cached: Int

        public init(done: Int, failed: Int, skipped: Int, cached: Int) {
            self.done = done
            self.failed = failed
            self.skipped = skipped
            self.cached = cached
        }
    }

    /// The value of an output; nil when it is absent, or no output has that name.
    public subscript(output: String) -> Value? { outputs[output] ?? nil }

    init(_ outcome: RunOutcome, run: String) {
        ok = outcome.ok
        self.run = run
        var outputs: [String: Value?] = [:]
        for output in outcome.outputs {
            outputs.updateValue(output.value.flatMap { Value(encoded: $0) }, forKey: output.name)
        }
        self.outputs = outputs
        failures = outcome.failures.map { TaskFailure($0) }
        let counts = outcome.counts
        tasks = Counts(done: counts.done, failed: counts.failed, skipped: counts.skipped, cached: 0)
        seconds = outcome.seconds
        isCancelled = outcome.isCancelled
        isAbandoned = outcome.isAbandoned
    }
}

extension TaskFailure {
    fileprivate init(_ failure: RunFailure) {
        let report = failure.report
        self.init(
            task: failure.name, attempt: Int(report.attempt), kind: Kind(report.ended), message: report.message,
            traceback: report.traceback, file: report.file, line: report.line, worker: report.worker,
            isOptional: report.optional, isFinal: true, retryAfter: 0)
    }
}
