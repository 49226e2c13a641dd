/// The size of a graph as declared: maps and reduces count as one task.
package struct GraphShape: Sendable, Equatable {
    package let tasks: Int
    package let edges: Int
    /// Tasks on the longest path.
    package let depth: Int

    /// O(rows + references).
    package init(_ graph: GraphColumns) {
        var depths = [Int32](repeating: 1, count: graph.count)
        var edges = 0
        var tasks = 0
        var deepest: Int32 = 0
        for row in 0..<graph.ownCount {
            // An input, or an element of a value, is no step of its own.
            let isTask = graph.kind(TaskID(row)).isTask
            if isTask { tasks += 1 } else { depths[row] = 0 }
            var isWaitedFor = true
            for word in graph.references(of: TaskID(row)) {
                let reference = Reference(word: word)
                if reference.operation == .near || reference.operation == .function { isWaitedFor = false }
                guard isWaitedFor, reference.isTask || reference.isOver || reference.operation == .own else { continue }
                if isTask { edges += 1 }
                depths[row] = max(depths[row], depths[reference.payload] + (isTask ? 1 : 0))
            }
            deepest = max(deepest, depths[row])
        }
        self.tasks = tasks
        self.edges = edges
        depth = Int(deepest)
    }
}
