import ArgumentParser
import Handout
import HandoutCore
import HandoutPlan
import LuaRuntime

/// `handout-lua check`: plans a script and says what it found, without running anything.
struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration.verb(
        "check", abstract: "Plan a script and report every problem, without running it.")

    @OptionGroup var options: ScriptOptions

    @OptionGroup var clusters: ClusterFileOptions

    @Flag(help: "Print {\"ok\",\"tasks\",\"edges\",\"depth\",\"errors\"} as JSON.")
    var json = false

    func run() throws {
        _ = try options.directory()
        let capacity = try clusters.description()?.capacity
        let plan = try options.plan(json: json, capacity: capacity).plan
        let shape = GraphShape(plan.graph)
        let requests = plan.requests
        if json {
            let asks = requests.map {
                "{\"kind\":\"\($0.kind.rawValue)\",\"name\":\(TextEscape.json($0.name)),"
                    + "\"task\":\(TextEscape.json($0.task))}"
            }
            try StandardOutput.line(
                "{\"ok\":true,\"tasks\":\(shape.tasks),\"edges\":\(shape.edges),\"depth\":\(shape.depth),\"errors\":[]"
                    + (asks.isEmpty ? "}" : ",\"asks\":[\(asks.joined(separator: ","))]}"))
            return
        }
        let tasks = shape.tasks == 1 ? "1 task" : "\(shape.tasks) tasks"
        let edges = shape.edges == 1 ? "1 edge" : "\(shape.edges) edges"
        try StandardOutput.line("graph '\(plan.graph.name)': \(tasks), \(edges), depth \(shape.depth)")
        for request in requests { try StandardOutput.line(request.message) }
        for parameter in plan.parameters {
            let value = (try? parameter.value.json()).map { String(decoding: $0, as: UTF8.self) } ?? "?"
            let help = parameter.help.map { "  \(TextEscape.shown($0))" } ?? ""
            try StandardOutput.line("parameter \(parameter.name) = \(value)\(help)")
        }
    }
}

/// `handout-lua graph`: the graph as text for other programs.
struct GraphCommand: ParsableCommand {
    static let configuration = CommandConfiguration.verb(
        "graph", abstract: "Print a script's graph for Graphviz, Mermaid, or as JSON.")

    @OptionGroup var options: ScriptOptions

    @Option(help: "dot, mermaid or json.")
    var format: GraphFormat = .dot

    func run() throws {
        _ = try options.directory()
        let plan = try options.plan(json: false).plan
        var fingerprints = format == .json ? PlanFingerprints(plan) : nil
        let bytes = GraphDrawing.bytes(
            of: plan.graph, format: format, files: plan.files,
            fingerprint: format == .json ? { task in fingerprints?.fingerprint(of: task).description } : nil)
        try StandardOutput.write(bytes.last == UInt8(ascii: "\n") ? bytes : bytes + [UInt8(ascii: "\n")])
    }
}

extension GraphFormat: ExpressibleByArgument {}
