import HandoutCore

/// Watches a run from outside and knows nothing of the core's state: what it says broke a rule, broke it.
struct RunWitness {
    private enum State: UInt8 {
        case waiting, running, done, ended, absent
    }

    /// What appended a row: the declared row, and its number there.
    private struct Appended {
        var owner: Int
        var first: Int
        var count: Int
        var shape: ReduceShape?
    }

    private let graph: GraphColumns
    private let outputs: Set<TaskID>
    private var states: [State]
    private var released: [Bool]
    private var holds: [Bool]
    private var appended: [Appended] = []
    private var appendedOf: [Int: Int] = [:]
    private var elements: [Int: Int] = [:]
    private var runningRows: Set<Int> = []
    var running: Int { runningRows.count }
    private(set) var violation: String?

    private let isOn: Bool

    init(graph: GraphColumns, outputs: [TaskID], isOn: Bool) {
        self.isOn = isOn
        self.graph = graph
        self.outputs = Set(outputs)
        states = Array(repeating: .waiting, count: graph.count)
        released = Array(repeating: false, count: graph.count)
        holds = Array(repeating: false, count: graph.count)
    }

    mutating func report(_ problem: String) {
        if violation == nil { violation = problem }
    }

    // MARK: - What happens

    mutating func expanded(_ task: TaskID, elements: Int) {
        guard isOn else { return }
        self.elements[task.index] = elements
    }

    mutating func rows(_ task: TaskID, first: TaskID, count: Int) {
        guard isOn else { return }
        if first.index != states.count { report("rows of \(task) begin at \(first), not at #\(states.count)") }
        var shape: ReduceShape?
        if graph.kind(task) == .reduce {
            let elements = mapUnder(task.index).flatMap { appendedOf[$0] }.map { appended[$0].count }
            shape = ReduceShape(
                count: elements ?? self.elements[task.index] ?? 0,
                arity: Int(graph.options(of: task).arity))
            if shape?.innerCount != count { report("\(task) has \(count) inner rows") }
        } else if (mapUnder(task.index).flatMap { appendedOf[$0] }.map { appended[$0].count } ?? elements[task.index])
            != count
        {
            report("\(task) has \(count) instances")
        }
        appendedOf[task.index] = appended.count
        appended.append(Appended(owner: task.index, first: first.index, count: count, shape: shape))
        states += Array(repeating: .waiting, count: count)
        released += Array(repeating: false, count: count)
        holds += Array(repeating: false, count: count)
    }

    mutating func started(_ task: TaskID) {
        guard isOn else { return }
        guard task.index < states.count else { return report("\(task) started, there is no such row") }
        if states[task.index] != .waiting { report("\(task) started twice") }
        for input in dataInputs(task.index) + orderInputs(task.index) where !isDone(input) {
            report("\(task) started before #\(input) was done")
        }
        for input in dataInputs(task.index) where isReleased(input) {
            report("\(task) started after its input #\(input) was released")
        }
        states[task.index] = .running
        runningRows.insert(task.index)
    }

    /// The row has no value, and those that need it may run all the same.
    mutating func missing(_ task: TaskID) {
        guard isOn else { return }
        if states[task.index] == .running { report("\(task) is missing and runs") }
        if task.index < graph.count && isMap(task.index) && appendedOf[task.index] != nil { return }
        states[task.index] = .absent
    }

    /// The attempt ended without a result, or came back, and the task may start again.
    mutating func stopped(_ task: TaskID, again: Bool = false) {
        guard isOn, !again || states[task.index] == .running else { return }
        if states[task.index] != .running { report("\(task) stopped and did not run") }
        states[task.index] = .waiting
        runningRows.remove(task.index)
    }

    mutating func done(_ task: TaskID, holdsMemory: Bool) {
        guard isOn else { return }
        if states[task.index] != .running { report("\(task) was done twice, or before it started") }
        states[task.index] = .done
        holds[task.index] = holdsMemory
        runningRows.remove(task.index)
    }

    mutating func gaveUp(_ task: TaskID) {
        guard isOn else { return }
        states[task.index] = .ended
    }

    mutating func released(first: TaskID, count: Int) {
        guard isOn else { return }
        for row in first.index..<first.index + count {
            if !holds[row] { report("#\(row) was released and holds nothing") }
            if released[row] { report("#\(row) was released twice") }
            if outputs.contains(TaskID(row)) || owner(row).map({ outputs.contains(TaskID($0)) && isMap($0) }) ?? false {
                report("#\(row) is an output and was released")
            }
            released[row] = true
            if let user = runningRows.sorted().first(where: { dataInputs($0).contains(row) }) {
                report("#\(row) was released while #\(user) runs on it")
            }
        }
    }

    /// At the end everything but the outputs was released.
    mutating func ended() {
        guard isOn else { return }
        if running != 0 { report("the run ended and \(running) tasks run") }
        for row in states.indices where holds[row] && !released[row] {
            let isOutput =
                outputs.contains(TaskID(row)) || owner(row).map { outputs.contains(TaskID($0)) && isMap($0) } ?? false
            if !isOutput { report("#\(row) was never released") }
        }
    }

    // MARK: - What needs what

    private func isMap(_ row: Int) -> Bool { graph.kinds[row] == TaskKind.map.rawValue }

    private func owner(_ row: Int) -> Int? {
        guard row >= graph.count else { return nil }
        return appended.last { row >= $0.first && row < $0.first + $0.count }?.owner
    }

    private func mapUnder(_ row: Int) -> Int? {
        for word in graph.references(of: TaskID(row)) {
            let reference = Reference(word: word)
            if reference.isOver && isMap(reference.payload) { return reference.payload }
        }
        return nil
    }

    private func isDone(_ row: Int) -> Bool {
        guard row < graph.count, isMap(row), states[row] != .absent else {
            return states[row] == .done || states[row] == .absent
        }
        guard let index = appendedOf[row] else { return false }
        let block = appended[index]
        return states[block.first..<block.first + block.count].allSatisfy { $0 == .done || $0 == .absent }
    }

    private func isReleased(_ row: Int) -> Bool {
        guard row < graph.count, isMap(row), let index = appendedOf[row] else { return released[row] }
        let block = appended[index]
        return released[block.first..<block.first + block.count].contains(true)
    }

    private func declaredInputs(_ row: Int, data: Bool, over: Bool) -> [Int] {
        var inputs: [Int] = []
        var isData = true
        for word in graph.references(of: TaskID(row)) {
            let reference = Reference(word: word)
            if reference.operation == .after || reference.operation == .when || reference.operation == .unless {
                isData = false
            }
            if isData == data && (reference.isTask || reference.isOver && over) { inputs.append(reference.payload) }
        }
        return inputs
    }

    /// Rows whose values the row's function receives.
    private func dataInputs(_ row: Int) -> [Int] {
        let declared = owner(row) ?? row
        guard graph.kinds[declared] == TaskKind.reduce.rawValue else {
            guard row >= graph.count, let over = mapUnder(declared), let from = appendedOf[over],
                let to = appendedOf[declared]
            else { return declaredInputs(declared, data: true, over: true) }
            // Element by element.
            return [appended[from].first + row - appended[to].first] + declaredInputs(declared, data: true, over: false)
        }
        guard let index = appendedOf[declared], let shape = appended[index].shape else { return [] }
        let block = appended[index]
        let inputs = row < graph.count ? shape.rootInputs : shape.inputs(ofInner: row - block.first)
        var base = block.first
        if inputs.areElements {
            guard let map = mapUnder(declared), let instances = appendedOf[map] else {
                return declaredInputs(declared, data: true, over: true)
            }
            base = appended[instances].first
        }
        return Array(base + inputs.first..<base + inputs.first + inputs.count)
            + declaredInputs(declared, data: true, over: false)
    }

    private func orderInputs(_ row: Int) -> [Int] { declaredInputs(owner(row) ?? row, data: false, over: false) }
}
