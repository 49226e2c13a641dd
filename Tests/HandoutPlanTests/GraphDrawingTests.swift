import HandoutCore
import Testing

@Suite struct GraphDrawingTests {
    /// Rows as (id, kind, words).
    private func graph(
        _ rows: [(String, TaskKind, [Reference])], name: String = "g", outputs: [(name: String, task: TaskID)] = []
    ) -> GraphColumns {
        var words: [UInt32] = [], offsets: [UInt32] = [0], names: [UInt8] = [], nameOffsets: [UInt32] = [0]
        for row in rows {
            words += row.2.map(\.word)
            offsets.append(UInt32(words.count))
            names += row.0.utf8
            nameOffsets.append(UInt32(names.count))
        }
        return GraphColumns(
            name: name, kinds: Column(rows.map(\.1.rawValue)), optionIndices: Column(rows.map { _ in 0 }),
            referenceOffsets: Column(offsets), references: Column(words), nameOffsets: Column(nameOffsets),
            nameBytes: Column(names), lines: Column(rows.indices.map { UInt32($0 + 3) }), options: [TaskOptions()],
            declaredOutputs: outputs)
    }

    private var sample: GraphColumns {
        graph([
            ("load", .task, []),
            ("rows", .map, [Reference(.over, 0), Reference(.constant, 1)]),
            ("sum", .reduce, [Reference(.over, 1), Reference(.list, 2), Reference(.task, 0), Reference(.task, 0)]),
            ("tell", .task, [Reference(.task, 2), Reference(.after, 1), Reference(.task, 0)]),
        ])
    }

    private func text(_ graph: GraphColumns, _ format: GraphFormat) -> String {
        String(decoding: GraphDrawing.bytes(of: graph, format: format), as: UTF8.self)
    }

    @Test func `dot shows kinds by shape and edges by style`() {
        #expect(
            text(sample, .dot) == #"""
                digraph "g" {
                  rankdir=LR;
                  node [shape=box];
                  "load" [label="load\ntask"];
                  "rows" [label="rows\nmap", shape=box3d];
                  "sum" [label="sum\nreduce", shape=invtrapezium];
                  "tell" [label="tell\ntask"];
                  "load" -> "rows" [style=bold];
                  "rows" -> "sum" [style=bold];
                  "load" -> "sum";
                  "sum" -> "tell";
                  "load" -> "tell" [style=dashed];
                }

                """#)
    }

    @Test func `mermaid numbers its nodes`() {
        #expect(
            text(sample, .mermaid) == """
                flowchart LR
                  n0["load<br/>task"]
                  n1[["rows<br/>map"]]
                  n2{{"sum<br/>reduce"}}
                  n3["tell<br/>task"]
                  n0 ==> n1
                  n1 ==> n2
                  n0 --> n2
                  n2 --> n3
                  n0 -.-> n3

                """)
    }

    @Test func `json lists rows and outputs`() {
        let bytes = GraphDrawing.bytes(of: sample, format: .json, files: ["main.lua"]) { $0.index == 0 ? "ab12" : nil }
        #expect(
            String(decoding: bytes, as: UTF8.self) == """
                {"name":"g","tasks":[
                {"id":"load","kind":"task","needs":[],"after":[],"over":null,"line":3,"file":"main.lua","fingerprint":"ab12"},
                {"id":"rows","kind":"map","needs":[],"after":[],"over":"load","line":4,"file":"main.lua"},
                {"id":"sum","kind":"reduce","needs":["load"],"after":[],"over":"rows","line":5,"file":"main.lua"},
                {"id":"tell","kind":"task","needs":["sum"],"after":["load"],"over":null,"line":6,"file":"main.lua"}
                ],"outputs":{"tell":"tell"}}

                """)
        let declared = graph([("a", .task, []), ("b", .task, [])], outputs: [("x\"", TaskID(0))])
        #expect(text(declared, .json).hasSuffix("],\"outputs\":{\"x\\\"\":\"a\"}}\n"))
    }

    @Test func `hostile ids are escaped in dot`() {
        let hostile = graph(
            [
                (#"a"];system("x")["#, .task, []), (#"back\slash\"#, .task, []), (#"\N&lt;<b>"#, .task, []),
                ("nul\0\n\u{202E}\u{200B}", .task, []), ("ключ", .task, []),
            ], name: "../<script>\u{1B}[2J\"")
        #expect(
            text(hostile, .dot) == #"""
                digraph "../<script>\\u{1b}[2J\"" {
                  rankdir=LR;
                  node [shape=box];
                  "a\"];system(\"x\")[" [label="a\"];system(\"x\")[\ntask"];
                  "back\\slash\\" [label="back\\slash\\\ntask"];
                  "\\N&amp;lt;<b>" [label="\\N&amp;lt;<b>\ntask"];
                  "nul\\u{0}\\u{a}\\u{202e}\\u{200b}" [label="nul\\u{0}\\u{a}\\u{202e}\\u{200b}\ntask"];
                  "ключ" [label="ключ\ntask"];
                }

                """#)
    }

    @Test func `hostile ids are escaped in mermaid`() {
        let hostile = graph([
            (#""];click n0 "x""#, .task, []), ("%%{init: {}}%%", .task, []), ("<img onerror=1>#quot;`$(x)`", .task, []),
            ("end\n%%\u{2028}", .task, []), ("ключ-1", .task, []),
        ])
        #expect(
            text(hostile, .mermaid) == """
                flowchart LR
                  n0["#34;#93;#59;click n0 #34;x#34;<br/>task"]
                  n1["#37;#37;#123;init: #123;#125;#125;#37;#37;<br/>task"]
                  n2["#60;img onerror=1#62;#35;quot#59;#96;#36;#40;x#41;#96;<br/>task"]
                  n3["end#10;#37;#37;#8232;<br/>task"]
                  n4["ключ-1<br/>task"]

                """)
    }

    @Test func `hostile ids are escaped in json`() {
        let hostile = graph([("\"\\/\n\t\u{1}\u{7F}\u{2028}</script>&\u{E0001}é", .task, [])])
        #expect(
            text(hostile, .json).contains(
                #"{"id":"\"\\/\n\t\u0001\u007f\u2028\u003c/script\u003e\u0026\udb40\udc01é","kind""#))
        var bytes: [UInt8] = []
        TextEscape.appendJSON([0x61, 0xFF, 0xC3], to: &bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == "\"a\u{FFFD}\u{FFFD}\"")
    }
}
