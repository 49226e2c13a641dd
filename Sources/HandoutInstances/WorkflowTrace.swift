import HandoutPlacement

/// Reads a trace in WfFormat 1.4 or later (https://github.com/wfcommons/WfFormat) as an instance.
///
/// Tasks come from `workflow.specification.tasks`, their run times, cores and memory from `workflow.execution.tasks`.
/// An input is as large as the files that its parent writes and it reads. The workers are the machines of the trace
/// with their cores and memory; a run time counts as recorded on the machine named with it, and is scaled by clock
/// speeds. A trace without machines gets four workers of eight cores. Between machines there are 125 000 000 bytes a
/// second (1 Gbit/s), for a trace says nothing about that. Memory counts where every machine gives its own.
struct WorkflowTrace {
    private let root: JSONNode
    private static let bandwidth = 125_000_000.0

    init(_ root: JSONNode) { self.root = root }

    func instance() throws(InstanceError) -> PlacementInstance {
        try checkVersion()
        let workflow = try root.required("workflow")
        let specification = try workflow.required("specification")
        let execution = try workflow.required("execution")
        let machines = try Machines(execution.member("machines")?.elements() ?? [])
        var names = NameTable("task")
        let nodes = try specification.required("tasks").elements()
        var ids: [String] = []
        for node in nodes { ids.append(try names.add(try node.required("id"))) }
        let sizes = try fileSizes(specification)
        let runs = try self.runs(execution, names, count: nodes.count)
        var tasks: [PlacementInstance.Task] = []
        for (index, node) in nodes.enumerated() {
            guard let run = runs[index] else { throw node.error("workflow.execution.tasks has no '\(ids[index])'") }
            tasks.append(
                PlacementInstance.Task(
                    name: ids[index], runTime: .base(try machines.runTime(run)), amounts: try machines.request(run),
                    inputs: try inputs(node, names, nodes, sizes)))
        }
        return try PlacementInstance.checked(
            name: try root.member("name")?.text() ?? "", resources: machines.resources, tasks: tasks,
            workers: machines.workers, network: .init(link: .init(bandwidth: WorkflowTrace.bandwidth)), root: root,
            place: "workflow.specification.tasks")
    }

    private func checkVersion() throws(InstanceError) {
        guard let version = root.member("schemaVersion") else { return }
        let parts = try version.text().split(separator: ".").map { Int($0) }
        guard parts.count >= 2, parts[0] == 1, let minor = parts[1], minor >= 4 else {
            throw version.error("expected WfFormat 1.4 or later, got '\(try version.text())'")
        }
    }

    private func fileSizes(_ specification: JSONNode) throws(InstanceError) -> [String: Double] {
        var sizes: [String: Double] = [:]
        for file in try specification.member("files")?.elements() ?? [] {
            sizes[try file.required("id").text()] = try file.required("sizeInBytes").number(to: Bounds.bytes)
        }
        return sizes
    }

    /// What was recorded of each task.
    private func runs(_ execution: JSONNode, _ names: NameTable, count: Int) throws(InstanceError) -> [JSONNode?] {
        var runs = [JSONNode?](repeating: nil, count: count)
        for node in try execution.required("tasks").elements() {
            runs[try names.number(at: try node.required("id"))] = node
        }
        return runs
    }

    private func inputs(
        _ node: JSONNode, _ names: NameTable, _ nodes: [JSONNode], _ sizes: [String: Double]
    ) throws(InstanceError) -> [PlacementInstance.Input] {
        let read = Set(try texts(node, "inputFiles"))
        var inputs: [PlacementInstance.Input] = []
        for parent in try node.member("parents")?.elements() ?? [] {
            let producer = try names.number(at: parent)
            var bytes = 0.0
            for file in Set(try texts(nodes[producer], "outputFiles")).intersection(read).sorted() {
                bytes += sizes[file] ?? 0
            }
            inputs.append(.init(producer: producer, size: .bytes(min(bytes, Bounds.bytes))))
        }
        return inputs
    }

    private func texts(_ node: JSONNode, _ name: String) throws(InstanceError) -> [String] {
        var texts: [String] = []
        for element in try node.member(name)?.elements() ?? [] { texts.append(try element.text()) }
        return texts
    }
}

/// The machines of a trace as workers.
private struct Machines {
    private(set) var workers: [PlacementInstance.Worker] = []
    let resources: [String]
    private var names = NameTable("machine")
    private let hasMemory: Bool

    init(_ nodes: [JSONNode]) throws(InstanceError) {
        var nodes = nodes[...]
        hasMemory = !nodes.isEmpty && nodes.allSatisfy { $0.member("memoryInBytes") != nil }
        resources = hasMemory ? ["cpu", "memory"] : ["cpu"]
        guard let first = nodes.first else {
            workers = (0..<4).map { PlacementInstance.Worker(name: "w\($0)", amounts: [80_000], price: 8) }
            return
        }
        let reference = try Machines.clock(first) ?? 1
        while let node = nodes.popFirst() {
            let cores = try node.member("cpu")?.member("coreCount")?.positive(to: 1e6) ?? 1
            var amounts = [FixedPoint.offered(cores)]
            if hasMemory {
                amounts.append(FixedPoint.offered(try node.required("memoryInBytes").number(to: Bounds.amount)))
            }
            workers.append(
                PlacementInstance.Worker(
                    name: try names.add(try node.required("nodeName")),
                    speed: try (Machines.clock(node) ?? reference) / reference, amounts: amounts, price: cores))
        }
    }

    private static func clock(_ node: JSONNode) throws(InstanceError) -> Double? {
        try node.member("cpu")?.member("speedInMHz")?.positive(to: Bounds.speed)
    }

    /// At speed 1: the time recorded × the speed of the machine that it was recorded on.
    func runTime(_ run: JSONNode) throws(InstanceError) -> Double {
        let time = try run.required("runtimeInSeconds").number(to: Bounds.time)
        // 1.5 has a list of machines a task, earlier versions one.
        let machine = try run.member("machines")?.elements().first ?? run.member("machine")
        guard let machine, !workers.isEmpty else { return time }
        return try time * workers[names.number(at: machine)].speed
    }

    func request(_ run: JSONNode) throws(InstanceError) -> [Int64] {
        let cores = FixedPoint.requested(try run.member("coreCount")?.number(to: 1e6) ?? 1)
        guard hasMemory else { return [cores] }
        return [cores, FixedPoint.requested(try run.member("memoryInBytes")?.number(to: Bounds.amount) ?? 0)]
    }
}
