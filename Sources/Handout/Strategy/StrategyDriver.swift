import CLuaShim
package import HandoutCore
package import HandoutScheduler
package import HandoutStrategy
import LuaRuntime

/// Lets a strategy in Lua answer what the scheduler asks.
///
/// It can choose and never overcommit: the scheduler looks again. A call that goes wrong leaves that round to the built-in
/// allocator, with one warning; after three in a row the strategy is off for the run.
package final class StrategyDriver: StrategyQueue {
    private let strategy: LuaStrategy
    private let graph: GraphColumns
    private let ranks: EstimateRanks
    private let deadline: Double?
    private let nameOf: (_ row: Int, _ declared: Int, _ element: Int?) -> String
    private let warn: (String) -> Void
    private lazy var views = StrategyViews(queue: self)
    /// Valid during a call.
    private var core: UnsafeMutablePointer<SchedulerCore>?
    private var now: UInt64 = 0
    private var cursor = (epoch: -1, place: 0)
    private var classNumbers: [Int] = []
    private var workerCount = 0
    private var resources: [String] = []
    private var workerOffset = 0
    private var choices: UnsafeMutableBufferPointer<handout_choice>
    private var failuresInARow = 0
    private var failedEventsInARow = 0
    private var narrator: StrategyNarrator
    private var taken: [Int: [Int]] = [:]
    private var all: [(row: Int, index: Int)]?
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
    ///   - warn: receives a warning, with its place.
    package init(
        _ strategy: LuaStrategy, graph: GraphColumns, run: String, seed: UInt64, deadline: UInt64,
        name: @escaping (_ row: Int, _ declared: Int, _ element: Int?) -> String, warn: @escaping (String) -> Void
    ) {
        self.strategy = strategy
        self.graph = graph
        self.deadline = deadline > 0 ? Double(deadline) / 1e9 : nil
        ranks = EstimateRanks(graph)
        nameOf = name
        narrator = StrategyNarrator(run: run, graph: graph, nameOf: name)
        self.warn = warn
        choices = .allocate(capacity: 0)
        views.setRun(run, seed: Int64(bitPattern: seed))
    }

    deinit { choices.deallocate() }

    /// The strategy is to be told what happens.
    package var wantsEvents: Bool { strategy.facts.hasEvents }

    /// Tells what happened and answers what is open: scores, or a round.
    ///
    /// - Parameter reports: describe the attempts that failed since the last call.
    package func serve(
        _ core: inout SchedulerCore, now: UInt64, reports: [FailureReport] = [], into placements: inout [Placement],
        output: inout SchedulerOutput
    ) {
        self.now = now
        withUnsafeMutablePointer(to: &core) { pointer in
            self.core = pointer
            refreshWorkers(pointer)
            if wantsEvents { tell(pointer, reports) }
            views.setContext(now: Double(now) / 1e9, deadline: deadline, spent: spent)
            if pointer.pointee.hasQuestions {
                answer(pointer)
            } else if pointer.pointee.wantsRound(now: now) {
                round(pointer, into: &placements, output: &output)
            }
            self.core = nil
        }
    }

    // MARK: - Events

    /// Tells what happened since the last call, an event a call. One that goes wrong costs the round like any other call; the
    /// third in a row the strategy.
    private func tell(_ core: UnsafeMutablePointer<SchedulerCore>, _ reports: [FailureReport]) {
        narrator.describe(reports)
        for heard in core.pointee.takeHeard() {
            guard isOn, let event = narrator.event(heard, core) else { continue }
            do throws(StrategyProblem) {
                if try strategy.tell(event) { core.pointee.forgetScores() }
                failedEventsInARow = 0
            } catch {
                failedEventsInARow += 1
                failed(error, core, inARow: failedEventsInARow)
            }
        }
        narrator.forgetReports()
    }

    // MARK: - Scores

    private func answer(_ core: UnsafeMutablePointer<SchedulerCore>) {
        let questions = core.pointee.takeQuestions()
        refreshClasses(core, always: false)
        for question in questions {
            var scores = [Double?](repeating: nil, count: question.workers.count)
            do throws(StrategyProblem) {
                try score(question, core, into: &scores)
                failuresInARow = 0
                record?.strategyAnswered()
            } catch {
                return answerFailed(error, core)
            }
            core.pointee.answer(question, scores)
        }
    }

    private func score(
        _ question: ScoreQuestion, _ core: UnsafeMutablePointer<SchedulerCore>, into scores: inout [Double?]
    ) throws(StrategyProblem) {
        guard let index = classNumbers.firstIndex(of: question.requestClass),
            let row = question.row.map(Int.init)
                ?? core.pointee.readyTasks(inClass: question.requestClass, atMost: 1).first
        else { return }
        let view = views.view()
        let task = views.task(facts(row, classIndex: index, core))
        if question.workers.count == workerCount && question.workers.first == 0 {
            try strategy.score(task, view, into: choices)
            for place in scores.indices {
                scores[place] = choices[place].filtered != 0 ? nil : choices[place].score
                keep(choices[place], question, row, place, core)
            }
            return
        }
        // A view of the one worker that has changed: its number in callbacks is put right again.
        var part = view.pointee
        part.worker_count = 1
        defer { workerOffset = 0 }
        for (place, worker) in question.workers.enumerated() {
            part.workers = view.pointee.workers + worker
            workerOffset = worker
            try strategy.score(task, &part, into: choices)
            scores[place] = choices[0].filtered != 0 ? nil : choices[0].score
            keep(choices[0], question, row, worker, core)
        }
    }

    /// Keeps or tells the answer, where somebody asks.
    private func keep(
        _ choice: handout_choice, _ question: ScoreQuestion, _ row: Int, _ worker: Int,
        _ core: UnsafeMutablePointer<SchedulerCore>
    ) {
        guard record != nil || refused != nil else { return }
        let isRefused = choice.filtered != 0
        let reason = isRefused ? StrategyDriver.text(choice.reason) : nil
        record?.answered(question, worker: worker, score: isRefused ? nil : choice.score, reason: reason)
        guard let refused else { return }
        let key = ScoreQuestion(requestClass: question.requestClass, row: question.row, workers: [worker])
        guard isRefused else {
            refusals.removeValue(forKey: key)
            return
        }
        guard refusals[key] != reason ?? "", refusals.count < StrategyDriver.mostRefusals,
            let name = core.pointee.workerFacts(worker)?.offer.capacity.name
        else { return }
        refusals[key] = reason ?? ""
        refused(row, name, reason)
    }

    private static let mostRefusals = 100_000

    private static func text(_ text: handout_text) -> String? {
        text.bytes.map { bytes in
            bytes.withMemoryRebound(to: UInt8.self, capacity: text.length) {
                String(decoding: UnsafeBufferPointer(start: $0, count: text.length), as: UTF8.self)
            }
        }
    }

    // MARK: - Rounds

    private func round(
        _ core: UnsafeMutablePointer<SchedulerCore>, into placements: inout [Placement], output: inout SchedulerOutput
    ) {
        refreshClasses(core, always: true)
        taken.removeAll()
        all = nil
        do throws(StrategyProblem) {
            let answer = try strategy.allocate(views.view())
            failuresInARow = 0
            record?.strategyAnswered()
            let chosen = answer.placements.map { placement in
                (
                    row: Int(placement.task), worker: Int(placement.worker),
                    variant: placement.variant == HANDOUT_NONE ? nil : Int(placement.variant)
                )
            }
            let hour: UInt64 = 3_600_000_000_000
            core.pointee.place(
                chosen: chosen, waitUntil: answer.wait > 0 ? now + min(answer.wait, hour) : 0, now: now,
                into: &placements, output: &output)
        } catch {
            answerFailed(error, core)
            core.pointee.place(chosen: [], waitUntil: 0, now: now, into: &placements, output: &output)
        }
    }

    private func answerFailed(_ problem: StrategyProblem, _ core: UnsafeMutablePointer<SchedulerCore>) {
        failuresInARow += 1
        failed(problem, core, inARow: failuresInARow)
    }

    private func failed(_ problem: StrategyProblem, _ core: UnsafeMutablePointer<SchedulerCore>, inARow: Int) {
        record?.strategyFailed(problem.text)
        if inARow < 3 {
            warn(problem.text + " (this round is decided by load-balanced)")
            core.pointee.decideOneRound()
        } else {
            warn(problem.text + " (the third in a row: load-balanced decides for the rest of the run)")
            core.pointee.turnStrategyOff()
            isOn = false
        }
    }

    // MARK: - Views

    private func refreshWorkers(_ core: UnsafeMutablePointer<SchedulerCore>) {
        let names = core.pointee.resourceNames
        if names.count != resources.count {
            resources = names
            views.setResources(names)
            cursor.epoch = -1
        }
        let count = core.pointee.workerCount
        let changed = count == workerCount ? core.pointee.changedWorkers(since: &cursor) : nil
        guard let changed else {
            _ = core.pointee.changedWorkers(since: &cursor)
            workerCount = count
            choices.deallocate()
            choices = .allocate(capacity: count)
            choices.initialize(repeating: handout_choice())
            views.setWorkers((0..<count).compactMap { facts(ofWorker: $0, core) })
            return
        }
        for worker in changed {
            guard let standing = core.pointee.workerFacts(worker) else { continue }
            views.updateWorker(
                worker, free: amounts(worker, core, free: true, isUp: standing.isUp), running: UInt32(standing.running),
                idle: standing.idleSince.map { Double(now - min(now, $0)) / 1e9 } ?? 0)
        }
    }

    private func amounts(
        _ worker: Int, _ core: UnsafeMutablePointer<SchedulerCore>, free: Bool, isUp: Bool
    ) -> [UInt64] {
        resources.indices.map { resource in
            guard isUp else { return 0 }
            let amount = free ? core.pointee.free(worker, resource) : core.pointee.total(worker, resource)
            return amount == UInt64.max ? 1 << 62 : amount
        }
    }

    private func facts(ofWorker worker: Int, _ core: UnsafeMutablePointer<SchedulerCore>) -> WorkerFacts? {
        guard let standing = core.pointee.workerFacts(worker) else { return nil }
        var facts = WorkerFacts(
            number: UInt32(worker), id: standing.offer.capacity.name,
            total: amounts(worker, core, free: false, isUp: standing.isUp),
            free: amounts(worker, core, free: true, isUp: standing.isUp))
        facts.labels = standing.offer.capacity.labels
        facts.running = UInt32(standing.running)
        facts.price = standing.offer.price
        facts.speed = standing.offer.speed
        facts.remaining = standing.offer.leavesAt.map { Double($0 - min($0, now)) / 1e9 }
        facts.idle = standing.idleSince.map { Double(now - min(now, $0)) / 1e9 } ?? 0
        facts.lost = UInt32(standing.lost)
        return facts
    }

    /// Classes are told anew when there are others; before a round always, for their counts.
    private func refreshClasses(_ core: UnsafeMutablePointer<SchedulerCore>, always: Bool) {
        let classes = core.pointee.readyClasses()
        let numbers = classes.map(\.number)
        guard always || numbers != classNumbers else { return }
        classNumbers = numbers
        views.setClasses(
            classes.map { entry in
                var facts = ClassFacts(
                    next: request(entry.row, entry.request, core),
                    variants: entry.request.variants.map { variant in
                        var amounts = [UInt64](repeating: 0, count: resources.count)
                        for amount in variant.amounts { amounts[Int(amount.resource)] = amount.amount }
                        return amounts
                    }, count: UInt64(entry.count))
                facts.where = entry.request.labels.map { ($0.name, $0.values) }
                return facts
            })
    }

    private func request(
        _ row: Int, _ request: TaskRequest, _ core: UnsafeMutablePointer<SchedulerCore>
    ) -> RequestFacts {
        let facts = core.pointee.rowFacts(row)
        var result = RequestFacts(name: graph.name(TaskID(facts.declared)))
        result.priority = Int32(clamping: facts.priority)
        result.consumers = UInt32(clamping: facts.consumers)
        result.retriesLeft = UInt32(clamping: facts.retriesLeft)
        result.estimate = request.variants[0].estimate > 0 ? Double(request.variants[0].estimate) / 1e9 : nil
        result.rank = ranks[facts.declared]
        return result
    }

    private func facts(
        _ row: Int, classIndex: Int, _ core: UnsafeMutablePointer<SchedulerCore>
    ) -> TaskFacts {
        let facts = core.pointee.rowFacts(row)
        let asked = core.pointee.classRequest(classNumbers[classIndex]) ?? TaskRequest(variants: [])
        var task = TaskFacts(
            number: UInt32(row), classIndex: UInt32(classIndex), own: request(row, asked, core),
            id: nameOf(row, facts.declared, facts.element))
        if let element = facts.element { task.key = .index(Int64(element) + 1) }
        task.attempt = UInt32(facts.attempt)
        task.waited = facts.readySince.map { Double(now - min(now, $0)) / 1e9 } ?? 0
        task.inputBytes = Int64(clamping: core.pointee.inputBytes(row, on: nil))
        return task
    }

    // MARK: - What is asked for while a call goes on

    package func fits(class index: Int, on worker: Int) -> UInt64 {
        guard let core, index < classNumbers.count else { return 0 }
        return UInt64(core.pointee.fits(classNumbers[index], on: worker + workerOffset)?.count ?? 0)
    }

    package func bytes(of task: UInt32, on worker: Int) -> UInt64 {
        core?.pointee.inputBytes(Int(task), on: worker + workerOffset) ?? 0
    }

    package func task(at place: Int) -> TaskFacts? {
        guard let core else { return nil }
        if all == nil {
            all = classNumbers.indices.flatMap { index in rows(ofClass: index, core).map { ($0, index) } }
        }
        guard let all, place < all.count else { return nil }
        return facts(all[place].row, classIndex: all[place].index, core)
    }

    package func task(ofClass index: Int, at place: Int) -> TaskFacts? {
        guard let core, index < classNumbers.count else { return nil }
        let rows = rows(ofClass: index, core)
        return place < rows.count ? facts(rows[place], classIndex: index, core) : nil
    }

    package func task(id: [UInt8]) -> TaskFacts? {
        guard let core else { return nil }
        for index in classNumbers.indices {
            for row in rows(ofClass: index, core) {
                let place = core.pointee.planPlace(of: row)
                if Array(nameOf(row, place.declared, place.element).utf8) == id {
                    return facts(row, classIndex: index, core)
                }
            }
        }
        return nil
    }

    private func rows(ofClass index: Int, _ core: UnsafeMutablePointer<SchedulerCore>) -> [Int] {
        if let known = taken[index] { return known }
        let rows = core.pointee.readyTasks(inClass: classNumbers[index], atMost: 100_000)
        taken[index] = rows
        return rows
    }
}
