import HandoutCore
import HandoutPlan

/// Which tasks' values a run gives: those asked for, those the graph names, or those nothing refers to.
struct OutputSelection {
    private let plan: Plan
    init(_ plan: Plan) { self.plan = plan }

    /// The outputs, by name in bytewise order.
    ///
    /// - Parameter targets: output names, else ids of tasks; empty: all outputs.
    func select(_ targets: [String]) throws(PlanRefusal) -> [(name: String, task: TaskID)] {
        let all = declaredOrUnreferenced
        guard !targets.isEmpty else { return sorted(all) }
        var chosen: [(name: String, task: TaskID)] = []
        for target in targets where !chosen.contains(where: { Array($0.name.utf8) == Array(target.utf8) }) {
            chosen.append((target, try find(target, among: all)))
        }
        return sorted(chosen)
    }

    private func find(_ target: String, among outputs: [(name: String, task: TaskID)]) throws(PlanRefusal) -> TaskID {
        let bytes = Array(target.utf8)
        let graph = plan.graph
        if let output = outputs.first(where: { Array($0.name.utf8) == bytes }) { return output.task }
        let rows = (0..<graph.ownCount).lazy.filter { !graph.kind(TaskID($0)).isHidden }
        for row in rows where graph.nameBuffer(TaskID(row)).elementsEqual(bytes) { return TaskID(row) }
        let names = outputs.map(\.name) + rows.prefix(10_000).map { graph.name(TaskID($0)) }
        let hint = NearestName.find(target, among: names).map { " (did you mean '\($0)'?)" } ?? ""
        throw PlanRefusal(
            problems: [
                PlanProblem(
                    code: "target",
                    message: "target '\(TextEscape.shown(target))': no output or task of that name\(hint)")
            ])
    }

    private var declaredOrUnreferenced: [(name: String, task: TaskID)] {
        let graph = plan.graph
        if !graph.declaredOutputs.isEmpty { return graph.declaredOutputs }
        var referenced = [Bool](repeating: false, count: graph.count)
        for word in graph.references.buffer {
            let reference = Reference(word: word)
            if reference.isTask || reference.isOver { referenced[reference.payload] = true }
        }
        return (0..<graph.ownCount).filter { !referenced[$0] }.map { (graph.name(TaskID($0)), TaskID($0)) }
    }

    private func sorted(_ outputs: [(name: String, task: TaskID)]) -> [(name: String, task: TaskID)] {
        outputs.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }
}
