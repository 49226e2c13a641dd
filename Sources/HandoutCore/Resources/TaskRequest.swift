/// So much of one resource. Amounts are in 1/10 000, those of memory in bytes.
package struct ResourceAmount: Sendable, Hashable, BitwiseCopyable {
    /// Index in `RequestTable.names`.
    package var resource: UInt32
    package var amount: UInt64

    package init(resource: UInt32, amount: UInt64) {
        self.resource = resource
        self.amount = amount
    }
}

/// What one attempt takes of a worker, and where it may run.
package struct TaskRequest: Sendable, Hashable {
    /// One of the ways in which a task may run.
    package struct Variant: Sendable, Hashable {
        /// By index of resource; none is 0.
        package var amounts: [ResourceAmount]
        /// Expected run time in nanoseconds on a worker of speed 1; 0: not known.
        package var estimate: UInt64

        package init(amounts: [ResourceAmount], estimate: UInt64 = 0) {
            self.amounts = amounts
            self.estimate = estimate
        }
    }

    /// Every label must equal one of the values.
    package struct Label: Sendable, Hashable {
        package var name: String
        package var values: [String]

        package init(name: String, values: [String]) {
            self.name = name
            self.values = values
        }
    }

    /// The first is preferred; never empty.
    package var variants: [Variant]
    package var labels: [Label]
    /// Only on this worker.
    package var worker: String?
    /// Run time of one attempt in nanoseconds, 0: no limit; nil: that of the options.
    package var timeout: UInt64?

    package init(variants: [Variant], labels: [Label] = [], worker: String? = nil) {
        self.variants = variants
        self.labels = labels
        self.worker = worker
    }
}

/// What the tasks of a graph ask for, each distinct request once.
package struct RequestTable: Sendable {
    package static let cpu: UInt32 = 0
    package static let memory: UInt32 = 1
    package static let gpu: UInt32 = 2
    package static let builtIn = ["cpu", "memory", "gpu"]

    /// Resources that tasks ask for or that limits are of; the first three are `builtIn`.
    package private(set) var names: [String] = RequestTable.builtIn
    package private(set) var requests: [TaskRequest] = []
    /// By set of options: index in `requests`.
    package private(set) var ofOptions: [UInt32] = []
    /// Pools of the run.
    package private(set) var limits: [ResourceAmount] = []

    private var indices: [String: UInt32] = ["cpu": 0, "memory": 1, "gpu": 2]
    private var known: [TaskRequest: UInt32] = [:]

    package init() {}

    /// One request for each set of options, of its cpu and memory.
    package init(options: [TaskOptions]) {
        for option in options.isEmpty ? [TaskOptions()] : options {
            add(NamedRequest(variants: [NamedRequest.Variant(cpu: option.cpu, memory: option.memory)]), option.estimate)
        }
    }

    /// The index of a resource, which is new when it was not met before.
    package mutating func index(of name: String) -> UInt32 {
        if let index = indices[name] { return index }
        let index = UInt32(names.count)
        names.append(name)
        indices[name] = index
        return index
    }

    /// The index of a resource; nil: no task asks for it.
    package func find(_ name: String) -> UInt32? { indices[name] }

    /// Adds the request of the next set of options; `estimate` holds for variants without one.
    package mutating func add(_ named: NamedRequest, _ estimate: UInt64) {
        ofOptions.append(intern(request(named, estimate)))
    }

    /// The index of a request that is equal, which is added when there is none.
    package mutating func intern(_ request: TaskRequest) -> UInt32 {
        if let index = known[request] { return index }
        let index = UInt32(requests.count)
        requests.append(request)
        known[request] = index
        return index
    }

    /// Sets a pool of the run; one that is there already stays.
    package mutating func limit(_ name: String, _ amount: UInt64) {
        let resource = index(of: name)
        guard !limits.contains(where: { $0.resource == resource }) else { return }
        limits.append(ResourceAmount(resource: resource, amount: amount))
    }

    private mutating func request(_ named: NamedRequest, _ estimate: UInt64) -> TaskRequest {
        var variants: [TaskRequest.Variant] = []
        for variant in named.variants {
            var amounts: [ResourceAmount] = []
            for (name, amount) in variant.amounts {
                // Of a resource that a function tells the amount of, the name is known.
                let resource = index(of: name)
                if amount > 0 { amounts.append(ResourceAmount(resource: resource, amount: amount)) }
            }
            amounts.sort { $0.resource < $1.resource }
            variants.append(TaskRequest.Variant(amounts: amounts, estimate: variant.estimate ?? estimate))
        }
        return TaskRequest(variants: variants, labels: named.labels, worker: named.worker)
    }
}

/// A request as it was written, with names of resources.
package struct NamedRequest: Sendable, Equatable {
    package struct Variant: Sendable, Equatable {
        package var amounts: [String: UInt64]
        /// Nil: that of the task.
        package var estimate: UInt64?

        package init(amounts: [String: UInt64], estimate: UInt64? = nil) {
            self.amounts = amounts
            self.estimate = estimate
        }

        package init(cpu: UInt64, memory: UInt64 = 0) { self.init(amounts: ["cpu": cpu, "memory": memory]) }
    }

    package var variants: [Variant]
    package var labels: [TaskRequest.Label]
    package var worker: String?

    package init(variants: [Variant], labels: [TaskRequest.Label] = [], worker: String? = nil) {
        self.variants = variants
        self.labels = labels
        self.worker = worker
    }
}
