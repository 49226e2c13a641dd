import CLuaShim
import HandoutStrategy

/// Three workers, the last with GPUs, and a class of three ready tasks.
final class Scene: StrategyQueue {
    var workers: [WorkerFacts]
    private(set) var views: StrategyViews!

    init(workers count: Int = 3) {
        workers = (0..<count).map { index in
            let gpus: UInt64 = index == 2 ? 20_000 : 0
            var worker = WorkerFacts(
                number: UInt32(index), id: "w\(index)", total: [80_000, 16 << 30, gpus],
                free: [UInt64(80_000 - 20_000 * index), 8 << 30, gpus])
            worker.running = UInt32(index)
            worker.price = Double(3 - index)
            return worker
        }
        views = StrategyViews(queue: self)
        views.setResources(["cpu", "memory", "gpu"])
        views.setWorkers(workers)
        views.setClasses([ClassFacts(next: request, variants: [[10_000, 1 << 30, 0]], count: 3)])
        views.setContext(now: 1, deadline: nil, spent: 0)
        views.setRun("run", seed: 0)
    }

    private var request: RequestFacts {
        var request = RequestFacts(name: "t")
        request.rank = 5
        return request
    }

    private func facts(_ number: UInt32) -> TaskFacts {
        var task = TaskFacts(number: number, classIndex: 0, own: request, id: "t\(number)")
        task.inputBytes = 10_000
        return task
    }

    func score(_ strategy: LuaStrategy) throws -> [handout_choice] {
        var choices = [handout_choice](repeating: handout_choice(), count: workers.count)
        let view = views.view()
        let task = views.task(facts(0))
        try choices.withUnsafeMutableBufferPointer { try strategy.score(task, view, into: $0) }
        return choices
    }

    func allocate(_ strategy: LuaStrategy) throws -> [String] {
        try strategy.allocate(views.view()).placements.map { "t\($0.task) on w\($0.worker)" }
    }

    // MARK: The queue

    func fits(class index: Int, on worker: Int) -> UInt64 { worker == 2 ? 0 : 2 }
    func bytes(of task: UInt32, on worker: Int) -> UInt64 { UInt64(1000 * worker) }
    func task(at place: Int) -> TaskFacts? { place < 3 ? facts(UInt32(place)) : nil }
    func task(ofClass index: Int, at place: Int) -> TaskFacts? { task(at: place) }
    func task(id: [UInt8]) -> TaskFacts? {
        (0..<3).map { facts($0) }.first { Array($0.id.utf8) == id }
    }
}
