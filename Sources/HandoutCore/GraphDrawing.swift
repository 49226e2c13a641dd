/// What `graph --format` can write.
package enum GraphFormat: String, Sendable, CaseIterable {
    case dot, mermaid, json
}

/// A graph as text for other programs; everything that a script can name is escaped for them.
///
/// Linear in the rows and references of the graph.
package struct GraphDrawing {
    private let graph: GraphColumns
    private let files: [String]
    private let fingerprint: ((TaskID) -> String?)?
    private var output: [UInt8] = []
    /// By task: the last row that noted it, plus one; so that a row names it once.
    private var noted: [UInt32]
    private var needs: [TaskID] = []
    private var after: [TaskID] = []
    private var over: TaskID?

    /// The bytes of `graph` in `format`; `files` are the sources by their index, `fingerprint` gives that of a task.
    package static func bytes(
        of graph: GraphColumns, format: GraphFormat, files: [String] = [], fingerprint: ((TaskID) -> String?)? = nil
    ) -> [UInt8] {
        var drawing = GraphDrawing(graph, files, fingerprint)
        switch format {
        case .dot: drawing.dot()
        case .mermaid: drawing.mermaid()
        case .json: drawing.json()
        }
        return drawing.output
    }

    private init(_ graph: GraphColumns, _ files: [String], _ fingerprint: ((TaskID) -> String?)?) {
        self.graph = graph
        self.files = files
        self.fingerprint = fingerprint
        noted = Array(repeating: 0, count: graph.count)
        output.reserveCapacity(graph.count * 64 + 256)
    }

    // MARK: Rows

    private func kind(_ task: TaskID) -> TaskKind { TaskKind(rawValue: graph.kinds[task.index]) ?? .task }

    private static func name(of kind: TaskKind) -> StaticString {
        switch kind {
        case .task: "task"
        case .map: "map"
        case .reduce: "reduce"
        case .when: "when"
        case .input: "input"
        case .select, .selector, .mark: "hidden"
        }
    }

    /// Sets `needs`, `after` and `over` to what `task` refers to, each once in its list.
    private mutating func read(_ task: TaskID) {
        needs.removeAll(keepingCapacity: true)
        after.removeAll(keepingCapacity: true)
        over = nil
        var isAfter = false
        let mark = task.rawValue &+ 1
        for word in graph.references(of: task) {
            let reference = Reference(word: word)
            switch reference.operation {
            case .after, .when, .unless, .near:
                isAfter = true
            case .over where reference.payload < graph.count:
                over = TaskID(shown(reference.payload))
            case .task where reference.payload < graph.count, .own where reference.payload < graph.count:
                let input = shown(reference.payload)
                guard noted[input] != mark else { break }
                noted[input] = mark
                if isAfter { after.append(TaskID(input)) } else { needs.append(TaskID(input)) }
            default:
                break
            }
        }
    }

    /// The row itself, or what a hidden row is an element of.
    private func shown(_ row: Int) -> Int {
        var row = row
        while isHidden(row), let base = graph.references(of: TaskID(row)).last { row = Reference(word: base).payload }
        return row
    }

    private func isHidden(_ row: Int) -> Bool { kind(TaskID(row)).isHidden }

    /// The rows that are drawn: not those of graphs that maps instantiate.
    private var drawn: [Int] { (0..<graph.ownCount).filter { !isHidden($0) } }

    private mutating func eachEdge(
        _ body: (inout GraphDrawing, _ from: TaskID, _ to: TaskID, _ edge: Edge) -> Void
    ) {
        for index in drawn {
            let task = TaskID(index)
            read(task)
            if let over { body(&self, over, task, .over) }
            for need in needs { body(&self, need, task, .needs) }
            for earlier in after { body(&self, earlier, task, .after) }
        }
    }

    private enum Edge { case needs, over, after }

    // MARK: Graphviz

    private mutating func dot() {
        append("digraph ")
        appendDot(Array(graph.name.utf8), suffix: "")
        append(" {\n  rankdir=LR;\n  node [shape=box];\n")
        for index in drawn {
            let task = TaskID(index), kind = kind(task)
            append("  ")
            appendDot(graph.nameBuffer(task), suffix: "")
            append(" [label=")
            appendDot(graph.nameBuffer(task), suffix: "\\n", kind)
            switch kind {
            case .task: append("];\n")
            case .map: append(", shape=box3d];\n")
            case .reduce: append(", shape=invtrapezium];\n")
            default: append("];\n")
            }
        }
        eachEdge { drawing, from, to, edge in
            drawing.append("  ")
            drawing.appendDot(drawing.graph.nameBuffer(from), suffix: "")
            drawing.append(" -> ")
            drawing.appendDot(drawing.graph.nameBuffer(to), suffix: "")
            switch edge {
            case .needs: drawing.append(";\n")
            case .over: drawing.append(" [style=bold];\n")
            case .after: drawing.append(" [style=dashed];\n")
            }
        }
        append("}\n")
    }

    /// Appends a quoted string in which neither `\N` nor an entity means anything.
    private mutating func appendDot(_ text: some Collection<UInt8>, suffix: StaticString, _ kind: TaskKind? = nil) {
        append("\"")
        eachScalar(text) { drawing, scalar in
            switch scalar {
            case "\"": drawing.append("\\\"")
            case "\\": drawing.append("\\\\")
            case "&": drawing.append("&amp;")
            case _ where TextEscape.isHidden(scalar):
                drawing.append("\\\\u{")
                drawing.output.append(contentsOf: TextEscape.hexadecimal(scalar.value))
                drawing.append("}")
            default: drawing.append(scalar: scalar)
            }
        }
        append(suffix)
        if let kind { append(GraphDrawing.name(of: kind)) }
        append("\"")
    }

    // MARK: Mermaid

    private mutating func mermaid() {
        append("flowchart LR\n")
        for index in drawn {
            let task = TaskID(index), kind = kind(task)
            append("  n")
            append(number: index)
            append(kind == .task ? "[\"" : kind == .map ? "[[\"" : "{{\"")
            appendMermaid(graph.nameBuffer(task))
            append("<br/>")
            append(GraphDrawing.name(of: kind))
            append(kind == .task ? "\"]\n" : kind == .map ? "\"]]\n" : "\"}}\n")
        }
        eachEdge { drawing, from, to, edge in
            drawing.append("  n")
            drawing.append(number: from.index)
            switch edge {
            case .needs: drawing.append(" --> n")
            case .over: drawing.append(" ==> n")
            case .after: drawing.append(" -.-> n")
            }
            drawing.append(number: to.index)
            drawing.append("\n")
        }
    }

    /// Appends label text; whatever is not plainly text is given as `#code;`, directives (`%%{`) and markup among it.
    private mutating func appendMermaid(_ text: some Collection<UInt8>) {
        eachScalar(text) { drawing, scalar in
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", "_", "-", ".", ":", "@", "+", "=", ",", "/", " ":
                drawing.output.append(UInt8(scalar.value))
            case _ where scalar.isASCII || TextEscape.isHidden(scalar):
                drawing.append("#")
                drawing.append(number: Int(scalar.value))
                drawing.append(";")
            default: drawing.append(scalar: scalar)
            }
        }
    }

    // MARK: JSON

    private mutating func json() {
        append("{\"name\":")
        appendJSON(Array(graph.name.utf8))
        append(",\"tasks\":[")
        for (number, index) in drawn.enumerated() {
            append(number == 0 ? "\n" : ",\n")
            jsonRow(TaskID(index))
        }
        append("\n],\"outputs\":{")
        var isFirst = true
        for (name, task) in outputs() {
            if !isFirst { append(",") }
            isFirst = false
            appendJSON(name)
            append(":")
            appendJSON(graph.nameBuffer(task))
        }
        append("}}\n")
    }

    private mutating func jsonRow(_ task: TaskID) {
        read(task)
        append("{\"id\":")
        appendJSON(graph.nameBuffer(task))
        append(",\"kind\":\"")
        append(GraphDrawing.name(of: kind(task)))
        append("\",\"needs\":[")
        appendIDs(needs)
        append("],\"after\":[")
        appendIDs(after)
        append("],\"over\":")
        if let over { appendJSON(graph.nameBuffer(over)) } else { append("null") }
        append(",\"line\":")
        let place = graph.lines[task.index]
        append(number: Int(place & 0xFF_FFFF))
        if files.indices.contains(Int(place >> 24)) {
            append(",\"file\":")
            appendJSON(Array(files[Int(place >> 24)].utf8))
        }
        if let text = fingerprint?(task) {
            append(",\"fingerprint\":")
            appendJSON(Array(text.utf8))
        }
        append("}")
    }

    private mutating func appendIDs(_ tasks: [TaskID]) {
        for (position, task) in tasks.enumerated() {
            if position > 0 { append(",") }
            appendJSON(graph.nameBuffer(task))
        }
    }

    /// The declared outputs, or the rows that no other refers to by their ids.
    private func outputs() -> [(name: [UInt8], task: TaskID)] {
        if !graph.declaredOutputs.isEmpty { return graph.declaredOutputs.map { (Array($0.name.utf8), $0.task) } }
        var isReferred = [Bool](repeating: false, count: graph.count)
        for word in graph.references.buffer {
            let reference = Reference(word: word)
            if reference.isTask || reference.isOver, reference.payload < graph.count {
                isReferred[reference.payload] = true
            }
        }
        return (0..<graph.ownCount).filter { !isReferred[$0] }.map { (Array(graph.nameBuffer(TaskID($0))), TaskID($0)) }
    }

    private mutating func appendJSON(_ text: some Collection<UInt8>) { TextEscape.appendJSON(text, to: &output) }

    // MARK: Bytes

    private mutating func append(_ text: StaticString) {
        output.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private mutating func append(scalar: Unicode.Scalar) {
        output.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    }

    private mutating func append(number: Int) { output.append(contentsOf: String(number).utf8) }

    private mutating func eachScalar(
        _ text: some Collection<UInt8>, _ body: (inout GraphDrawing, Unicode.Scalar) -> Void
    ) {
        TextEscape.eachScalar(text) { body(&self, $0) }
    }
}
