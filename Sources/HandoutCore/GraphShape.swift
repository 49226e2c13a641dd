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
        var deepest: Int32 = 0
        for row in 0..<graph.count {
            for word in graph.references(of: TaskID(row)) {
                let reference = Reference(word: word)
                guard reference.isTask || reference.isOver else { continue }
                edges += 1
                depths[row] = max(depths[row], depths[reference.payload] + 1)
            }
            deepest = max(deepest, depths[row])
        }
        tasks = graph.count
        self.edges = edges
        depth = Int(deepest)
    }
}
