package import CLuaShim

/// The structs that a strategy sees, filled from Swift values and kept from call to call.
///
/// Workers and classes are set when they change; the rest is asked of the queue while a call goes on. Used by one thread.
package final class StrategyViews {
    private let native = UnsafeMutablePointer<handout_strategy_view>.allocate(capacity: 1)
    private unowned let queue: any StrategyQueue
    private let resourceTexts = NativeMemory()
    private let workerTexts = NativeMemory()
    private let classTexts = NativeMemory()
    private let contextTexts = NativeMemory()
    private let taskTexts = NativeMemory()
    private var workers: UnsafeMutableBufferPointer<handout_worker_view> = .init(start: nil, count: 0)
    private let one = UnsafeMutablePointer<handout_task_view>.allocate(capacity: 1)
    private var resourceCount = 0

    /// - Parameter queue: not kept: the one that is asked owns its views.
    package init(queue: any StrategyQueue) {
        self.queue = queue
        native.initialize(to: handout_strategy_view())
        one.initialize(to: handout_task_view())
        native.pointee.caller = Unmanaged.passUnretained(self).toOpaque()
        native.pointee.context.deadline = .nan
        native.pointee.fits = { caller, index, worker in
            StrategyViews.from(caller)?.queue.fits(class: Int(index), on: Int(worker)) ?? 0
        }
        native.pointee.has = { caller, task, worker in
            StrategyViews.from(caller)?.queue.bytes(of: task, on: Int(worker)) ?? 0
        }
        native.pointee.ready = { caller, place, task in
            StrategyViews.from(caller)?.fill(task) { $0.task(at: Int(place)) } ?? -1
        }
        native.pointee.take = { caller, index, place, task in
            StrategyViews.from(caller)?.fill(task) { $0.task(ofClass: Int(index), at: Int(place)) } ?? -1
        }
        native.pointee.find = { caller, id, length, task in
            let bytes = UnsafeRawBufferPointer(start: id, count: length)
            return StrategyViews.from(caller)?.fill(task) { $0.task(id: Array(bytes)) } ?? -1
        }
    }

    deinit {
        native.deallocate()
        one.deallocate()
    }

    private static func from(_ caller: UnsafeMutableRawPointer?) -> StrategyViews? {
        caller.map { Unmanaged<StrategyViews>.fromOpaque($0).takeUnretainedValue() }
    }

    /// For a call of `LuaStrategy`. Texts of tasks of the last call go.
    package func view() -> UnsafePointer<handout_strategy_view> {
        taskTexts.reset()
        return UnsafePointer(native)
    }

    /// For a call of `score`, after `view`.
    package func task(_ facts: TaskFacts) -> UnsafePointer<handout_task_view> {
        one.pointee = native(facts)
        return UnsafePointer(one)
    }

    // MARK: What changes

    /// The names of resources by index. More may come at the end, none changes.
    package func setResources(_ names: [String]) {
        precondition(names.count >= resourceCount, "resources do not go away")
        resourceCount = names.count
        resourceTexts.reset()
        native.pointee.resources = resourceTexts.array(names.map { resourceTexts.text($0) })
        native.pointee.resource_count = UInt32(names.count)
    }

    /// All workers in order of joining.
    package func setWorkers(_ facts: [WorkerFacts]) {
        workerTexts.reset()
        let array = workerTexts.array(facts.map { native($0) })
        workers = UnsafeMutableBufferPointer(start: UnsafeMutablePointer(mutating: array), count: facts.count)
        native.pointee.workers = array
        native.pointee.worker_count = UInt32(facts.count)
    }

    /// What attempts change of a worker.
    package func updateWorker(_ index: Int, free: [UInt64], running: UInt32, idle: Double) {
        precondition(free.count >= resourceCount, "an amount a resource")
        let amounts = UnsafeMutablePointer(mutating: workers[index].free)
        for resource in 0..<resourceCount { amounts?[resource] = free[resource] }
        workers[index].running = running
        workers[index].idle = idle
    }

    /// The classes of what is ready, and how many tasks are ready in all.
    package func setClasses(_ facts: [ClassFacts]) {
        classTexts.reset()
        native.pointee.classes = classTexts.array(facts.map { native($0) })
        native.pointee.class_count = UInt32(facts.count)
        native.pointee.ready_count = facts.reduce(0) { $0 + $1.count }
    }

    /// Seconds since the run's start, its deadline, and the price so far.
    package func setContext(now: Double, deadline: Double?, spent: Double) {
        native.pointee.context.now = now
        native.pointee.context.deadline = deadline ?? .nan
        native.pointee.context.spent = spent
    }

    package func setRun(_ run: String, seed: Int64) {
        contextTexts.reset()
        native.pointee.context.run = contextTexts.text(run)
        native.pointee.context.seed = seed
    }

    // MARK: Structs

    private func native(_ facts: WorkerFacts) -> handout_worker_view {
        precondition(
            facts.total.count >= resourceCount && facts.free.count >= resourceCount, "an amount a resource")
        let labels = facts.labels.sorted { $0.key < $1.key }.map {
            handout_label_view(name: workerTexts.text($0.key), value: workerTexts.text($0.value))
        }
        var worker = handout_worker_view()
        worker.id = workerTexts.text(facts.id)
        worker.labels = workerTexts.array(labels)
        worker.label_count = UInt32(labels.count)
        worker.total = workerTexts.array(facts.total)
        worker.free = workerTexts.array(facts.free)
        worker.price = facts.price
        worker.speed = facts.speed
        worker.idle = facts.idle
        worker.remaining = facts.remaining ?? .nan
        worker.bandwidth = facts.bandwidth ?? .nan
        worker.running = facts.running
        worker.lost = facts.lost
        worker.worker = facts.number
        return worker
    }

    private func native(_ facts: ClassFacts) -> handout_class_view {
        precondition(facts.variants.allSatisfy { $0.count >= resourceCount }, "an amount a resource")
        precondition(facts.variants.indices.contains(facts.fitting), "one of the variants fits")
        var result = handout_class_view()
        result.next = native(facts.next, classTexts)
        result.variants = classTexts.array(facts.variants.map { Optional(classTexts.array($0)) })
        result.variant_count = UInt32(facts.variants.count)
        result.fitting = UInt32(facts.fitting)
        let places = facts.where.map { entry in
            handout_where_view(
                label: classTexts.text(entry.label),
                values: classTexts.array(entry.values.map { classTexts.text($0) }), count: UInt32(entry.values.count))
        }
        result.where = classTexts.array(places)
        result.where_count = UInt32(places.count)
        result.count = facts.count
        return result
    }

    private func native(_ facts: RequestFacts, _ memory: NativeMemory) -> handout_request_view {
        var request = handout_request_view()
        request.name = memory.text(facts.name)
        request.near = memory.array(facts.near.map { memory.text($0) })
        request.near_count = UInt32(facts.near.count)
        request.priority = facts.priority
        request.consumers = facts.consumers
        request.retries_left = facts.retriesLeft
        request.estimate = facts.estimate ?? .nan
        request.rank = facts.rank ?? .nan
        return request
    }

    private func native(_ facts: TaskFacts) -> handout_task_view {
        precondition(facts.classIndex < native.pointee.class_count, "a class of the view")
        var task = handout_task_view()
        task.own = native(facts.own, taskTexts)
        task.id = taskTexts.text(facts.id)
        switch facts.key {
        case .none: break
        case .index(let index): task.key_index = index
        case .name(let name): task.key = taskTexts.text(name)
        }
        task.input_bytes = facts.inputBytes ?? -1
        task.waited = facts.waited
        task.task = facts.number
        task.class_index = facts.classIndex
        task.attempt = facts.attempt
        return task
    }

    private func fill(
        _ task: UnsafeMutablePointer<handout_task_view>?, _ find: (any StrategyQueue) -> TaskFacts?
    ) -> Int32 {
        guard let task, let facts = find(queue) else { return -1 }
        task.pointee = native(facts)
        return 0
    }
}
