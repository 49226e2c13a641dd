/// What a strategy is told of a worker. Amounts: one a resource, by its index, in 1/10 000, of `memory` in bytes.
package struct WorkerFacts: Sendable {
    /// The caller's number of it, of no other worker ever.
    package var number: UInt32
    package var id: String
    package var labels: [String: String] = [:]
    /// Pools that the cluster shares included.
    package var total: [UInt64]
    package var free: [UInt64]
    package var running: UInt32 = 0
    package var price: Double = 0
    package var speed: Double = 1
    /// Seconds of life left.
    package var remaining: Double?
    package var idle: Double = 0
    /// Bytes a second.
    package var bandwidth: Double?
    package var lost: UInt32 = 0

    package init(number: UInt32, id: String, total: [UInt64], free: [UInt64]) {
        self.number = number
        self.id = id
        self.total = total
        self.free = free
    }
}

/// What tasks and classes have alike; of a class it is that of its next task.
package struct RequestFacts: Sendable {
    /// The declared id.
    package var name: String
    /// Ids of workers.
    package var near: [String] = []
    package var priority: Int32 = 0
    package var consumers: UInt32 = 0
    package var retriesLeft: UInt32 = 0
    /// Seconds.
    package var estimate: Double?
    package var rank: Double?

    package init(name: String) { self.name = name }
}

/// What a strategy is told of tasks that ask for the same.
package struct ClassFacts: Sendable {
    package var next: RequestFacts
    /// Amounts of each variant.
    package var variants: [[UInt64]]
    /// The first variant that fits.
    package var fitting = 0
    /// Label and the values that will do.
    package var `where`: [(label: String, values: [String])] = []
    /// Ready tasks.
    package var count: UInt64

    package init(next: RequestFacts, variants: [[UInt64]], count: UInt64) {
        self.next = next
        self.variants = variants
        self.count = count
    }
}

/// What a strategy is told of a ready task.
package struct TaskFacts: Sendable {
    package enum Key: Sendable {
        case none
        case index(Int64)
        case name(String)
    }
    /// The caller's number of it.
    package var number: UInt32
    /// Index of its class in the view.
    package var classIndex: UInt32
    package var own: RequestFacts
    package var id: String
    package var key = Key.none
    package var attempt: UInt32 = 1
    package var waited: Double = 0
    package var inputBytes: Int64?

    package init(number: UInt32, classIndex: UInt32, own: RequestFacts, id: String) {
        self.number = number
        self.classIndex = classIndex
        self.own = own
        self.id = id
    }
}

/// What is asked for when the strategy asks: a large queue is never copied.
package protocol StrategyQueue: AnyObject {
    /// How many tasks of the class fit on the worker now; both are indices of the view.
    func fits(class index: Int, on worker: Int) -> UInt64
    /// Bytes of the task's inputs on the worker.
    func bytes(of task: UInt32, on worker: Int) -> UInt64
    /// The ready task at that place by priority, from 0.
    func task(at place: Int) -> TaskFacts?
    /// The same within a class.
    func task(ofClass index: Int, at place: Int) -> TaskFacts?
    func task(id: [UInt8]) -> TaskFacts?
}
