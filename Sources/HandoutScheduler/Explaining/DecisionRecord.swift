package import HandoutCore

/// What is kept of a simulated run to explain some of its tasks: everything about those that are watched, of the others
/// when they started and ended.
///
/// A run without one keeps nothing. It is filled by one run at a time, by `SchedulerCore` and `ClusterSimulator`.
package final class DecisionRecord {
    /// One task that is to be explained.
    package struct Watch {
        package let declared: Int
        package let element: Int?
        /// Its row, as soon as there is one.
        var row: Int?
        package var explanation: TaskExplanation
        var state = RowState.waiting
        /// What the last wait was for, as one number.
        var stamp = 0
        /// Why the attempt that is about to start is placed so.
        var choice: TaskExplanation.Choice?
        /// Its map has that many instances, so that it is none of them.
        package var isBeyond: Int?
    }

    /// What a strategy said of a class, or a task, on a worker.
    struct Question: Hashable {
        var requestClass: Int
        var row: UInt32?
        var worker: Int
    }
    struct Answer {
        var score: Double?
        var reason: String?
    }

    package private(set) var watches: [Watch] = []
    /// A run has filled it.
    package internal(set) var isUsed = false
    /// Nothing after this moment counts, in nanoseconds; nil: the whole run.
    package let until: UInt64?
    /// What the allocator is called.
    package var allocator: String
    private let nameOf: (_ declared: Int, _ element: Int?) -> String
    private var watched: [UInt32: Int] = [:]
    /// By row, in nanoseconds plus 1; 0: not.
    private var started: [UInt64] = []
    private var ended: [UInt64] = []
    private var workers: [Int32] = []
    var answers: [Question: Answer] = [:]
    /// Why the built-in allocator decides instead of the strategy.
    var fallback: String?
    /// Workers that may join later, and when.
    var later: [(name: String, at: UInt64)] = []
    /// The first task that failed for good.
    private(set) var firstFailure: UInt32?
    /// Blocks of rows that were looked through for those that are watched.
    var blocksSeen = 0

    /// - Parameters:
    ///   - name: the name of a row, as the rest of the output has it.
    ///   - until: nanoseconds.
    package init(
        allocator: String, until: UInt64? = nil, name: @escaping (_ declared: Int, _ element: Int?) -> String
    ) {
        self.allocator = allocator
        self.until = until
        nameOf = name
    }

    /// Has a task explained; `element` as in `PlacementPlan`.
    package func watch(declared: Int, element: Int?) {
        var explanation = TaskExplanation(task: nameOf(declared, element))
        explanation.at = until.map(DecisionRecord.seconds)
        watches.append(Watch(declared: declared, element: element, row: nil, explanation: explanation))
    }

    static func seconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds) / 1e9 }

    func name(_ place: (declared: Int, element: Int?)) -> String { nameOf(place.declared, place.element) }

    // MARK: - Rows

    func found(_ row: Int, for watch: Int) {
        watches[watch].row = row
        watches[watch].isBeyond = nil
        watched[UInt32(row)] = watch
    }

    @inline(__always) func watch(ofRow row: Int) -> Int? { watched.isEmpty ? nil : watched[UInt32(row)] }

    func change(_ watch: Int, _ body: (inout Watch) -> Void) { body(&watches[watch]) }

    func startTime(_ row: Int) -> Double? { DecisionRecord.time(started, row) }
    func endTime(_ row: Int) -> Double? { DecisionRecord.time(ended, row) }
    func worker(_ row: Int) -> Int? { row < workers.count && workers[row] >= 0 ? Int(workers[row]) : nil }

    private static func time(_ times: [UInt64], _ row: Int) -> Double? {
        row < times.count && times[row] > 0 ? seconds(times[row] - 1) : nil
    }

    private func reach(_ row: Int) {
        guard row >= started.count else { return }
        let more = max(row + 1, 2 * started.count) - started.count
        started += repeatElement(0, count: more)
        ended += repeatElement(0, count: more)
        workers += repeatElement(-1, count: more)
    }

    // MARK: - Events

    func take(_ events: [RunEvent]) {
        for event in events { take(event) }
    }

    private func take(_ event: RunEvent) {
        switch event.kind {
        case .taskStarted(let task, _, let slot, _):
            reach(task.index)
            started[task.index] = event.time + 1
            workers[task.index] = Int32(slot)
        case .taskFinished(let task, _, _, _, _): end(task, event.time)
        case .taskFailed(let task, let number, let ended, let isFinal, let retryAfter):
            failed(task, Int(number), ended, event.time, retryAt: isFinal ? nil : event.time + retryAfter)
        case .taskSkipped(let task, _): end(task, event.time)
        case .runStarted, .mapExpanded, .taskReady, .runPaused, .runResumed, .runFinished: break
        }
    }

    private func end(_ task: TaskID, _ time: UInt64) {
        reach(task.index)
        ended[task.index] = time + 1
        guard let watch = watch(ofRow: task.index) else { return }
        change(watch) { $0.explanation.finishAttempt(DecisionRecord.seconds(time)) }
    }

    private func failed(_ task: TaskID, _ number: Int, _ ended: Ended, _ time: UInt64, retryAt: UInt64?) {
        if retryAt == nil {
            end(task, time)
            if firstFailure == nil { firstFailure = task.rawValue }
        }
        guard let watch = watch(ofRow: task.index) else { return }
        change(watch) { watch in
            guard let last = watch.explanation.attempts.indices.last, watch.explanation.attempts[last].number == number
            else { return }
            watch.explanation.attempts[last].finish = DecisionRecord.seconds(time)
            watch.explanation.attempts[last].ended = ended.description
            watch.explanation.attempts[last].retryAt = retryAt.map(DecisionRecord.seconds)
        }
    }

    /// An attempt of a watched row was placed.
    func placed(_ row: Int, attempt: Int, worker: String, now: UInt64, begins: UInt64) {
        guard let watch = watch(ofRow: row) else { return }
        change(watch) { watch in
            var attempt = TaskExplanation.Attempt(
                number: attempt, worker: worker, placed: DecisionRecord.seconds(now),
                start: DecisionRecord.seconds(begins))
            attempt.choice = watch.choice
            watch.choice = nil
            watch.explanation.attempts.append(attempt)
        }
    }

    /// A report of an attempt that had ended before came after all.
    func superseded(_ row: Int, attempt: Int, now: UInt64) {
        guard let watch = watch(ofRow: row) else { return }
        let time = ShownNumber.text(DecisionRecord.seconds(now))
        change(watch) {
            $0.explanation.notes.append(
                "the result of attempt \(attempt) came at \(time) s, after its worker had been given up: not used")
        }
    }

    // MARK: - Strategies

    /// What a strategy said; nil: not on that worker, for that reason.
    package func answered(_ question: ScoreQuestion, worker: Int, score: Double?, reason: String?) {
        if let row = question.row, watch(ofRow: Int(row)) == nil { return }
        answers[Question(requestClass: question.requestClass, row: question.row, worker: worker)] = Answer(
            score: score, reason: reason)
    }

    /// A call of the strategy went wrong: the round is decided by the built-in allocator.
    package func strategyFailed(_ text: String) { fallback = text }

    /// A call went well.
    package func strategyAnswered() { fallback = nil }
}

extension TaskExplanation {
    /// The running attempt has ended well.
    fileprivate mutating func finishAttempt(_ time: Double) {
        guard let last = attempts.indices.last, attempts[last].finish == nil else { return }
        attempts[last].finish = time
    }
}
