/// An instance as the planners read it: raw columns that are written once.
///
/// `mirror` is the same with time reversed: inputs and consumers, and both ends of every link, change places. A
/// schedule for it, read backwards, is one for the model; so everything that schedules forwards schedules backwards
/// too.
final class Model {
    let count: Int
    let workers: Int
    /// Words of packed amounts a task and a worker.
    let words: Int
    let guards: UnsafeMutablePointer<UInt64>
    /// [task × words + word]
    let requests: UnsafeMutablePointer<UInt64>
    /// Of one word: the least amount that any task asks for, resource by resource.
    let leastRequest: UInt64
    /// [worker × words + word]
    let capacities: UnsafeMutablePointer<UInt64>
    /// What tasks ask of pools; nil: of none.
    let pools: PoolAmounts?
    /// [task × workers + worker]; infinite: it cannot run there.
    let runTimes: UnsafeMutablePointer<Double>
    /// When data from elsewhere are there: [task × workers + worker]; nil: at once.
    let arrivals: UnsafeMutablePointer<Double>?
    /// What is free before anything is placed; nil: all.
    let initial: InitialProfiles?
    /// The workers that a task can run on are [eligibleFirst[task], eligibleFirst[task + 1]).
    let eligibleFirst: UnsafeMutablePointer<Int32>
    let eligible: UnsafeMutablePointer<Int32>
    let inputs: Edges
    let outputs: Edges
    /// Transfer times depend on the pair of workers: [from × workers + to].
    let links: UnsafeMutablePointer<PlacementInstance.Link>?
    /// Tasks, each behind its inputs.
    let order: UnsafeMutablePointer<Int32>
    private(set) lazy var upwardRanksScratch = upwardRanks()
    /// No data ever travel for a time.
    let isFreeOfTransfers: Bool
    /// All times are whole numbers.
    let isIntegral: Bool

    convenience init(_ instance: PlacementInstance) {
        self.init(instance, inputs: Edges(instance), outputs: Edges(consumersOf: instance), isReversed: false)
    }

    /// See the type.
    static func mirror(of instance: PlacementInstance) -> Model {
        Model(instance, inputs: Edges(consumersOf: instance), outputs: Edges(instance), isReversed: true)
    }

    private init(_ instance: PlacementInstance, inputs: Edges, outputs: Edges, isReversed: Bool) {
        let packed = PackedAmounts(instance)
        count = instance.tasks.count
        workers = instance.workers.count
        words = packed.words
        guards = copy(packed.guards)
        requests = copy(instance.tasks.flatMap { packed.request($0.amounts) })
        leastRequest =
            packed.request(
                instance.resources.indices.map { resource in
                    instance.tasks.lazy.map { $0.amounts[resource] }.min() ?? 0
                })[0]
        capacities = copy(instance.workers.flatMap { packed.capacity($0.amounts) })
        pools = PoolAmounts(instance)
        var first: [Int32] = [0]
        var all: [Int32] = []
        var times: [Double] = []
        for task in instance.tasks.indices {
            for worker in instance.workers.indices {
                let runs = instance.canRun(task, on: worker)
                times.append(runs ? instance.runTime(of: task, on: worker) : .infinity)
                if runs { all.append(Int32(worker)) }
            }
            first.append(Int32(all.count))
        }
        runTimes = copy(times)
        // Backwards nobody knows when the end is: what is held at the beginning does not count there.
        initial = isReversed ? nil : InitialProfiles(instance, packed)
        let hasArrivals = !isReversed && instance.tasks.contains { !$0.arrivals.isEmpty }
        arrivals =
            hasArrivals
            ? copy(
                instance.tasks.flatMap { task in
                    instance.workers.indices.map { $0 < task.arrivals.count ? task.arrivals[$0] : 0 }
                }) : nil
        eligibleFirst = copy(first)
        eligible = copy(all)
        self.inputs = inputs
        self.outputs = outputs
        links = instance.network.pairs.isEmpty ? nil : copy(Model.links(instance, isReversed: isReversed))
        let topological = instance.topologicalOrder.map { Int32($0) }
        order = copy(isReversed ? topological.reversed() : topological)
        let sent = instance.tasks.flatMap(\.inputs)
        isFreeOfTransfers =
            workers == 1
            || sent.allSatisfy { instance.longestTransfer($0) == 0 }
        isIntegral =
            !instance.hasPast
            && times.allSatisfy { $0 == .infinity || $0 == $0.rounded() }
            && (isFreeOfTransfers
                || instance.network.pairs.isEmpty
                    && sent.allSatisfy { input in
                        let time = instance.longestTransfer(input)
                        return time == time.rounded()
                    })
    }

    deinit {
        for pointer in [guards, requests, capacities] { pointer.deallocate() }
        runTimes.deallocate()
        arrivals?.deallocate()
        for pointer in [eligibleFirst, eligible, order] { pointer.deallocate() }
        links?.deallocate()
    }

    @inline(__always) func runTime(_ task: Int, _ worker: Int) -> Double { runTimes[task * workers + worker] }

    @inline(__always) func canRun(_ task: Int, _ worker: Int) -> Bool { runTime(task, worker) < .infinity }

    /// When the data from elsewhere are on the worker.
    @inline(__always) func arrival(_ task: Int, on worker: Int) -> Double {
        guard let arrivals else { return 0 }
        return arrivals[task * workers + worker]
    }

    @inline(__always) func eligible(_ task: Int) -> UnsafeBufferPointer<Int32> {
        let first = Int(eligibleFirst[task])
        return UnsafeBufferPointer(start: eligible + first, count: Int(eligibleFirst[task + 1]) - first)
    }

    /// How long the data of edge `edge` are under way between two different workers.
    @inline(__always) func transferTime(_ edges: Edges, _ edge: Int, from: Int, to: Int) -> Double {
        guard let links, edges.bytes[edge] > 0 else { return edges.times[edge] }
        let link = links[from * workers + to]
        return link.latency + edges.bytes[edge] / link.bandwidth
    }

    private static func links(_ instance: PlacementInstance, isReversed: Bool) -> [PlacementInstance.Link] {
        let workers = instance.workers.indices
        return workers.flatMap { from in
            workers.map { to in
                let pair = isReversed ? PlacementInstance.Network.Pair(from: to, to: from) : .init(from: from, to: to)
                return instance.network.pairs[pair] ?? instance.network.link
            }
        }
    }
}

/// The edges at one end of every task: those of a task are [first[task], first[task + 1]).
final class Edges {
    let first: UnsafeMutablePointer<Int32>
    /// The task at the other end.
    let tasks: UnsafeMutablePointer<Int32>
    /// Time under way between two different workers; where that depends on the pair, the mean over all pairs.
    let times: UnsafeMutablePointer<Double>
    /// Above 0 where the time depends on bytes and link.
    let bytes: UnsafeMutablePointer<Double>

    convenience init(_ instance: PlacementInstance) {
        self.init(instance, instance.tasks.map { $0.inputs.map { ($0.producer, $0) } })
    }

    convenience init(consumersOf instance: PlacementInstance) {
        var outputs = [[(Int, PlacementInstance.Input)]](repeating: [], count: instance.tasks.count)
        for (task, entry) in instance.tasks.enumerated() {
            for input in entry.inputs { outputs[input.producer].append((task, input)) }
        }
        self.init(instance, outputs)
    }

    private init(_ instance: PlacementInstance, _ edges: [[(Int, PlacementInstance.Input)]]) {
        var firsts: [Int32] = [0]
        for list in edges { firsts.append((firsts.last ?? 0) + Int32(list.count)) }
        first = copy(firsts)
        let all = edges.joined()
        tasks = copy(all.map { Int32($0.0) })
        times = copy(all.map { instance.meanTransfer($0.1) })
        bytes = copy(
            all.map { edge in
                if case .bytes(let bytes) = edge.1.size { bytes } else { 0 }
            })
    }

    deinit {
        first.deallocate()
        tasks.deallocate()
        times.deallocate()
        bytes.deallocate()
    }

    @inline(__always) func range(_ task: Int) -> Range<Int> { Int(first[task])..<Int(first[task + 1]) }
}

extension PlacementInstance {
    /// Over all pairs of different workers, as the papers take it: mean latency + bytes ÷ mean bandwidth. With one link
    /// for all pairs this is the time itself.
    func meanTransfer(_ input: Input) -> Double {
        guard workers.count > 1 else { return 0 }
        guard case .bytes(let bytes) = input.size, !network.pairs.isEmpty else {
            return transferTime(input, from: 0, to: 1)
        }
        guard bytes > 0 else { return 0 }
        let pairs = Double(workers.count * (workers.count - 1))
        let special = network.pairs.filter { $0.key.from != $0.key.to }
        let others = pairs - Double(special.count)
        let latency = special.values.reduce(network.link.latency * others) { $0 + $1.latency } / pairs
        let slow = special.values.map(\.bandwidth).filter(\.isFinite)
        let slowOthers = network.link.bandwidth.isFinite ? others : 0
        let limited = Double(slow.count) + slowOthers
        // Links without a limit would make the mean infinite: they count as those whose data are there at once.
        guard limited > 0 else { return latency }
        let total = slow.reduce(slowOthers > 0 ? network.link.bandwidth * slowOthers : 0, +)
        return latency + bytes / (total / limited) * (limited / pairs)
    }

    func longestTransfer(_ input: Input) -> Double {
        guard workers.count > 1 else { return 0 }
        guard case .bytes(let bytes) = input.size, bytes > 0 else { return transferTime(input, from: 0, to: 1) }
        return network.pairs.values.reduce(transferTime(input, from: workers.count, to: workers.count + 1)) {
            max($0, $1.latency + bytes / $1.bandwidth)
        }
    }
}

/// The elements in memory of their own, to be deallocated by the caller.
func copy<Element: BitwiseCopyable>(_ elements: [Element]) -> UnsafeMutablePointer<Element> {
    let memory = UnsafeMutablePointer<Element>.allocate(capacity: max(1, elements.count))
    memory.initialize(from: elements, count: elements.count)
    return memory
}
