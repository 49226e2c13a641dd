import CLuaShim
package import HandoutCore
package import HandoutExecutor
package import HandoutScheduler
package import HandoutStrategy
import LuaRuntime

/// Lets a strategy in Lua answer what the scheduler asks: what is asked is taken down first (`begin`), then the strategy is
/// called (`ask`), and what it said is handed in (`end`). The scheduler may go on while it is called.
///
/// It can choose and never overcommit: the scheduler looks again. A call that goes wrong leaves that round to the built-in
/// allocator, with one warning; after three in a row the strategy is off for the run.
package final class StrategyDriver: Strategist, @unchecked Sendable {
    // @unchecked: one thread at a time goes from `begin` to `end`, which a run calls under its lock. `interrupt` and `hangs` touch
    // what does not change.
    let strategy: LuaStrategy
    let graph: GraphColumns
    let ranks: EstimateRanks
    private let deadline: Double?
    let nameOf: (_ row: Int, _ declared: Int, _ element: Int?) -> String
    private let warn: @Sendable (String) -> Void
    let desk: StrategyDesk
    private var failuresInARow = 0
    private var failedEventsInARow = 0
    private var narrator: StrategyNarrator
    private var job = Job.nothing
    private var answer = Answer()
    /// Whether the strategy still decides.
    package private(set) var isOn = true
    /// Keeps what the strategy answers; nil: nobody asks.
    package var record: DecisionRecord?
    /// Is told when the strategy's filter says no, or no for another reason; nil: nobody asks.
    package var refused: ((_ row: Int, _ worker: String, _ reason: String?) -> Void)?
    /// What was told last, by class or task and worker.
    private var refusals: [ScoreQuestion: String] = [:]
    /// The price so far, for its context.
    package var spent = 0.0

    private enum Job {
        case nothing
        case events([HeardEvent])
        case scores([StrategyDesk.Asked])
        case round
    }

    private struct Answer {
        var scores: [(question: ScoreQuestion, scores: [Double?])] = []
        var round: (chosen: [(row: Int, worker: Int, variant: Int?)], wait: UInt64)?
        var forgetsScores = false
        /// A call went wrong: the built-in allocator decides.
        var isWrong = false
    }

    /// How the scheduler is to be configured for the strategy; nil: it only names one that is built in.
    package static func allocator(_ strategy: LuaStrategy) -> Allocator? {
        switch strategy.facts.kind {
        case .score(let perTask): .scored(perTask: perTask)
        case .allocate: .rounds
        case .builtIn: nil
        }
    }

    /// - Parameters:
    ///   - deadline: nanoseconds from the run's start; 0: none.
    ///   - name: the full name of a row.
    ///   - warn: receives a warning, with its place; on the thread that asks.
    package init(
        _ strategy: LuaStrategy, graph: GraphColumns, run: String, seed: UInt64, deadline: UInt64,
        name: @escaping (_ row: Int, _ declared: Int, _ element: Int?) -> String,
        warn: @escaping @Sendable (String) -> Void
    ) {
        self.strategy = strategy
        self.graph = graph
        self.deadline = deadline > 0 ? Double(deadline) / 1e9 : nil
        ranks = EstimateRanks(graph)
        nameOf = name
        narrator = StrategyNarrator(run: run, graph: graph, nameOf: name)
        self.warn = warn
        desk = StrategyDesk(graph: graph, ranks: ranks, nameOf: name)
        desk.views.setRun(run, seed: Int64(bitPattern: seed))
    }

    /// The strategy is to be told what happens.
    package var wantsEvents: Bool { strategy.facts.hasEvents }

    /// Tells what happened and answers what is open, scores or a round, before it returns.
    package func serve(
        _ core: inout SchedulerCore, now: UInt64, into placements: inout [Placement], output: inout SchedulerOutput
    ) {
        var goesOn = true
        while goesOn, begin(&core, now: now, reports: []) {
            // What it is told may be why it is asked.
            if case .events = job { goesOn = true } else { goesOn = false }
            withUnsafeMutablePointer(to: &core) { ask(CoreAtHand($0)) }
            end(&core, now: now, into: &placements, output: &output)
        }
    }

    private final class CoreAtHand: CoreReader {
        private let core: UnsafeMutablePointer<SchedulerCore>
        init(_ core: UnsafeMutablePointer<SchedulerCore>) { self.core = core }
        func read(_ body: (UnsafeMutablePointer<SchedulerCore>) -> Void) -> Bool {
            body(core)
            return true
        }
    }

    // MARK: - Strategist

    /// Two seconds, and ten times what its budget stands for.
    package var patience: UInt64 {
        let (tenfold, isTooLong) = strategy.facts.budget.multipliedReportingOverflow(by: 10)
        return isTooLong ? UInt64.max / 2 : 2_000_000_000 + min(tenfold, UInt64.max / 2)
    }

    package func begin(_ core: inout SchedulerCore, now: UInt64, reports: [FailureReport]) -> Bool {
        guard isOn else { return false }
        withUnsafeMutablePointer(to: &core) { core in
            desk.now = now
            desk.refreshWorkers(core)
            desk.views.setContext(now: Double(now) / 1e9, deadline: deadline, spent: spent)
            if wantsEvents && core.pointee.hasHeard {
                narrator.describe(reports)
                job = .events(core.pointee.takeHeard())
            } else if core.pointee.hasQuestions {
                desk.refreshClasses(core, always: false)
                job = .scores(core.pointee.takeQuestions().map { desk.asked($0, core) })
            } else if core.pointee.wantsRound(now: now) {
                core.pointee.beginRound()
                desk.beginRound(core)
                job = .round
            } else {
                job = .nothing
            }
        }
        if case .nothing = job { return false }
        return true
    }

    package func ask(_ reader: any CoreReader) {
        desk.reader = reader
        answer = Answer()
        switch job {
        case .nothing: break
        case .events(let events): tell(events, reader)
        case .scores(let asked): score(asked)
        case .round: allocate()
        }
        job = .nothing
        desk.reader = nil
    }

    package func end(
        _ core: inout SchedulerCore, now: UInt64, into placements: inout [Placement], output: inout SchedulerOutput
    ) {
        if answer.forgetsScores { core.forgetScores() }
        for (question, scores) in answer.scores { core.answer(question, scores) }
        if !isOn { core.turnStrategyOff() } else if answer.isWrong { core.decideOneRound() }
        if let round = answer.round {
            let hour: UInt64 = 3_600_000_000_000
            core.place(
                chosen: round.chosen, waitUntil: round.wait > 0 ? now + min(round.wait, hour) : 0, now: now,
                into: &placements, output: &output)
        }
        answer = Answer()
    }

    package func interrupt() { strategy.interrupt() }

    package func hangs() {
        strategy.interrupt()
        warn(
            (strategy.facts.name.map { "strategy '\($0)'" } ?? "the strategy")
                + ": it hangs in a library function, which cannot be stopped (load-balanced decides for the rest of the run)"
        )
    }

    // MARK: - Calls

    /// Tells what happened since the last call, an event a call. One that goes wrong costs the round like any other call; the
    /// third in a row the strategy.
    private func tell(_ events: [HeardEvent], _ reader: any CoreReader) {
        for heard in events where isOn {
            var event: EncodedValue?
            guard reader.read({ event = narrator.event(heard, $0) }) else { return }
            guard let event else { continue }
            do throws(StrategyProblem) {
                if try strategy.tell(event) { answer.forgetsScores = true }
                failedEventsInARow = 0
            } catch {
                failedEventsInARow += error.kind == .cancelled ? 0 : 1
                failed(error, inARow: failedEventsInARow)
            }
        }
        narrator.forgetReports()
    }

    private func score(_ asked: [StrategyDesk.Asked]) {
        for asked in asked {
            var scores = [Double?](repeating: nil, count: asked.question.workers.count)
            do throws(StrategyProblem) {
                if let task = asked.task {
                    try desk.score(asked, task, by: strategy) { place, worker, choice in
                        scores[place] = choice.filtered != 0 ? nil : choice.score
                        keep(choice, asked, worker)
                    }
                }
                failuresInARow = 0
                record?.strategyAnswered()
            } catch {
                return answerFailed(error)
            }
            answer.scores.append((asked.question, scores))
        }
    }

    private func allocate() {
        do throws(StrategyProblem) {
            let (placements, wait) = try strategy.allocate(desk.views.view())
            failuresInARow = 0
            record?.strategyAnswered()
            let chosen = placements.map { placement in
                (
                    row: Int(placement.task), worker: Int(placement.worker),
                    variant: placement.variant == HANDOUT_NONE ? nil : Int(placement.variant)
                )
            }
            answer.round = (chosen, wait)
        } catch {
            answerFailed(error)
            answer.round = ([], 0)
        }
    }

    private func answerFailed(_ problem: StrategyProblem) {
        failuresInARow += problem.kind == .cancelled ? 0 : 1
        failed(problem, inARow: failuresInARow)
    }

    private func failed(_ problem: StrategyProblem, inARow: Int) {
        answer.isWrong = true
        guard problem.kind != .cancelled else {
            // The run is over or ends: the strategy may be told of that.
            strategy.interrupt(false)
            return
        }
        record?.strategyFailed(problem.text)
        isOn = inARow < 3
        warn(
            problem.text
                + (isOn
                    ? " (this round is decided by load-balanced)"
                    : " (the third in a row: load-balanced decides for the rest of the run)"))
    }

    // MARK: - What a filter refuses

    /// Keeps or tells the answer, where somebody asks.
    private func keep(_ choice: handout_choice, _ asked: StrategyDesk.Asked, _ worker: Int) {
        guard record != nil || refused != nil else { return }
        let question = asked.question
        let isRefused = choice.filtered != 0
        let reason = isRefused ? StrategyDriver.text(choice.reason) : nil
        record?.answered(question, worker: worker, score: isRefused ? nil : choice.score, reason: reason)
        guard let refused else { return }
        let key = ScoreQuestion(requestClass: question.requestClass, row: question.row, workers: [worker])
        guard isRefused else {
            refusals.removeValue(forKey: key)
            return
        }
        guard refusals[key] != reason ?? "", refusals.count < StrategyDriver.mostRefusals, let row = asked.row else {
            return
        }
        refusals[key] = reason ?? ""
        refused(row, desk.workerNames[worker], reason)
    }

    private static let mostRefusals = 100_000

    private static func text(_ text: handout_text) -> String? {
        text.bytes.map { bytes in
            bytes.withMemoryRebound(to: UInt8.self, capacity: text.length) {
                String(decoding: UnsafeBufferPointer(start: $0, count: text.length), as: UTF8.self)
            }
        }
    }
}
