package import HandoutCore

/// One attempt that was given to a worker.
package struct Placement: Sendable, Equatable {
    package var entry: LeaseEntry
    package var worker: Int
    package var variant: Int
}

/// What a strategy is asked: one class, or with `row` one task, and workers on which it fits.
package struct ScoreQuestion: Sendable, Hashable {
    package var requestClass: Int
    package var row: UInt32?
    package var workers: [Int]
    /// By worker asked about: counts its changes until it was. An answer about one that has changed since is none.
    var versions: [UInt32] = []

    package init(requestClass: Int, row: UInt32?, workers: [Int]) {
        self.requestClass = requestClass
        self.row = row
        self.workers = workers
    }
}

/// What happened to a worker.
package enum WorkerNotice: String, Sendable {
    case joined = "worker_joined"
    case changed = "worker_changed"
    case lost = "worker_lost"
    case left = "worker_left"
}

/// Requests, workers and claims of a run in which they matter.
///
/// Its parts, and those of `WorkerTable` and `ClassQueue`, are reached through the core only, which one caller at a time
/// enters: access to them is not checked again (a tenth of the time that a placement takes).
final class Placer {
    /// What runs, by row.
    struct Claim {
        var requestClass: Int32
        var worker: Int32
        var variant: UInt8
        /// Run time times share that the worker was thought to be given.
        var assumed: Double
        /// The row, or the first of a slot's lease; how many there are, and when it was given.
        var row: UInt32
        var count: UInt32 = 1
        var begun: UInt64
        var indices: [ClaimedIndices] = []
    }

    let requests: RequestTable
    let workers: WorkerTable
    @exclusivity(unchecked) private(set) var classes: [ClassQueue] = []
    @exclusivity(unchecked) private var classOfRequest: [UInt32: Int] = [:]
    /// Rows with amounts of their own.
    @exclusivity(unchecked) private var own = OwnClasses()
    /// What functions said of the next or running attempt of a row.
    struct Measured {
        var attempt: UInt16
        /// Nil: that of the options.
        var priority: Int32?
    }
    @exclusivity(unchecked) var measurements: [UInt32: Measured] = [:]
    /// Some options are functions, which are asked before each attempt.
    @exclusivity(unchecked) var hasMeasured = false
    /// Classes that have ready rows, or had.
    @exclusivity(unchecked) private(set) var active: [Int] = []
    @exclusivity(unchecked) var allocator: Allocator
    @exclusivity(unchecked) var claims: [UInt32: Claim] = [:]
    @exclusivity(unchecked) var reservation: Reservation?
    @exclusivity(unchecked) var nameTimes = NameTimes()
    @exclusivity(unchecked) var random: SplitMix64
    @exclusivity(unchecked) var plan: PlacementPlan?
    /// What has happened, for whoever plans again; nil: nobody does.
    @exclusivity(unchecked) var progress: RunProgress?
    /// Ready rows that a plan puts off.
    @exclusivity(unchecked) var held = HeldRows()
    /// Answers that a strategy has yet to give.
    @exclusivity(unchecked) private(set) var questions: [ScoreQuestion] = []
    /// By class: workers that are asked about.
    @exclusivity(unchecked) private var asked: [Int: Set<Int>] = [:]
    /// The strategy is off, or this round: the built-in one decides.
    @exclusivity(unchecked) var fallsBack = false
    /// Tasks are placed one by one, on workers that joined.
    @exclusivity(unchecked) var hasWorkers = false
    /// Some row is to run near a result.
    @exclusivity(unchecked) var hasNear = false
    /// Where results are, and how large; kept only where placement asks for it.
    struct Home {
        var worker: Int32
        var bytes: UInt64
    }
    @exclusivity(unchecked) var homes: [UInt32: Home] = [:]
    /// The moment of the event that is being handled.
    @exclusivity(unchecked) var now: UInt64 = 0
    /// Counts what became ready.
    private var pushes: UInt64 = 0
    /// The next round is decided by the built-in allocator.
    @exclusivity(unchecked) var decidesOneRound = false
    /// What a strategy chose, for slots to take: in its order, the first one last. Without a variant: the first that fits.
    @exclusivity(unchecked) var approved: [(row: UInt32, variant: Int?)] = []
    /// A strategy is being asked: what it does not know of yet is not decided without it.
    @exclusivity(unchecked) var isAsked = false
    /// A strategy wants to be told what happens.
    @exclusivity(unchecked) var hears = false
    /// What it was not told yet, in order.
    @exclusivity(unchecked) var heard: [HeardEvent] = []
    /// Resources, by index, that a tracker is asked for.
    @exclusivity(unchecked) var guarded: Set<Int> = []
    /// What there was when the strategy was last asked for a round; nil: it is to be asked whatever there is.
    @exclusivity(unchecked) var roundStamp: UInt64?
    /// When ready rows became so; kept for strategies only.
    @exclusivity(unchecked) var readySince: [UInt32: UInt64] = [:]
    /// Nothing is asked of the strategy before this moment.
    @exclusivity(unchecked) var waitsUntil: UInt64 = 0
    /// Since when it has placed nothing and asked to wait.
    @exclusivity(unchecked) var waitsSince: UInt64?
    @exclusivity(unchecked) private var pinnedClasses: [UInt64: Int] = [:]
    @exclusivity(unchecked) var dataWaits = DataWaits()
    /// Nanoseconds until the value of a row is with another row; nil: not known.
    @exclusivity(unchecked) var transfer: ((_ input: Int, _ row: Int, _ from: Int, _ to: Int) -> UInt64)?
    /// Keeps why some rows are placed as they are; nil: nobody asks.
    @exclusivity(unchecked) var record: DecisionRecord?

    /// What the only worker has, when there will be no other. A request above that runs alone: the plan refuses it, and a
    /// run must end all the same.
    private let onlyWorker: WorkerOffer?
    /// It may have more, less and other labels later: requests are as they are.
    private let isTracked: Bool

    init(
        requests: RequestTable, pools: [String: UInt64], allocator: Allocator, seed: UInt64, onlyWorker: WorkerOffer?,
        isTracked: Bool = false
    ) {
        self.isTracked = isTracked
        self.requests = requests
        self.allocator = allocator
        self.onlyWorker = onlyWorker
        workers = WorkerTable(names: requests.names, pools: pools)
        random = SplitMix64(seed: seed)
        for index in requests.requests.indices { _ = classNumber(ofRequest: UInt32(index)) }
        if let onlyWorker { _ = workers.join(onlyWorker, now: 0) }
    }

    private func classNumber(ofRequest index: UInt32) -> Int {
        if let number = classOfRequest[index] { return number }
        let number = add(requests.requests[Int(index)])
        classOfRequest[index] = number
        return number
    }

    private func add(_ request: TaskRequest) -> Int {
        let queue = ClassQueue(number: classes.count, request: bounded(request))
        classes.append(queue)
        return queue.number
    }

    private func bounded(_ request: TaskRequest) -> TaskRequest {
        guard let onlyWorker, !isTracked else { return request }
        var bounded = request
        bounded.worker = nil
        bounded.labels = []
        guard !request.variants.contains(where: fitsAlone) else { return bounded }
        for variant in bounded.variants.indices {
            for place in bounded.variants[variant].amounts.indices {
                let amount = bounded.variants[variant].amounts[place]
                let name = requests.names[Int(amount.resource)]
                if workers.isPool[Int(amount.resource)] || onlyWorker.indices[name] != nil { continue }
                let total = onlyWorker.capacity.total(name)
                bounded.variants[variant].amounts[place].amount = min(amount.amount, total)
            }
        }
        return bounded
    }

    private func fitsAlone(_ variant: TaskRequest.Variant) -> Bool {
        variant.amounts.allSatisfy { amount in
            let name = requests.names[Int(amount.resource)]
            let total = onlyWorker?.indices[name].map { UInt64($0.count) * WorkerTable.one }
            return workers.isPool[Int(amount.resource)]
                || amount.amount <= total ?? onlyWorker?.capacity.total(name) ?? 0
        }
    }

    func classNumber(row: Int, options: Int) -> Int {
        if !own.isEmpty, let number = own[UInt32(row)] { return number }
        return classNumber(ofRequest: requests.ofOptions[options])
    }

    /// Changes whenever something becomes ready, or a worker or pool changes.
    func stamp(ready: Int) -> UInt64 {
        UInt64(workers.changeCount &* 31 &+ workers.poolVersion) << 32 ^ UInt64(ready) &* 0x9E37 ^ pushes
    }

    var hasOwnRequests: Bool { !own.isEmpty }

    var followsData: Bool {
        if case .locality = allocator { return true }
        return false
    }

    /// Each row goes where there is least to do.
    var balances: Bool { fallsBack || allocator == .loadBalanced }

    var isPerTask: Bool { allocator == .scored(perTask: true) && !fallsBack }
    var keepsHomes: Bool { followsData || hasNear || allocator.isStrategy }
    var hasQuestions: Bool { !questions.isEmpty }
    /// The built-in allocator may decide where a strategy leaves everything idle: it does not wait, or has for an hour.
    func mayDecide(_ now: UInt64) -> Bool {
        !isAsked && (now >= waitsUntil || waitsSince.map { now >= $0 + Placer.longestWait } ?? false)
    }

    func waits(until time: UInt64, now: UInt64) {
        let last = (waitsSince ?? now) + Placer.longestWait
        waitsUntil = min(time, last) > now ? min(time, last) : 0
        if waitsUntil == 0 { waitsSince = nil } else if waitsSince == nil { waitsSince = now }
    }

    static let longestWait: UInt64 = 3_600_000_000_000

    /// The class of the same requests, on that worker only.
    func pinned(_ number: Int, to worker: Int) -> Int {
        let key = UInt64(number) << 32 | UInt64(worker)
        if let known = pinnedClasses[key] { return known }
        var request = classes[number].request
        request.worker = workers.facts[worker].offer.capacity.name
        let added = add(request)
        pinnedClasses[key] = added
        return added
    }

    /// The class of rows of another that wait for that worker.
    func waitingClass(_ queue: ClassQueue, for worker: Int) -> Int {
        let key = DataWaits.key(queue.number, worker)
        if let known = dataWaits.classes[key] { return known }
        var request = queue.request
        request.worker = workers.facts[worker].offer.capacity.name
        let added = add(request)
        classes[added].general = queue
        dataWaits.note(added, for: key)
        return added
    }

    /// The class that ready rows of a class are in when they are to run on that worker only.
    func knownPinned(_ number: Int, to worker: Int) -> Int? { pinnedClasses[UInt64(number) << 32 | UInt64(worker)] }

    /// What was to run on that worker only may run anywhere.
    func unpin(_ worker: Int) {
        let bound = pinnedClasses.merging(dataWaits.classes) { first, _ in first }
        for (key, number) in bound.sorted(by: { $0.key < $1.key }) where Int(key & 0xFFFF_FFFF) == worker {
            let queue = classes[number]
            while let range = queue.queue.top() {
                queue.queue.dropFirst(Int(range.count))
                push(range, requestClass: Int(key >> 32))
            }
        }
    }

    /// The row asks for something of its own from now on.
    func setRequest(_ request: TaskRequest, row: Int) {
        if own.isEmpty {
            for queue in classes.prefix(requests.requests.count) { own.note(queue.request, number: queue.number) }
        }
        own.put(UInt32(row), in: own.number(of: request) ?? addOwn(request))
    }

    private func addOwn(_ request: TaskRequest) -> Int {
        let number = renewed(request) ?? add(request)
        own.made(number, for: request)
        return number
    }

    /// A class that no row is in any more is one of that request from now on: there may be as many requests as rows. Not
    /// where a strategy or workers that come and go may remember classes.
    private func renewed(_ request: TaskRequest) -> Int? {
        guard !hasWorkers, !allocator.isStrategy, pinnedClasses.isEmpty, dataWaits.isEmpty else { return nil }
        let number = own.takeUnused { number in
            reservation?.requestClass != number && !claims.values.contains { $0.requestClass == Int32(number) }
        }
        guard let number else { return nil }
        let queue = ClassQueue(number: number, request: bounded(request))
        queue.isActive = classes[number].isActive
        classes[number] = queue
        return number
    }

    /// So many classes have ready rows that more would make each choice slow.
    func isCrowded(slots: Int) -> Bool { active.count >= max(64, 4 * slots) }

    /// The row has ended.
    func forgetMeasurement(_ row: Int) {
        guard hasMeasured, measurements.removeValue(forKey: UInt32(row)) != nil else { return }
        own.remove(UInt32(row))
    }

    func push(_ row: Int, key: UInt64, requestClass number: Int) {
        let queue = classes[number]
        pushes &+= 1
        if allocator.isStrategy { readySince[UInt32(row)] = now }
        queue.queue.push(row, key: key)
        activate(queue)
    }

    func push(_ range: ReadyRange, requestClass number: Int) {
        let queue = classes[number]
        pushes &+= 1
        if allocator.isStrategy { for row in range.first..<range.first + range.count { readySince[row] = now } }
        queue.queue.push(range)
        activate(queue)
    }

    private func activate(_ queue: ClassQueue) {
        guard !queue.isActive else { return }
        queue.isActive = true
        active.append(queue.number)
    }

    func forgetInactive() {
        active.removeAll { number in
            guard classes[number].queue.top() == nil else { return false }
            classes[number].isActive = false
            return true
        }
    }

    func removeAllReady() {
        for queue in classes { queue.queue.removeAll() }
        held = HeldRows()
        forgetInactive()
        reservation = nil
    }

    // MARK: - Scores

    /// What the allocator thinks of a class on a worker where it fits: higher is better; nil: not there, or not yet known.
    func score(_ queue: ClassQueue, _ worker: Int, _ variant: Int) -> Double? {
        let amounts = queue.request.variants[variant].amounts
        let facts = workers.facts[worker]
        let preference = Double(variant) * 1e-9
        switch fallsBack ? .loadBalanced : allocator {
        case .firstAvailable: return -Double(worker) - preference
        case .loadBalanced, .locality:
            // A mean would make what is remembered of some workers older than of others: only what is given counts here.
            let given = Double(queue.request.variants[variant].estimate) / facts.offer.speed
            return -facts.assigned - given * workers.share(amounts, on: worker)
                - workers.load(with: amounts, on: worker) * 1e-3 - preference
        case .cost:
            let price = facts.offer.price * workers.share(amounts, on: worker) / facts.offer.speed
            return -price - workers.load(with: amounts, on: worker) * 1e-9 - preference
        case .fastest:
            return facts.offer.speed - workers.load(with: amounts, on: worker) * 1e-9 - preference
        case .planned, .rounds: return -Double(worker)
        case .random: return Double(random.next() >> 11)
        case .scored:
            ask(queue.number, worker)
            return nil
        }
    }

    private func ask(_ requestClass: Int, _ worker: Int) {
        if isPerTask { return askRow(requestClass, worker) }
        if asked[requestClass, default: []].insert(worker).inserted {
            if let index = questions.firstIndex(where: { $0.requestClass == requestClass && $0.row == nil }) {
                questions[index].workers.append(worker)
            } else {
                questions.append(ScoreQuestion(requestClass: requestClass, row: nil, workers: [worker]))
            }
        }
    }

    /// At most 64 workers for each task.
    private func askRow(_ requestClass: Int, _ worker: Int) {
        let row = classes[requestClass].scoredRow
        if let index = questions.firstIndex(where: { $0.requestClass == requestClass }) {
            if questions[index].row != row {
                questions[index] = ScoreQuestion(requestClass: requestClass, row: row, workers: [])
            }
            if questions[index].workers.count < 64 && !questions[index].workers.contains(worker) {
                questions[index].workers.append(worker)
            }
        } else {
            questions.append(ScoreQuestion(requestClass: requestClass, row: row, workers: [worker]))
        }
    }

    func takeQuestions() -> [ScoreQuestion] {
        defer {
            questions = []
            asked = [:]
        }
        return questions.map { question in
            var question = question
            question.versions = question.workers.map { workers.facts[$0].version }
            return question
        }
    }

    /// What the strategy said; nil: not on that worker.
    func answer(_ question: ScoreQuestion, _ scores: [Double?]) {
        let queue = classes[question.requestClass]
        guard question.row == nil || question.row == queue.scoredRow else { return }
        for (place, worker) in question.workers.enumerated() {
            guard let score = scores[place] else { continue }
            // Meanwhile others were given something, or ended it: of that worker it is asked again.
            if place < question.versions.count, question.versions[place] != workers.facts[worker].version { continue }
            queue.insert(score: score, worker: worker, workers)
        }
    }

    /// What a strategy chose and no slot has taken is to be asked again.
    func forgetRound() {
        approved = []
        roundStamp = nil
    }

    /// Nothing that was answered holds any more.
    func forgetScores() {
        for queue in classes { queue.rebuild(workers) { score(queue, $0, $1) } }
    }

    /// Expected run time on a worker in nanoseconds; 1 s where nothing is known.
    func time(_ queue: ClassQueue, _ worker: Int, _ variant: Int) -> Double {
        (queue.expectedTime(variant) ?? 1e9) / workers.facts[worker].offer.speed
    }

    /// The work that a row would be on a worker: expected run time in nanoseconds times the share that it holds.
    func work(_ queue: ClassQueue, _ worker: Int, _ variant: Int, _ estimate: UInt64) -> Double {
        let isKnown = estimate > 0 && queue.request.variants[variant].estimate == 0
        let time =
            isKnown ? Double(estimate) / workers.facts[worker].offer.speed : time(queue, worker, variant)
        return time * max(workers.share(queue.request.variants[variant].amounts, on: worker), 1e-4)
    }

    /// So many workers at most are compared for each row; with more, what is remembered of its class decides.
    private static let mostCompared = 64

    /// The worker that has least to do with a row whose expected time is not that of its class: what the worker was
    /// given so far and the row. Of equal ones the one with the most left over, then the first. O(workers).
    func leastLoaded(
        _ queue: ClassQueue, _ chosen: (worker: Int, variant: Int), estimate: UInt64
    ) -> (worker: Int, variant: Int) {
        // Where all of the class take as long, its own order is right.
        guard estimate > 0, queue.request.variants[chosen.variant].estimate == 0, workers.count > 1,
            workers.count <= Placer.mostCompared
        else { return chosen }
        var best = (target: chosen, work: Double.infinity, load: Double.infinity)
        for worker in 0..<workers.count {
            guard let variant = queue.variant(on: worker, workers, beside: reservation) else { continue }
            let work = workers.facts[worker].assigned + work(queue, worker, variant, estimate)
            guard work <= best.work else { continue }
            let load = workers.load(with: queue.request.variants[variant].amounts, on: worker)
            if work < best.work || load < best.load { best = ((worker, variant), work, load) }
        }
        return best.target
    }

    // MARK: - Claims

    /// `estimate`: nanoseconds at speed 1 of the row itself; 0: what is thought of its class holds. `first`: the first row of
    /// a slot's lease, whose claim stands under the number `row`.
    func claim(
        _ row: Int, _ queue: ClassQueue, _ worker: Int, _ variant: Int, estimate: UInt64 = 0, first: UInt32? = nil,
        now: UInt64
    ) {
        let amounts = queue.request.variants[variant].amounts
        let assumed = work(queue, worker, variant, estimate)
        let indices = workers.claim(amounts, on: worker)
        workers.assign(assumed, to: worker)
        claims[UInt32(row)] = Claim(
            requestClass: Int32(queue.number), worker: Int32(worker), variant: UInt8(variant), assumed: assumed,
            row: first ?? UInt32(row), begun: now, indices: indices)
        if reservation?.requestClass == queue.number { reservation = nil }
        if !readySince.isEmpty { readySince.removeValue(forKey: UInt32(row)) }
        dataWaits.forget(UInt32(row))
    }

    func amounts(of claim: Claim) -> [ResourceAmount] {
        classes[Int(claim.requestClass)].request.variants[Int(claim.variant)].amounts
    }

    private func note(_ claim: Claim, nanoseconds: UInt64?, now: UInt64, _ progress: RunProgress) {
        guard let nanoseconds else { return progress.surprises += 1 }
        progress.ended.append(
            RunProgress.Attempt(
                row: claim.row, worker: claim.worker, variant: claim.variant, begun: claim.begun, finish: now,
                took: nanoseconds))
    }

    /// A task of a declared row ended well. With one class nothing is ever kept for another, and nobody asks.
    func learn(_ declared: Int, of rows: Int, _ nanoseconds: UInt64, on worker: Int) {
        guard classes.count > 1 else { return }
        nameTimes.note(declared, of: rows, Double(nanoseconds) * workers.facts[worker].offer.speed)
    }

    /// The row runs no more; `nanoseconds`: how long it did, when it ended well.
    func release(_ row: Int, nanoseconds: UInt64?, now: UInt64) {
        guard let claim = claims.removeValue(forKey: UInt32(row)) else { return }
        if let progress { note(claim, nanoseconds: nanoseconds, now: now, progress) }
        let queue = classes[Int(claim.requestClass)]
        let worker = Int(claim.worker)
        let amounts = queue.request.variants[Int(claim.variant)].amounts
        if let nanoseconds {
            queue.learn(nanoseconds, speed: workers.facts[worker].offer.speed)
            let share = max(workers.share(amounts, on: worker), 1e-4)
            workers.assign(Double(nanoseconds) * share - claim.assumed, to: worker)
        } else {
            workers.assign(-claim.assumed, to: worker)
        }
        workers.release(amounts, claim.indices, on: worker, now: now)
    }
}
