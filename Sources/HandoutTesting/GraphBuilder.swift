package import HandoutCore

/// Builds a graph in a few lines, for tests and benchmarks.
///
/// ```swift
/// var graph = GraphBuilder()
/// let load = graph.task("load")
/// let sizes = graph.map(over: .task(load))
/// graph.reduce(over: .task(sizes), arity: 4)
/// ```
package struct GraphBuilder {
    /// What a map or reduce runs over.
    package enum Over {
        /// A list of that many elements, known when planned.
        case literal(Int)
        case task(TaskID)
    }

    private let name: String
    private var kinds: [UInt8] = []
    private var optionIndices: [UInt32] = []
    private var referenceOffsets: [UInt32] = [0]
    private var references: [UInt32] = []
    private var nameOffsets: [UInt32] = [0]
    private var nameBytes: [UInt8] = []
    private var options: [TaskOptions] = []
    private var optionIndex: [TaskOptions: UInt32] = [:]
    private var declaredOutputs: [(name: String, task: TaskID)] = []
    /// Length of each literal list, by its index in the value pool.
    package private(set) var literals: [Int] = []

    /// What tasks with these options ask for; nil: their cpu and memory.
    package var request: ((TaskOptions) -> NamedRequest)?
    /// Pools of the run.
    package var limits: [String: UInt64] = [:]

    package init(name: String = "test") { self.name = name }

    package var count: Int { kinds.count }

    /// Adds a task. Without a name it is called `t` and its number.
    @discardableResult
    package mutating func task(
        _ name: String? = nil, needs: [TaskID] = [], after: [TaskID] = [], options: TaskOptions = TaskOptions()
    ) -> TaskID {
        add(.task, name, over: nil, needs, after, options)
    }

    /// Adds a task whose value conditions ask for.
    @discardableResult
    package mutating func when(
        _ name: String? = nil, needs: [TaskID] = [], options: TaskOptions = TaskOptions()
    ) -> TaskID {
        add(.when, name, over: nil, needs, [], options)
    }

    /// The row that was added last runs only if all of `when` are true and none of `unless` is.
    package mutating func conditions(when: [TaskID] = [], unless: [TaskID] = []) {
        for (operation, tasks) in [(Reference.Operation.when, when), (.unless, unless)] where !tasks.isEmpty {
            references.append(Reference(operation, tasks.count).word)
            references += tasks.map { Reference(.task, $0.index).word }
        }
        referenceOffsets[referenceOffsets.count - 1] = UInt32(references.count)
    }

    /// Adds a map.
    @discardableResult
    package mutating func map(
        _ name: String? = nil, over: Over, needs: [TaskID] = [], after: [TaskID] = [],
        options: TaskOptions = TaskOptions()
    ) -> TaskID {
        add(.map, name, over: over, needs, after, options)
    }

    /// Adds a reduce. `arity` is set in `options`.
    @discardableResult
    package mutating func reduce(
        _ name: String? = nil, over: Over, arity: Int = 8, needs: [TaskID] = [], after: [TaskID] = [],
        options: TaskOptions = TaskOptions()
    ) -> TaskID {
        var options = options
        options.arity = UInt32(arity)
        return add(.reduce, name, over: over, needs, after, options)
    }

    package mutating func output(_ name: String, _ task: TaskID) { declaredOutputs.append((name, task)) }

    package func build() -> GraphColumns {
        GraphColumns(
            name: name, kinds: Column(kinds), optionIndices: Column(optionIndices),
            referenceOffsets: Column(referenceOffsets), references: Column(references),
            nameOffsets: Column(nameOffsets), nameBytes: Column(nameBytes),
            lines: Column((0..<kinds.count).map { UInt32($0 + 1) }), options: options,
            declaredOutputs: declaredOutputs, requests: requests)
    }

    private var requests: RequestTable? {
        guard let request else { return nil }
        var table = RequestTable()
        for option in options.isEmpty ? [TaskOptions()] : options { table.add(request(option), option.estimate) }
        for (name, amount) in limits.sorted(by: { $0.key < $1.key }) { table.limit(name, amount) }
        return table
    }

    private mutating func add(
        _ kind: TaskKind, _ name: String?, over: Over?, _ needs: [TaskID], _ after: [TaskID], _ options: TaskOptions
    ) -> TaskID {
        let task = TaskID(kinds.count)
        kinds.append(kind.rawValue)
        switch over {
        case .literal(let count):
            references.append(Reference(.overLiteral, literals.count).word)
            literals.append(count)
        case .task(let over): references.append(Reference(.over, over.index).word)
        case nil: break
        }
        references += needs.map { Reference(.task, $0.index).word }
        if !after.isEmpty {
            references.append(Reference(.after, after.count).word)
            references += after.map { Reference(.task, $0.index).word }
        }
        referenceOffsets.append(UInt32(references.count))
        nameBytes += Array((name ?? "t\(task.index)").utf8)
        nameOffsets.append(UInt32(nameBytes.count))
        let index: UInt32
        if let known = optionIndex[options] {
            index = known
        } else {
            index = UInt32(self.options.count)
            self.options.append(options)
            optionIndex[options] = index
        }
        optionIndices.append(index)
        return task
    }
}
