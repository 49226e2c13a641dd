package import HandoutCore
package import HandoutPlacement
package import HandoutScheduler

/// An instance as a graph for the scheduler, and as the world that it runs in.
///
/// One unit of the instance's time is a second of virtual time. Rows are in topological order.
package struct InstanceGraph: PlannedWorld {
    package let instance: PlacementInstance
    package let graph: GraphColumns
    package let workers: [SimulatedWorker]
    /// By row: the task.
    private let tasks: [Int]
    /// By row: how the inputs come, by row of the producer.
    private let sizes: [[UInt32: PlacementInstance.Input.Size]]

    private static let second = 1e9

    package init(_ instance: PlacementInstance) {
        self.instance = instance
        tasks = instance.topologicalOrder
        var rows = [Int](repeating: 0, count: instance.tasks.count)
        for (row, task) in tasks.enumerated() { rows[task] = row }
        var columns = RowColumns()
        var sizes: [[UInt32: PlacementInstance.Input.Size]] = []
        var sets = WorkerSets(instance)
        for task in tasks {
            let inputs = instance.tasks[task].inputs
            sizes.append(
                Dictionary(inputs.map { (UInt32(rows[$0.producer]), $0.size) }, uniquingKeysWith: { $1 }))
            columns.add(
                instance.tasks[task].name, needs: inputs.map { rows[$0.producer] },
                request: NamedRequest(
                    variants: [
                        NamedRequest.Variant(amounts: InstanceGraph.amounts(instance.tasks[task].amounts, instance))
                    ], labels: sets.labels(of: task)),
                estimate: InstanceGraph.estimate(instance.tasks[task].runTime))
        }
        self.sizes = sizes
        graph = columns.graph(instance.name)
        workers = instance.workers.indices.map { index in
            let worker = instance.workers[index]
            let totals = InstanceGraph.amounts(worker.amounts, instance, zeros: true)
            return SimulatedWorker(
                offer: WorkerOffer(
                    capacity: WorkerCapacity(name: worker.name, totals: totals, labels: sets.workerLabels[index]),
                    price: worker.price * 3600, speed: worker.speed))
        }
    }

    private static func amounts(
        _ amounts: [Int64], _ instance: PlacementInstance, zeros: Bool = false
    ) -> [String: UInt64] {
        var named: [String: UInt64] = [:]
        for (name, amount) in zip(instance.resources, amounts) where amount > 0 || zeros {
            named[name] = UInt64(max(0, amount))
        }
        return named
    }

    private static func estimate(_ time: PlacementInstance.RunTime) -> UInt64 {
        switch time {
        case .base(let time): UInt64(min(time * second, 1e18))
        case .perWorker(let times):
            UInt64(
                min(
                    (times.filter(\.isFinite).reduce(0, +) / Double(max(1, times.filter(\.isFinite).count))) * second,
                    1e18))
        }
    }

    package func duration(_ row: Int, origin: Int, worker: Int, variant: Int, speed: Double) -> UInt64 {
        UInt64((instance.runTime(of: tasks[row], on: worker) * InstanceGraph.second).rounded())
    }

    package func transfer(of input: Int, to row: Int, from: Int, to worker: Int) -> (nanoseconds: UInt64, bytes: UInt64)
    {
        guard let size = sizes[row][UInt32(input)] else { return (0, 0) }
        let entry = PlacementInstance.Input(producer: 0, size: size)
        let time = instance.transferTime(entry, from: from, to: worker)
        var bytes: UInt64 = 0
        if case .bytes(let count) = size { bytes = UInt64(count) }
        return (UInt64((time * InstanceGraph.second).rounded(.up)), bytes)
    }

    package func size(of input: Int, origin: Int, to row: Int) -> PlacementInstance.Input.Size {
        sizes[row][UInt32(input)] ?? .cost(0)
    }

    package func bytes(_ row: Int, origin: Int) -> UInt64 {
        // What consumers fetch may differ: the largest counts as the result's size.
        0
    }

    package func elements(_ row: Int) -> Int { 1 }

    /// Runs the instance under an allocator that decides while it goes on. `strategy` answers what a strategy is asked;
    /// `tells`: it is told what happens, too.
    package func schedule(
        _ allocator: Allocator, seed: UInt64, tells: Bool = false, record: DecisionRecord? = nil,
        strategy: (inout SchedulerCore, UInt64, inout [Placement], inout SchedulerOutput) -> Void = { _, _, _, _ in }
    ) -> Schedule {
        func run(_ allocator: Allocator, _ record: DecisionRecord? = nil) -> ClusterResult {
            var options = ClusterOptions(seed: seed, workers: workers)
            options.allocator = allocator
            options.tellsStrategy = tells
            options.record = record
            return ClusterSimulator(graph: graph, options: options, world: self).run(strategy: strategy)
        }
        var (result, chosen) = Balancing.result(allocator) { run($0, allocator == .loadBalanced ? nil : record) }
        if allocator == .loadBalanced, let record { result = run(chosen, record) }
        var entries = [Schedule.Entry](
            repeating: Schedule.Entry(worker: 0, start: 0, finish: 0), count: instance.tasks.count)
        for attempt in result.schedule {
            entries[tasks[Int(attempt.task)]] = Schedule.Entry(
                worker: Int(attempt.worker), start: Double(attempt.start) / InstanceGraph.second,
                finish: Double(attempt.finish) / InstanceGraph.second)
        }
        return Schedule(entries: entries)
    }
}

/// Labels that say which workers can run which tasks, where a table of times leaves some out.
private struct WorkerSets {
    private let instance: PlacementInstance
    private(set) var workerLabels: [[String: String]]
    private var known: [[Int]: String] = [:]

    init(_ instance: PlacementInstance) {
        self.instance = instance
        workerLabels = Array(repeating: [:], count: instance.workers.count)
    }

    mutating func labels(of task: Int) -> [TaskRequest.Label] {
        guard case .perWorker(let times) = instance.tasks[task].runTime, times.contains(where: { !$0.isFinite }) else {
            return []
        }
        let able = times.indices.filter { times[$0].isFinite }
        let name: String
        if let label = known[able] {
            name = label
        } else {
            name = "set-\(known.count)"
            known[able] = name
            for worker in able { workerLabels[worker][name] = "yes" }
        }
        return [TaskRequest.Label(name: name, values: ["yes"])]
    }
}

/// Tasks as columns.
private struct RowColumns {
    private var optionIndices: [UInt32] = []
    private var referenceOffsets: [UInt32] = [0]
    private var references: [UInt32] = []
    private var nameOffsets: [UInt32] = [0]
    private var nameBytes: [UInt8] = []
    private var options: [TaskOptions] = []
    private var requests = RequestTable()

    mutating func add(_ name: String, needs: [Int], request: NamedRequest, estimate: UInt64) {
        var option = TaskOptions()
        option.estimate = estimate
        // A set of options a task: run times differ.
        optionIndices.append(UInt32(options.count))
        options.append(option)
        requests.add(request, 0)
        references += needs.map { Reference(.task, $0).word }
        referenceOffsets.append(UInt32(references.count))
        nameBytes += Array(name.utf8)
        nameOffsets.append(UInt32(nameBytes.count))
    }

    func graph(_ name: String) -> GraphColumns {
        let count = optionIndices.count
        return GraphColumns(
            name: name, kinds: Column(Array(repeating: TaskKind.task.rawValue, count: count)),
            optionIndices: Column(optionIndices), referenceOffsets: Column(referenceOffsets),
            references: Column(references), nameOffsets: Column(nameOffsets), nameBytes: Column(nameBytes),
            lines: Column(Array(repeating: 0, count: count)), options: options, declaredOutputs: [], requests: requests)
    }
}
