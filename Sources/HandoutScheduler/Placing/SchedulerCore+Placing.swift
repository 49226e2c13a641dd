package import HandoutCore

extension SchedulerCore {
    /// What the row asks for. O(log blocks).
    func requestClass(of row: Int, _ placer: Placer) -> Int {
        placer.classNumber(row: row, options: Int(optionIndices[declaredRow(of: row)]))
    }

    /// The first ready rows of a class; those that are no longer ready are dropped.
    private func head(_ queue: ClassQueue) -> ReadyRange? {
        while let range = queue.queue.top() {
            if state(Int(range.first)) == RowState.ready { return range }
            queue.queue.dropFirst(1)
        }
        return nil
    }

    /// Classes that have something ready, in the order of their first rows. O(classes log classes).
    func inOrder(_ placer: Placer) -> [(queue: ClassQueue, head: ReadyRange)] {
        var heads: [(queue: ClassQueue, head: ReadyRange)] = []
        var isInactive = false
        for number in placer.active {
            let queue = placer.classes[number]
            if let head = head(queue) { heads.append((queue, head)) } else { isInactive = true }
        }
        if isInactive { placer.forgetInactive() }
        if heads.count > 1 { heads.sort { $0.head.isBefore($1.head) } }
        return heads
    }

    // MARK: - Leases of slots: one worker, a lease runs its tasks one after the other

    /// The claim of a slot's lease stands under this number.
    private static func claimNumber(ofSlot slot: Int) -> Int { Int(UInt32.max) - slot }

    /// What the slot's lease claims.
    func claim(ofSlot slot: Int, _ placer: Placer) -> Placer.Claim? {
        placer.claims[UInt32(SchedulerCore.claimNumber(ofSlot: slot))]
    }

    func releaseClaim(ofSlot slot: Int, now: UInt64) {
        placer?.release(SchedulerCore.claimNumber(ofSlot: slot), nanoseconds: nil, now: now)
    }

    /// What the slot's lease holds; nil where claims do not matter.
    package func leaseClaim(ofSlot slot: Int) -> LeaseClaim? {
        guard let placer, let claim = claim(ofSlot: slot, placer) else { return nil }
        let names = placer.requests.names
        let request = placer.classes[Int(claim.requestClass)].request
        let variant = request.variants[Int(claim.variant)]
        let offer = placer.workers.facts[Int(claim.worker)].offer
        return LeaseClaim(
            variant: Int(claim.variant),
            amounts: variant.amounts.map { (names[Int($0.resource)], $0.amount) },
            indices: claim.indices.map { taken in
                let name = names[Int(taken.resource)]
                let all = offer.indices[name] ?? []
                return (name, taken.indices.map { $0 < all.count ? all[$0] : String($0) })
            }, timeout: request.timeout)
    }

    /// `take` where claims matter: all tasks of the lease are of one class, which is claimed once.
    mutating func takePlaced(
        _ slot: Int, _ limit: Int, _ now: UInt64, _ placer: Placer, _ lease: inout LeaseBuffer,
        _ output: inout SchedulerOutput
    ) -> Int {
        releaseClaim(ofSlot: slot, now: now)
        guard counts.ready > 0 else { return 0 }
        if placer.allocator == .rounds && !placer.decidesOneRound {
            if let given = takeApproved(slot, limit, now, placer, &lease, &output) { return given }
        }
        let heads = inOrder(placer)
        guard let chosen = chooseForSlot(heads, placer, now) else { return 0 }
        let queue = heads[chosen.place].queue
        let number = SchedulerCore.claimNumber(ofSlot: slot)
        placer.claim(number, queue, chosen.worker, chosen.variant, first: heads[chosen.place].head.first, now: now)
        // Another class may go first as soon as its first row ranks before the next of these.
        var other = UInt64.max
        for place in heads.indices where place > chosen.place { other = min(other, heads[place].head.key) }
        // A tracker is asked for one attempt at a time, and what has room that is kept was looked at alone.
        let limit = chosen.isBackfill || placer.isGuarded(queue, chosen.variant) ? 1 : limit
        var given = 0
        while given < limit, let range = head(queue), given == 0 || range.key <= other {
            let count = min(limit - given, Int(range.count))
            queue.queue.dropFirst(count)
            given += give(range, count, slot, now, &lease, &output)
        }
        if given != 1 { placer.claims[UInt32(number)]?.count = UInt32(given) }
        return given
    }

    /// What the allocator wants the slot to run, or where a strategy gave no answer the built-in one.
    private func chooseForSlot(
        _ heads: [(queue: ClassQueue, head: ReadyRange)], _ placer: Placer, _ now: UInt64
    ) -> Chosen? {
        guard placer.decidesOneRound else {
            let decides = placer.allocator == .rounds ? nil : choose(heads, placer, now)
            return decides ?? chooseAnyway(heads, placer, now)
        }
        placer.decidesOneRound = false
        placer.waitsSince = nil
        return chooseBuiltIn(heads, placer, now)
    }

    /// The next that a strategy chose and that still fit, as many of one class as are the slot's part of them; nil: there are
    /// none, and nothing runs that could change it.
    private mutating func takeApproved(
        _ slot: Int, _ limit: Int, _ now: UInt64, _ placer: Placer, _ lease: inout LeaseBuffer,
        _ output: inout SchedulerOutput
    ) -> Int? {
        while let next = placer.approved.popLast() {
            let row = Int(next.row)
            guard row < status.count, state(row) == RowState.ready else { continue }
            let queue = placer.classes[requestClass(of: row, placer)]
            queue.look(at: 0, placer.workers)
            guard let variant = fitting(next.variant, queue, 0, placer) else { continue }
            let number = SchedulerCore.claimNumber(ofSlot: slot)
            placer.claim(number, queue, 0, variant, first: UInt32(row), now: now)
            give(row, slot, now, &lease, &output)
            let most = min(limit, placer.approved.count / configuration.slots + 1)
            return 1 + takeMoreApproved(slot, most - 1, like: (queue, next.variant, variant), now, &lease, &output)
        }
        return placer.claims.isEmpty && placer.mayDecide(now) ? nil : 0
    }

    /// A class among those in order, and where its first row goes; `isBackfill`: it may take room that is kept for another.
    private typealias Chosen = (place: Int, worker: Int, variant: Int, isBackfill: Bool)

    /// What follows in the strategy's order and asks for what the lease claims already.
    private mutating func takeMoreApproved(
        _ slot: Int, _ most: Int, like first: (queue: ClassQueue, wanted: Int?, variant: Int), _ now: UInt64,
        _ lease: inout LeaseBuffer, _ output: inout SchedulerOutput
    ) -> Int {
        guard let placer, !placer.isGuarded(first.queue, first.variant) else { return 0 }
        var given = 0
        while given < most, let next = placer.approved.last, next.variant == first.wanted {
            let row = Int(next.row)
            guard row < status.count, state(row) == RowState.ready,
                requestClass(of: row, placer) == first.queue.number
            else { break }
            placer.approved.removeLast()
            give(row, slot, now, &lease, &output)
            given += 1
        }
        return given
    }

    /// The first class in order that fits somewhere. Room is kept for the first that does not; what ranks before that one
    /// need not respect it, nor what is expected to end in time.
    private func choose(
        _ heads: [(queue: ClassQueue, head: ReadyRange)], _ placer: Placer, _ now: UInt64
    ) -> Chosen? {
        var isBlocked = false
        let holder = placer.reservation.flatMap { held in
            heads.firstIndex { $0.queue.number == held.requestClass }
        }
        if holder == nil { placer.reservation = nil }
        for place in heads.indices {
            let (queue, head) = heads[place]
            if placer.isPerTask { queue.forgetScores(row: head.first) }
            queue.catchUp(placer.workers) { placer.score(queue, $0, $1) }
            let respects = isBlocked || holder.map { place > $0 } ?? false
            let best = queue.best(placer.workers, beside: respects ? placer.reservation : nil) {
                endsInTime(Int(head.first), $1, queue, on: $0, placer, now: now)
            }
            if let best {
                if !respects { placer.forgetWhenReservedFits() }
                let held = respects ? placer.reservation : nil
                let isBackfill = held != nil && queue.variant(on: best.worker, placer.workers, beside: held) == nil
                return (place, best.worker, best.variant, isBackfill)
            }
            if queue.general != nil { continue }  // it could run elsewhere: nothing is kept for it
            // Where nothing could overtake it, nothing has to be kept.
            if !isBlocked && heads.count > 1 && placer.allocator.keepsRoom { placer.reserve(queue) }
            isBlocked = true
        }
        return nil
    }

    /// A strategy that lets everything wait while nothing runs does not decide: the built-in one does.
    private func chooseAnyway(
        _ heads: [(queue: ClassQueue, head: ReadyRange)], _ placer: Placer, _ now: UInt64
    ) -> Chosen? {
        guard placer.claims.isEmpty, placer.allocator.isStrategy, !placer.hasQuestions, placer.mayDecide(now) else {
            return nil
        }
        guard heads.contains(where: { $0.queue.fitsSomewhere(placer.workers) }) else { return nil }
        return chooseBuiltIn(heads, placer, now)
    }

    /// As `choose`, by the built-in allocator.
    private func chooseBuiltIn(
        _ heads: [(queue: ClassQueue, head: ReadyRange)], _ placer: Placer, _ now: UInt64
    ) -> Chosen? {
        placer.fallsBack = true
        placer.forgetScores()
        let chosen = choose(heads, placer, now)
        placer.fallsBack = false
        placer.forgetScores()
        return chosen
    }

    // MARK: - Placements: any number of workers, a claim a task

    /// Gives ready tasks to workers, as far as they fit and the allocator wants, best rank first. O(classes) and
    /// O(log workers) a placement.
    package mutating func place(now: UInt64, into placements: inout [Placement], output: inout SchedulerOutput) {
        guard let placer, counts.ready > 0, !isDraining, !isPaused else { return }
        while let row = placer.held.takeFirst(now) {
            placer.push(row.row, key: row.key, requestClass: row.requestClass)
        }
        if placer.decidesOneRound {
            placer.decidesOneRound = false
            placer.waitsSince = nil
            placer.fallsBack = true
            placer.forgetScores()
            placeAll(now, placer, &placements, &output)
            placer.fallsBack = false
            placer.forgetScores()
        } else if placer.allocator == .rounds {
            // Only where the strategy leaves everything idle.
            guard placements.isEmpty, placer.claims.isEmpty, placer.mayDecide(now) else { return }
            placer.decidesOneRound = true
            place(now: now, into: &placements, output: &output)
        } else {
            placeAll(now, placer, &placements, &output)
        }
    }

    private mutating func placeAll(
        _ now: UInt64, _ placer: Placer, _ placements: inout [Placement], _ output: inout SchedulerOutput
    ) {
        var lease = LeaseBuffer()
        var skipped: Set<Int> = []
        while counts.ready > 0 {
            let heads = inOrder(placer).filter { !skipped.contains($0.queue.number) }
            guard let chosen = choose(heads, placer, now) ?? chooseAnyway(heads, placer, now) else { break }
            let (queue, head) = heads[chosen.place]
            // Those before it do not fit until something ends; but for a row that gets room of its own all stays so.
            for place in 0..<chosen.place { skipped.insert(heads[place].queue.number) }
            // Another class may go first as soon as its first row ranks before the next of these.
            var other = UInt64.max
            for place in heads.indices where place > chosen.place { other = min(other, heads[place].head.key) }
            placeRun(
                queue, head.first, (chosen.worker, chosen.variant), until: other, now, placer, &lease, &placements,
                &output)
        }
    }

    /// Places the first rows of a class one after the other, until another class is to go first.
    private mutating func placeRun(
        _ queue: ClassQueue, _ first: UInt32, _ chosen: (worker: Int, variant: Int), until other: UInt64, _ now: UInt64,
        _ placer: Placer, _ lease: inout LeaseBuffer, _ placements: inout [Placement], _ output: inout SchedulerOutput
    ) {
        var target = chosen
        while let range = head(queue), range.key <= other || range.first == first {
            let row = Int(range.first)
            queue.queue.dropFirst(1)
            let estimate = graph.options[Int(optionIndices[declaredRow(of: row)])].estimate
            if placer.balances { target = placer.leastLoaded(queue, target, estimate: estimate) }
            if placer.followsData && queue.general == nil {
                switch nearData(row, queue, target, placer, now: now) {
                case .place(let worker, let variant): target = (worker, variant)
                case .wait(let worker, let until):
                    wait(row, queue, worker: worker, until: until, key: range.key, placer)
                    continue
                }
            }
            if let record = placer.record { noteDecision(record, row, queue.general ?? queue, target, placer) }
            placer.claim(row, queue.general ?? queue, target.worker, target.variant, estimate: estimate, now: now)
            lease.clear()
            give(row, target.worker, now, &lease, &output)
            if let entry = lease.entries.first {
                placements.append(Placement(entry: entry, worker: target.worker, variant: target.variant))
            }
            guard counts.ready > 0, let next = head(queue) else { return }
            if placer.isPerTask { queue.forgetScores(row: next.first) }
            queue.catchUp(placer.workers) { placer.score(queue, $0, $1) }
            let best = queue.best(placer.workers, beside: placer.reservation) {
                endsInTime(Int(next.first), $1, queue, on: $0, placer, now: now)
            }
            guard let best else { return }
            target = best
        }
    }

    /// Rows whose values the row is given.
    func forEachInput(_ row: Int, _ body: (Int) -> Void) {
        let (origin, shift) = row < declared ? (row, 0) : originOfFrameRow(row)
        let tree = treeInputs(of: row)
        if let tree, !tree.inputs.areElements {
            for place in tree.inputs.first..<tree.inputs.first + tree.inputs.count { body(tree.first + place) }
        }
        for word in referenceWords(origin) {
            if Word.endsInputs(word) { return }
            guard Word.isInput(word) else { continue }
            let input = Word.payload(word) + shift
            let isOver = Word.operation(word) == Word.over
            if isOver, let tree, !tree.inputs.areElements { continue }
            guard let index = blockOfOwner[UInt32(truncatingIfNeeded: input)], blocks[Int(index)].isMap else {
                body(input)
                continue
            }
            let source = blocks[Int(index)]
            var instances = 0..<Int(source.count)
            if isOver, let tree {
                instances = tree.inputs.first..<tree.inputs.first + tree.inputs.count
            } else if isOver, row >= declared {
                let block = blocks[searchBlock(of: row)]
                if block.isMap && row < block.framesFirst {
                    let own = row - Int(block.first)
                    instances = own..<own + 1
                }
            }
            for instance in instances { body(Int(source.first) + instance) }
        }
    }

    /// What a node or the root of a reduce's tree takes: places among the elements, or among the nodes, of which `first` is the
    /// first row. Nil: the row is of no tree.
    private func treeInputs(of row: Int) -> (first: Int, inputs: ReduceShape.Inputs)? {
        if let index = blockOfOwner[UInt32(truncatingIfNeeded: row)], !blocks[Int(index)].isMap {
            let block = blocks[Int(index)]
            return (Int(block.first), block.shape.rootInputs)
        }
        guard row >= declared else { return nil }
        let block = blocks[searchBlock(of: row)]
        guard !block.isMap else { return nil }
        return (Int(block.first), block.shape.inputs(ofInner: row - Int(block.first)))
    }

    /// The worker where the row is to run and nowhere else: as planned, or near a result; nil: any. A plan may be of a worker
    /// that could not have the row, or no longer.
    func pinnedWorker(_ row: Int, _ placer: Placer) -> Int? {
        if let entry = planned(row, placer), entry.worker >= 0, entry.worker < placer.workers.count {
            let worker = Int(entry.worker)
            let queue = placer.classes[requestClass(of: row, placer)]
            queue.look(at: worker, placer.workers)
            return placer.workers.facts[worker].isUp && queue.couldHave(worker) ? worker : nil
        }
        guard placer.hasNear, let near = nearRow(row), let home = placer.homes[UInt32(near)] else { return nil }
        return placer.workers.facts[Int(home.worker)].isUp ? Int(home.worker) : nil
    }

    /// What the plan says of a row; nil: nothing.
    func planned(_ row: Int, _ placer: Placer) -> PlacementPlan.Entry? {
        guard let plan = placer.plan, placer.allocator == .planned else { return nil }
        let (origin, element) = planPlace(of: row)
        return plan[origin, element]
    }

    /// The declared row, and which of its instances or nodes, under which plans know a row.
    package func planPlace(of row: Int) -> (declared: Int, element: Int?) {
        guard row >= declared else { return (row, nil) }
        let block = blocks[searchBlock(of: row)]
        guard row >= block.framesFirst, block.templateCount > 0 else {
            return (Int(block.declared), row - Int(block.first))
        }
        let place = row - block.framesFirst
        return (Int(block.templateFirst) + place % Int(block.templateCount), place / Int(block.templateCount))
    }

    private func nearRow(_ row: Int) -> Int? {
        let (origin, shift) = row < declared ? (row, 0) : originOfFrameRow(row)
        var isNear = false
        for word in referenceWords(origin) {
            if Word.operation(word) == Word.near {
                isNear = true
            } else if isNear {
                return Word.operation(word) == 0 ? Word.payload(word) + shift : nil
            }
        }
        return nil
    }

    /// The attempt no longer holds what it claimed.
    @inline(__always)
    func releaseClaim(of row: Int, nanoseconds: UInt64?, now: UInt64) {
        guard let placer, placer.hasWorkers else { return }
        placer.release(row, nanoseconds: nanoseconds, now: now)
    }

    /// An attempt ended well: its claim is given back, and where its result is may be asked for.
    func ended(_ row: Int, slot: Int, nanoseconds: UInt64, bytes: UInt64, now: UInt64) {
        guard let placer else { return }
        placer.now = now
        placer.forgetMeasurement(row)
        guard placer.hasWorkers else { return placer.learn(declaredRow(of: row), of: declared, nanoseconds, on: 0) }
        if let claim = placer.claims[UInt32(row)] {
            if placer.keepsHomes { placer.homes[UInt32(row)] = Placer.Home(worker: claim.worker, bytes: bytes) }
            placer.learn(declaredRow(of: row), of: declared, nanoseconds, on: Int(claim.worker))
        }
        placer.release(row, nanoseconds: nanoseconds, now: now)
    }

    /// The most of cores (1/10 000) and of memory (bytes) that one of the tasks of a slot's lease claims.
    package func amounts(of entries: [LeaseEntry], slot: Int) -> (cpu: UInt64, memory: UInt64) {
        var most: (cpu: UInt64, memory: UInt64) = (0, 0)
        func note(_ amounts: [ResourceAmount]) {
            for amount in amounts {
                if amount.resource == RequestTable.cpu { most.cpu = max(most.cpu, amount.amount) }
                if amount.resource == RequestTable.memory { most.memory = max(most.memory, amount.amount) }
            }
        }
        if let placer, let claim = placer.claims[UInt32(SchedulerCore.claimNumber(ofSlot: slot))] {
            note(placer.classes[Int(claim.requestClass)].request.variants[Int(claim.variant)].amounts)
            return most
        }
        let requests = graph.requests
        for entry in entries {
            let options = Int(optionIndices[declaredRow(of: entry.task.index)])
            note(requests.requests[Int(requests.ofOptions[options])].variants[0].amounts)
        }
        return most
    }

    /// Requests have to be looked at: what is ready may claim more than there is.
    package var claimsMatter: Bool { placer != nil }

    /// The options of any row. O(log blocks).
    package func options(of task: TaskID) -> TaskOptions { graph.options(of: TaskID(declaredRow(of: task.index))) }

    // MARK: - Setting up

    /// Nil: nothing has to be chosen, and no set of tasks can claim too much.
    static func placer(_ graph: GraphColumns, _ configuration: SchedulerConfiguration) -> Placer? {
        let requests = graph.requests
        var pools = configuration.shared
        for limit in requests.limits { pools[requests.names[Int(limit.resource)]] = limit.amount }
        let isMeasured = graph.options.contains(where: \.isMeasured)
        let isSimple =
            !configuration.hasWorkers && configuration.allocator.isIndifferent && !isMeasured
            && !configuration.isTracked
        if isSimple && neverBlocks(requests, pools, configuration) { return nil }
        let placer = Placer(
            requests: requests, pools: pools, allocator: configuration.allocator, seed: configuration.seed,
            onlyWorker: configuration.hasWorkers ? nil : configuration.local, isTracked: configuration.isTracked)
        placer.guarded = Set(requests.names.indices.filter { configuration.guarded.contains(requests.names[$0]) })
        placer.hears = configuration.tellsStrategy
        placer.hasNear = configuration.hasWorkers && hasNear(graph)
        placer.hasMeasured = isMeasured
        return placer
    }

    private static func hasNear(_ graph: GraphColumns) -> Bool {
        graph.references.buffer.contains { Word.operation($0) == Word.near }
    }

    /// As many of any requests as there are slots fit together.
    private static func neverBlocks(
        _ requests: RequestTable, _ pools: [String: UInt64], _ configuration: SchedulerConfiguration
    ) -> Bool {
        requests.requests.allSatisfy { request in
            guard request.variants.count == 1, request.labels.isEmpty else { return false }
            return request.variants[0].amounts.allSatisfy { amount in
                // What else a task holds it is told.
                guard amount.resource <= RequestTable.memory else { return false }
                let name = requests.names[Int(amount.resource)]
                let total = pools[name] ?? configuration.local.capacity.total(name)
                let (bound, overflow) = amount.amount.multipliedReportingOverflow(by: UInt64(configuration.slots))
                return !overflow && bound <= total && configuration.local.indices[name] == nil
            }
        }
    }

    // MARK: - Workers

    /// A worker joins, or comes back. Returns its number.
    package mutating func join(_ offer: WorkerOffer, now: UInt64) -> Int {
        guard let placer else { preconditionFailure("workers join runs that have an allocator") }
        placer.hasWorkers = true
        let worker = placer.workers.join(offer, now: now)
        placer.now = now
        placer.progress?.surprises += 1
        placer.hear(.worker(.joined, worker))
        return worker
    }

    /// What a worker has, costs or is labelled has changed. Nothing that runs is stopped: where less is there than is
    /// claimed, nothing more of it is given out.
    package mutating func change(_ offer: WorkerOffer, now: UInt64) {
        guard let placer, let worker = placer.workers.number(of: offer.capacity.name) else { return }
        // Of prices that change later plans know beforehand.
        let isOther = placer.workers.facts[worker].offer.isOther(than: offer)
        placer.workers.change(worker, to: offer)
        placer.now = now
        if isOther { placer.progress?.surprises += 1 }
        // What is bound to it may not fit there any more.
        if isOther, let plan = placer.plan { replace(plan) }
        placer.hear(.worker(.changed, worker))
    }

    /// What is claimed now of a resource, on all workers; 0 where nobody asks for it.
    package func claimed(_ resource: String) -> UInt64 {
        guard let placer, let index = placer.requests.names.firstIndex(of: resource) else { return 0 }
        if placer.workers.isPool[index] { return placer.workers.claimed(0, index) }
        return (0..<placer.workers.count).reduce(0) { $0 + placer.workers.claimed($1, index) }
    }

    /// A worker went away: attempts that it ran must be reported as failed with `lost` by the caller.
    package mutating func leave(worker: Int, isLost: Bool, now: UInt64) {
        guard let placer else { return }
        placer.workers.leave(worker, isLost: isLost)
        placer.now = now
        placer.progress?.surprises += 1
        placer.hear(.worker(isLost ? .lost : .left, worker))
        placer.unpin(worker)
    }

    /// Attempts that a worker runs, by row.
    package func running(on worker: Int) -> [TaskID] {
        guard let placer else { return [] }
        return placer.claims.filter { $0.value.worker == Int32(worker) }.map { TaskID(rawValue: $0.key) }
            .sorted { $0.rawValue < $1.rawValue }
    }

    /// Ready rows go to the workers, and in the order, that the plan says; where it says nothing, anywhere. Before `start`.
    package mutating func follow(_ plan: PlacementPlan) {
        guard let placer else { preconditionFailure("plans are for runs that have workers") }
        placer.plan = plan
        placer.allocator = .planned
    }

    /// A strategy has to be asked before more is placed.
    package var hasQuestions: Bool { placer?.hasQuestions ?? false }

    /// A strategy's open questions; each must be answered.
    package func takeQuestions() -> [ScoreQuestion] { placer?.takeQuestions() ?? [] }

    package func answer(_ question: ScoreQuestion, _ scores: [Double?]) { placer?.answer(question, scores) }
}

extension Allocator {
    /// With one worker it has nothing to choose.
    var isIndifferent: Bool { !isStrategy }

    /// The next in order gets room kept when it does not fit.
    var keepsRoom: Bool { self != .rounds }
    /// Slow, unproven code of a user decides, which may let everything wait.
    var isStrategy: Bool {
        switch self {
        case .scored, .rounds: true
        default: false
        }
    }

    /// A strategy scores classes or tasks.
    var isScored: Bool {
        if case .scored = self { return true }
        return false
    }
}
