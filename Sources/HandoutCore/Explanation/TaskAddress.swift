/// Names of tasks, as events and schedules have them, and the declared rows that they are of.
///
/// `id` is declared; `id[3]` or `id[key]` is an instance of a map; `id[#3]` (in schedules) or `id[1.3]` (in events) is a node of
/// a reduce; `map[3]/id` is a row of a graph that a map instantiates, in schedules `id[#3]`.
package struct TaskAddress: Sendable, Equatable {
    /// The declared row.
    package var declared: Int
    /// Which instance, from 0; nil: the declared row itself, or one whose key is no number.
    package var element: Int?
    /// What stands in the last brackets.
    package var key: String?

    /// The row of a name; nil: the graph has none. O(rows).
    package static func find(_ text: String, in graph: GraphColumns) -> TaskAddress? {
        if let row = row(text, in: graph) { return TaskAddress(declared: row) }
        if let slash = lastFrame(text) {
            let inner = String(text[text.index(slash, offsetBy: 2)...])
            guard let open = text[..<slash].lastIndex(of: "["), let address = find(inner, in: graph) else { return nil }
            let key = String(text[text.index(after: open)..<slash])
            guard address.element == nil, address.key == nil else { return address }
            return TaskAddress(declared: address.declared, element: number(key), key: key)
        }
        guard text.last == "]", let open = text.lastIndex(of: "[") else { return nil }
        guard let row = row(String(text[..<open]), in: graph) else { return nil }
        let key = String(text[text.index(after: open)...].dropLast())
        return TaskAddress(declared: row, element: number(key), key: key)
    }

    /// Where `]/` of the innermost instance of a graph stands.
    private static func lastFrame(_ text: String) -> String.Index? {
        var found: String.Index?
        var at = text.startIndex
        while let bracket = text[at...].firstIndex(of: "]") {
            at = text.index(after: bracket)
            if at < text.endIndex, text[at] == "/" { found = bracket }
        }
        return found
    }

    private static func number(_ key: String) -> Int? {
        let digits = key.hasPrefix("#") ? String(key.dropFirst()) : key
        guard let number = Int(digits), number >= 1, String(number) == digits else { return nil }
        return number - 1
    }

    private static func row(_ name: String, in graph: GraphColumns) -> Int? {
        let bytes = Array(name.utf8)
        return (0..<graph.count).first { row in
            graph.nameBuffer(TaskID(row)).elementsEqual(bytes) && !graph.kind(TaskID(row)).isHidden
        }
    }
}
