import HandoutCore

/// Names of events, and the declared rows that they are of.
final class RowNames {
    private let graph: GraphColumns
    private var rows: [String: Int] = [:]
    private var known: [String: Int?] = [:]

    init(_ graph: GraphColumns) {
        self.graph = graph
        // Of equal names the first: that of the graph itself.
        for row in (0..<graph.count).reversed() where !graph.kind(TaskID(row)).isHidden {
            rows[graph.name(TaskID(row))] = row
        }
    }

    /// The declared row of a full name: `id`, `id[key]`, `id[level.group]`, `map[key]/id`; nil: the graph has none.
    func row(_ name: String) -> Int? {
        if let row = rows[name] { return row }
        guard name.last == "]" || name.contains("]/") else { return nil }
        if let row = known[name] { return row }
        let row = rows[local(name)] ?? rows[RowNames.base(local(name))]
        known[name] = row
        return row
    }

    /// The name within its graph: what follows the last instance of a graph.
    private func local(_ name: String) -> String {
        let prefix = framePrefix(name)
        return String(name.dropFirst(prefix.count))
    }

    /// `map[key]/` of a row of an instantiated graph; else empty.
    func framePrefix(_ name: String) -> String {
        guard rows[name] == nil else { return "" }
        var end = name.startIndex
        var at = name.startIndex
        while let bracket = name[at...].firstIndex(of: "]") {
            at = name.index(after: bracket)
            if at < name.endIndex, name[at] == "/" { end = name.index(after: at) }
        }
        return String(name[..<end])
    }

    /// What stands in the brackets at the end; nil: it is declared.
    func key(_ name: String) -> String? {
        let local = local(name)
        guard rows[local] == nil, local.last == "]", let open = local.lastIndex(of: "[") else { return nil }
        return String(local[local.index(after: open)...].dropLast())
    }

    /// The map or reduce that an instance or node is of.
    func owner(_ name: String) -> String? {
        key(name).map { String(name.dropLast($0.count + 2)) }
    }

    func kind(_ name: String) -> TaskKind? { row(name).map { graph.kind(TaskID($0)) } }

    private static func base(_ name: String) -> String {
        guard name.last == "]", let open = name.lastIndex(of: "[") else { return name }
        return String(name[..<open])
    }
}
