import HandoutPlacement

/// Reads the format of scheduling instances (docs/instances.md).
struct InstanceReader {
    private let root: JSONNode
    private var tasks = NameTable("task")
    private var workers = NameTable("worker")
    private var resources: [String] = []

    init(_ root: JSONNode) { self.root = root }

    func instance() throws(InstanceError) -> PlacementInstance {
        var reader = self
        return try reader.read()
    }

    private mutating func read() throws(InstanceError) -> PlacementInstance {
        let taskNodes = try root.required("tasks").elements()
        let workerNodes = try root.required("workers").elements()
        var taskNames: [String] = []
        var workerNames: [String] = []
        for node in taskNodes { taskNames.append(try tasks.add(try node.required("id"))) }
        for node in workerNodes { workerNames.append(try workers.add(try node.required("id"))) }
        try collectResources(taskNodes + workerNodes)
        var readWorkers: [PlacementInstance.Worker] = []
        for (node, name) in zip(workerNodes, workerNames) { readWorkers.append(try worker(node, name)) }
        var readTasks: [PlacementInstance.Task] = []
        for (node, name) in zip(taskNodes, taskNames) {
            readTasks.append(try task(node, name, workerCount: workerNames.count))
        }
        return try PlacementInstance.checked(
            name: try root.member("name")?.text() ?? "", resources: resources, tasks: readTasks, workers: readWorkers,
            network: try network(), root: root, place: "tasks")
    }

    private mutating func collectResources(_ nodes: [JSONNode]) throws(InstanceError) {
        var names: Set<String> = []
        for node in nodes {
            for (name, _) in try node.member("resources")?.members() ?? [] { names.insert(name) }
        }
        guard names.count <= 1000 else { throw root.error("more than 1000 different resources") }
        resources = names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    private func amounts(_ node: JSONNode, _ convert: (Double) -> Int64) throws(InstanceError) -> [Int64] {
        guard let given = node.member("resources") else { return [Int64](repeating: 0, count: resources.count) }
        var amounts: [Int64] = []
        for resource in resources {
            amounts.append(convert(try given.member(resource)?.number(to: Bounds.amount) ?? 0))
        }
        return amounts
    }

    private func worker(_ node: JSONNode, _ name: String) throws(InstanceError) -> PlacementInstance.Worker {
        PlacementInstance.Worker(
            name: name, speed: try node.member("speed")?.positive(to: Bounds.speed) ?? 1,
            amounts: try amounts(node, FixedPoint.offered),
            price: try node.member("price")?.number(to: Bounds.time) ?? 0)
    }

    private func task(_ node: JSONNode, _ name: String, workerCount: Int) throws(InstanceError)
        -> PlacementInstance.Task
    {
        PlacementInstance.Task(
            name: name, runTime: try runTime(try node.required("runtime"), workerCount),
            amounts: try amounts(node, FixedPoint.requested), inputs: try inputs(node))
    }

    private func runTime(_ node: JSONNode, _ workerCount: Int) throws(InstanceError) -> PlacementInstance.RunTime {
        if node.isNumber { return .base(try node.number(to: Bounds.time)) }
        guard (try? node.members()) != nil else { throw node.error("expected a number, or an object of one a worker") }
        var times = [Double](repeating: .infinity, count: workerCount)
        for (name, entry) in try node.members() {
            times[try workers.number(name, at: entry)] = try entry.number(to: Bounds.time)
        }
        return .perWorker(times)
    }

    private func inputs(_ node: JSONNode) throws(InstanceError) -> [PlacementInstance.Input] {
        var inputs: [PlacementInstance.Input] = []
        for entry in try node.member("deps")?.elements() ?? [] {
            let producer = try tasks.number(at: try entry.required("task"))
            let cost = entry.member("cost"), bytes = entry.member("bytes")
            if let cost {
                guard bytes == nil else { throw entry.error("has both bytes and cost") }
                inputs.append(.init(producer: producer, size: .cost(try cost.number(to: Bounds.time))))
            } else {
                inputs.append(.init(producer: producer, size: .bytes(try bytes?.number(to: Bounds.bytes) ?? 0)))
            }
        }
        return inputs
    }

    private func network() throws(InstanceError) -> PlacementInstance.Network {
        guard let node = root.member("network") else { return .init() }
        try node.object()
        var pairs: [PlacementInstance.Network.Pair: PlacementInstance.Link] = [:]
        for entry in try node.member("links")?.elements() ?? [] {
            let pair = PlacementInstance.Network.Pair(
                from: try workers.number(at: try entry.required("from")),
                to: try workers.number(at: try entry.required("to")))
            guard pairs[pair] == nil else { throw entry.error("the second link between the two") }
            pairs[pair] = try link(entry)
        }
        return .init(link: try link(node), pairs: pairs)
    }

    /// Without a bandwidth, or with null, there is no limit.
    private func link(_ node: JSONNode) throws(InstanceError) -> PlacementInstance.Link {
        .init(
            bandwidth: try node.member("bandwidth")?.positive(to: Bounds.bytes) ?? .infinity,
            latency: try node.member("latency")?.number(to: Bounds.time) ?? 0)
    }
}
