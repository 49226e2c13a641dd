/// Tasks, workers and the network between them, with everything about them known beforehand: what is scheduled offline.
///
/// A task runs once, on one worker, without a break, and holds its amounts there for all of its run. Any number of
/// tasks run on a worker at once while for each resource their sum is within what the worker has. A transfer delays
/// nothing but its consumer and takes no resources. Times are in the unit of the source, seconds for traces; tasks,
/// workers and resources are dense numbers in the order given.
package struct PlacementInstance: Sendable {
    /// How long a task runs.
    package enum RunTime: Sendable, Equatable {
        /// Divided by the speed of the worker.
        case base(Double)
        /// One time a worker; infinite: it cannot run there.
        case perWorker([Double])
    }

    /// What a task needs of another.
    package struct Input: Sendable, Equatable {
        package enum Size: Sendable, Equatable {
            /// Takes latency + bytes ÷ bandwidth between two workers, and nothing where there are no bytes.
            case bytes(Double)
            /// Takes this long between any two workers.
            case cost(Double)
        }

        package var producer: Int
        package var size: Size

        package init(producer: Int, size: Size) {
            self.producer = producer
            self.size = size
        }
    }

    package struct Task: Sendable {
        package var name: String
        package var runTime: RunTime
        /// An amount for each resource, in 1/10 000.
        package var amounts: [Int64]
        package var inputs: [Input]
        /// An amount for each pool, in 1/10 000; empty: of none.
        package var pooled: [Int64]
        /// By worker, when data are there that are of no task of the instance; empty: at once.
        package var arrivals: [Double]

        package init(
            name: String, runTime: RunTime, amounts: [Int64], inputs: [Input] = [], pooled: [Int64] = [],
            arrivals: [Double] = []
        ) {
            self.name = name
            self.runTime = runTime
            self.amounts = amounts
            self.inputs = inputs
            self.pooled = pooled
            self.arrivals = arrivals
        }
    }

    package struct Worker: Sendable {
        package var name: String
        package var speed: Double
        /// An amount for each resource, in 1/10 000.
        package var amounts: [Int64]
        /// Of the whole worker, a unit of time, from time 0 on.
        package var price: Double
        /// What it is later, by time.
        package var laterPrices: [PriceStep]

        package init(
            name: String, speed: Double = 1, amounts: [Int64], price: Double = 0, laterPrices: [PriceStep] = []
        ) {
            self.name = name
            self.speed = speed
            self.amounts = amounts
            self.price = price
            self.laterPrices = laterPrices
        }

        /// The price at that time.
        package func price(at time: Double) -> Double {
            guard !laterPrices.isEmpty else { return price }
            return laterPrices.last { $0.from <= time }?.price ?? price
        }
    }

    /// From when on which price holds.
    package struct PriceStep: Sendable, Equatable {
        package var from: Double
        package var price: Double

        package init(from: Double, price: Double) {
            self.from = from
            self.price = price
        }
    }

    /// What all workers together may hold of something.
    package struct Pool: Sendable, Equatable {
        package var name: String
        /// In 1/10 000.
        package var amount: Int64

        package init(name: String, amount: Int64) {
            self.name = name
            self.amount = amount
        }
    }

    /// A connection from one worker to another.
    package struct Link: Sendable, Equatable, BitwiseCopyable {
        /// Bytes a unit of time; infinite: no limit.
        package var bandwidth: Double
        package var latency: Double

        package init(bandwidth: Double = .infinity, latency: Double = 0) {
            self.bandwidth = bandwidth
            self.latency = latency
        }
    }

    package struct Network: Sendable {
        package var link: Link
        /// In place of `link` for some ordered pairs.
        package var pairs: [Pair: Link]

        package struct Pair: Hashable, Sendable {
            package var from: Int
            package var to: Int

            package init(from: Int, to: Int) {
                self.from = from
                self.to = to
            }
        }

        package init(link: Link = Link(), pairs: [Pair: Link] = [:]) {
            self.link = link
            self.pairs = pairs
        }
    }

    /// Why tasks and workers are no instance.
    package enum Refusal: Error, Equatable, Sendable {
        /// Tasks that wait for each other, in order; the last waits for the first.
        case cycle([Int])
        /// No worker or pool has the amounts that the task asks for, or no worker can run it at all.
        case nowhere(task: Int)
        case noWorkers
    }

    package let name: String
    package let resources: [String]
    package let tasks: [Task]
    package let workers: [Worker]
    package let network: Network
    /// Tasks hold amounts of them while they run, wherever that is.
    package let pools: [Pool]
    /// What is held beside the tasks.
    package let occupations: [Occupation]
    /// Every task behind those that it needs; equal ones in the order given.
    package let topologicalOrder: [Int]

    /// Requires finite times, sizes and amounts that are not negative, speeds and bandwidths above 0, and numbers of
    /// tasks, workers and resources that exist.
    package init(
        name: String, resources: [String], tasks: [Task], workers: [Worker], network: Network = Network(),
        pools: [Pool] = [], occupations: [Occupation] = []
    ) throws(Refusal) {
        self.name = name
        self.resources = resources
        self.tasks = tasks
        self.workers = workers
        self.network = network
        self.pools = pools
        self.occupations = occupations
        guard !workers.isEmpty else { throw .noWorkers }
        topologicalOrder = try PlacementInstance.order(tasks)
        for task in tasks.indices where !workers.indices.contains(where: { canRun(task, on: $0) }) {
            throw .nowhere(task: task)
        }
    }

    /// The worker has the amounts, and the task can run there at all.
    package func canRun(_ task: Int, on worker: Int) -> Bool {
        guard runTime(of: task, on: worker).isFinite else { return false }
        return zip(tasks[task].amounts, workers[worker].amounts).allSatisfy { $0 <= $1 }
            && zip(tasks[task].pooled, pools).allSatisfy { $0 <= $1.amount }
    }

    /// Infinite: it cannot run there.
    package func runTime(of task: Int, on worker: Int) -> Double {
        switch tasks[task].runTime {
        case .base(let time): time / workers[worker].speed
        case .perWorker(let times): times[worker]
        }
    }

    /// How long the data of an input are under way.
    package func transferTime(_ input: Input, from: Int, to: Int) -> Double {
        guard from != to else { return 0 }
        switch input.size {
        case .cost(let time):
            return time
        case .bytes(let bytes):
            guard bytes > 0 else { return 0 }
            let link = network.pairs[Network.Pair(from: from, to: to)] ?? network.link
            return link.latency + bytes / link.bandwidth
        }
    }

    /// The greatest part of a resource of the worker that the task holds, 0 … 1.
    package func share(of task: Int, on worker: Int) -> Double {
        var share = 0.0
        for (amount, total) in zip(tasks[task].amounts, workers[worker].amounts) where amount > 0 {
            share = max(share, Double(amount) / Double(total))
        }
        return share
    }

    /// What a run there is charged that starts at that time: price then × share × time.
    package func price(of task: Int, on worker: Int, at start: Double = 0) -> Double {
        workers[worker].price(at: start) * share(of: task, on: worker) * runTime(of: task, on: worker)
    }

    /// Some worker's price changes.
    package var hasLaterPrices: Bool { workers.contains { !$0.laterPrices.isEmpty } }
}

extension PlacementInstance {
    /// Kahn's algorithm, in passes over a list, so that equal tasks keep their order. O(tasks + inputs).
    private static func order(_ tasks: [Task]) throws(Refusal) -> [Int] {
        var waiting = tasks.map { $0.inputs.count }
        var consumers = [[Int]](repeating: [], count: tasks.count)
        for (task, entry) in tasks.enumerated() {
            for input in entry.inputs { consumers[input.producer].append(task) }
        }
        var order = tasks.indices.filter { waiting[$0] == 0 }
        var next = 0
        while next < order.count {
            for consumer in consumers[order[next]] {
                waiting[consumer] -= 1
                if waiting[consumer] == 0 { order.append(consumer) }
            }
            next += 1
        }
        guard order.count < tasks.count else { return order }
        throw .cycle(cycle(tasks, waiting: waiting))
    }

    /// Follows inputs that are never there until a task comes again.
    private static func cycle(_ tasks: [Task], waiting: [Int]) -> [Int] {
        guard var task = waiting.firstIndex(where: { $0 > 0 }) else { return [] }
        var path: [Int] = []
        var positions: [Int: Int] = [:]
        while positions[task] == nil {
            positions[task] = path.count
            path.append(task)
            guard let input = tasks[task].inputs.first(where: { waiting[$0.producer] > 0 }) else { return [] }
            task = input.producer
        }
        return Array(path[(positions[task] ?? 0)...].reversed())
    }
}
