import CLuaShim
import HandoutCore
import HandoutExecutor
import HandoutScheduler
import HandoutStrategy

/// What lies before a strategy while it is asked: workers and classes as they were when the inquiry began, and what else it
/// looks up, task by task, in the scheduler as that is then.
final class StrategyDesk: StrategyQueue {
    /// A question, and the task that it is about.
    struct Asked {
        var question: ScoreQuestion
        var row: Int?
        /// Nil: none is ready any more.
        var task: TaskFacts?
    }

    private let graph: GraphColumns
    private let ranks: EstimateRanks
    private let nameOf: (_ row: Int, _ declared: Int, _ element: Int?) -> String
    private(set) lazy var views = StrategyViews(queue: self)
    /// The scheduler, during a call.
    var reader: (any CoreReader)?
    /// Nanoseconds of the run's clock at which the inquiry began.
    var now: UInt64 = 0
    private(set) var workerNames: [String] = []
    private var cursor = (epoch: -1, place: 0)
    private var classNumbers: [Int] = []
    private var resources: [String] = []
    private var workerOffset = 0
    private var choices: UnsafeMutableBufferPointer<handout_choice> = .allocate(capacity: 0)
    /// Of a round: ready tasks by class, in one order, and those that were looked up by id.
    private var ofClass: [Int: ReadyWindow] = [:]
    private var all = ReadyWindow()
    private var named: [String: (row: Int, classIndex: Int)] = [:]
    private var areAllNamed = false

    typealias Core = UnsafeMutablePointer<SchedulerCore>

    init(
        graph: GraphColumns, ranks: EstimateRanks,
        nameOf: @escaping (_ row: Int, _ declared: Int, _ element: Int?) -> String
    ) {
        self.graph = graph
        self.ranks = ranks
        self.nameOf = nameOf
    }

    deinit { choices.deallocate() }

    // MARK: - Taken down when an inquiry begins

    func asked(_ question: ScoreQuestion, _ core: Core) -> Asked {
        guard let index = classNumbers.firstIndex(of: question.requestClass),
            let row = question.row.map(Int.init)
                ?? core.pointee.readyTasks(inClass: question.requestClass, atMost: 1).first
        else { return Asked(question: question) }
        return Asked(question: question, row: row, task: facts(row, classIndex: index, core))
    }

    func beginRound(_ core: Core) {
        refreshClasses(core, always: true)
        ofClass.removeAll()
        all = ReadyWindow()
        named.removeAll()
        areAllNamed = false
    }

    func refreshWorkers(_ core: Core) {
        let names = core.pointee.resourceNames
        if names.count != resources.count {
            resources = names
            views.setResources(names)
            cursor.epoch = -1
        }
        let count = core.pointee.workerCount
        let changed = count == workerNames.count ? core.pointee.changedWorkers(since: &cursor) : nil
        guard let changed else {
            _ = core.pointee.changedWorkers(since: &cursor)
            choices.deallocate()
            choices = .allocate(capacity: count)
            choices.initialize(repeating: handout_choice())
            let workers = (0..<count).compactMap { facts(ofWorker: $0, core) }
            workerNames = workers.map(\.id)
            views.setWorkers(workers)
            return
        }
        for worker in changed {
            guard let standing = core.pointee.workerFacts(worker) else { continue }
            views.updateWorker(
                worker, free: amounts(worker, core, free: true, isUp: standing.isUp), running: UInt32(standing.running),
                idle: standing.idleSince.map { Double(now - min(now, $0)) / 1e9 } ?? 0)
        }
    }

    private func amounts(_ worker: Int, _ core: Core, free: Bool, isUp: Bool) -> [UInt64] {
        resources.indices.map { resource in
            guard isUp else { return 0 }
            let amount = free ? core.pointee.free(worker, resource) : core.pointee.total(worker, resource)
            return amount == UInt64.max ? 1 << 62 : amount
        }
    }

    private func facts(ofWorker worker: Int, _ core: Core) -> WorkerFacts? {
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
    func refreshClasses(_ core: Core, always: Bool) {
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

    private func request(_ row: Int, _ request: TaskRequest, _ core: Core) -> RequestFacts {
        let facts = core.pointee.rowFacts(row)
        var result = RequestFacts(name: graph.name(TaskID(facts.declared)))
        result.priority = Int32(clamping: facts.priority)
        result.consumers = UInt32(clamping: facts.consumers)
        result.retriesLeft = UInt32(clamping: facts.retriesLeft)
        result.estimate = request.variants[0].estimate > 0 ? Double(request.variants[0].estimate) / 1e9 : nil
        result.rank = ranks[facts.declared]
        return result
    }

    private func facts(_ row: Int, classIndex: Int, _ core: Core) -> TaskFacts {
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

    // MARK: - Scores

    /// Asks about the task and each worker of the question; `body` is given the worker's place in the question, its number and
    /// what was said.
    func score(
        _ asked: Asked, _ task: TaskFacts, by strategy: LuaStrategy,
        _ body: (_ place: Int, _ worker: Int, handout_choice) -> Void
    ) throws(StrategyProblem) {
        let view = views.view()
        let task = views.task(task)
        let workers = asked.question.workers
        if workers.count == workerNames.count && workers.first == 0 {
            try strategy.score(task, view, into: choices)
            for place in workers.indices { body(place, place, choices[place]) }
            return
        }
        // A view of the one worker that has changed: its number in callbacks is put right again.
        var part = view.pointee
        part.worker_count = 1
        defer { workerOffset = 0 }
        for (place, worker) in workers.enumerated() {
            part.workers = view.pointee.workers + worker
            workerOffset = worker
            try strategy.score(task, &part, into: choices)
            body(place, worker, choices[0])
        }
    }

    // MARK: - What is looked up while a call goes on

    private func read<Found>(_ otherwise: Found, _ body: (Core) -> Found) -> Found {
        var found = otherwise
        _ = reader?.read { found = body($0) }
        return found
    }

    func fits(class index: Int, on worker: Int) -> UInt64 {
        guard index < classNumbers.count else { return 0 }
        return read(0) { UInt64($0.pointee.fits(classNumbers[index], on: worker + workerOffset)?.count ?? 0) }
    }

    func bytes(of task: UInt32, on worker: Int) -> UInt64 {
        read(0) { $0.pointee.inputBytes(Int(task), on: worker + workerOffset) }
    }

    func task(at place: Int) -> TaskFacts? {
        all.extend(to: place + 1) { most in
            let places = Dictionary(uniqueKeysWithValues: zip(classNumbers, classNumbers.indices))
            return read([]) { core in
                core.pointee.readyTasks(atMost: most).map { ($0.row, places[$0.requestClass] ?? -1) }
            }
        }
        guard place < all.rows.count else { return nil }
        let (row, index) = all.rows[place]
        return read(nil) { facts(row, classIndex: index, $0) }
    }

    func task(ofClass index: Int, at place: Int) -> TaskFacts? {
        guard index < classNumbers.count else { return nil }
        extend(class: index, to: place + 1)
        guard let rows = ofClass[index]?.rows, place < rows.count else { return nil }
        return read(nil) { facts(rows[place].row, classIndex: index, $0) }
    }

    private func extend(class index: Int, to count: Int) {
        ofClass[index, default: ReadyWindow()].extend(to: count) { most in
            read([]) { core in
                core.pointee.readyTasks(inClass: classNumbers[index], atMost: most).map { ($0, index) }
            }
        }
    }

    func task(id: [UInt8]) -> TaskFacts? {
        let id = String(decoding: id, as: UTF8.self)
        if named.isEmpty { name(all.rows + ofClass.sorted { $0.key < $1.key }.flatMap(\.value.rows)) }
        if named[id] == nil && !areAllNamed {
            // It is none that the strategy was shown.
            areAllNamed = true
            for index in classNumbers.indices {
                extend(class: index, to: Int.max / 8)
                name(ofClass[index]?.rows ?? [])
            }
        }
        return named[id].flatMap { found in read(nil) { facts(found.row, classIndex: found.classIndex, $0) } }
    }

    /// Some at a time: the scheduler waits meanwhile.
    private func name(_ rows: [(row: Int, classIndex: Int)]) {
        for start in stride(from: 0, to: rows.count, by: 256) {
            let part = rows[start..<min(start + 256, rows.count)]
            let names: [String] = read([]) { core in
                part.map { entry in
                    let place = core.pointee.planPlace(of: entry.row)
                    return nameOf(entry.row, place.declared, place.element)
                }
            }
            for (name, entry) in zip(names, part) { named[name] = entry }
        }
    }
}

/// The first ready tasks of a round, as many as were asked for: a large queue is never copied because one task of it is.
struct ReadyWindow {
    private(set) var rows: [(row: Int, classIndex: Int)] = []
    private var isWhole = false

    /// - Parameter fetch: gives the first so many that are ready; those of no class that was there are numbered -1.
    mutating func extend(to count: Int, fetch: (_ most: Int) -> [(row: Int, classIndex: Int)]) {
        guard rows.count < count, !isWhole else { return }
        let most = max(64, count * 4)
        let fetched = fetch(most)
        isWhole = fetched.count < most
        // Others may have become ready since, or have been taken; what was shown once keeps its place.
        let known = Set(rows.map(\.row))
        for entry in fetched where entry.classIndex >= 0 && !known.contains(entry.row) { rows.append(entry) }
    }
}
