import Handout
package import HandoutPlacement
import LuaRuntime

/// Reads instances: the format of scheduling instances (docs/instances.md), and traces in WfFormat 1.4 and later.
package enum InstanceFile {
    /// - Throws: the first problem. No text, however large or odd, does more harm than that.
    package static func read(_ text: [UInt8]) throws(InstanceError) -> PlacementInstance {
        let root = JSONNode(root: try parse(text))
        try root.object()
        if root.member("workflow") != nil { return try WorkflowTrace(root).instance() }
        return try InstanceReader(root).instance()
    }

    private static func parse(_ text: [UInt8]) throws(InstanceError) -> Value {
        do {
            guard let value = Value(encoded: try EncodedValue(json: text)) else {
                throw InstanceError(message: "not a value")
            }
            return value
        } catch let error as InstanceError {
            throw error
        } catch {
            throw InstanceError(message: "not JSON: \(error)")
        }
    }
}

/// Bounds of numbers in files: sums of a million of them are still exact enough, and amounts fit their fixed point.
enum Bounds {
    static let time = 1e15
    static let bytes = 1e18
    static let amount = 9e14
    static let speed = 1e9
    /// Tasks × workers.
    static let pairs = 100_000_000
}

/// An amount in fixed point, 1/10 000: what is asked for is rounded up and what is there is rounded down, but for what
/// reading decimals adds.
enum FixedPoint {
    static func requested(_ amount: Double) -> Int64 { Int64((amount * 10_000 - 1e-6).rounded(.up)) }

    static func offered(_ amount: Double) -> Int64 { Int64((amount * 10_000 + 1e-6).rounded(.down)) }
}

/// Names of tasks or workers, and the numbers they stand for.
struct NameTable {
    private var numbers: [String: Int] = [:]
    let kind: String

    init(_ kind: String) { self.kind = kind }

    /// The next number for the name that stands at `node`.
    mutating func add(_ node: JSONNode) throws(InstanceError) -> String {
        let name = try node.text()
        if let number = numbers[name] { throw node.error("'\(name)' is the name of \(kind)s[\(number)] already") }
        numbers[name] = numbers.count
        return name
    }

    func number(_ name: String, at node: JSONNode) throws(InstanceError) -> Int {
        guard let number = numbers[name] else { throw node.error("no \(kind) '\(name)'") }
        return number
    }

    func number(at node: JSONNode) throws(InstanceError) -> Int { try number(try node.text(), at: node) }
}

extension PlacementInstance {
    /// The instance, or why tasks and workers make none, in words. `places` names the list of tasks.
    static func checked(
        name: String, resources: [String], tasks: [Task], workers: [Worker], network: Network, root: JSONNode,
        place: String
    ) throws(InstanceError) -> PlacementInstance {
        guard tasks.count.multipliedReportingOverflow(by: workers.count).partialValue <= Bounds.pairs else {
            throw root.error("\(tasks.count) tasks on \(workers.count) workers are more than can be planned at once")
        }
        do {
            return try PlacementInstance(
                name: name, resources: resources, tasks: tasks, workers: workers, network: network)
        } catch {
            throw refusal(error, resources: resources, tasks: tasks, workers: workers, place: place)
        }
    }

    private static func refusal(
        _ refusal: Refusal, resources: [String], tasks: [Task], workers: [Worker], place: String
    ) -> InstanceError {
        switch refusal {
        case .noWorkers:
            return InstanceError(place: "workers", message: "there are none")
        case .cycle(let path):
            // The way round, shortened when it is long.
            let names = (path + path.prefix(1)).map { "'\(tasks[$0].name)'" }
            let shown = names.count > 12 ? names.prefix(6) + ["…"] + names.suffix(5) : names[...]
            return InstanceError(
                place: "\(place)[\(path.first ?? 0)]", message: "waits for itself: \(shown.joined(separator: " → "))")
        case .nowhere(let task):
            let entry = tasks[task]
            for (index, resource) in resources.enumerated() {
                let most = workers.reduce(0) { max($0, $1.amounts[index]) }
                guard entry.amounts[index] > most else { continue }
                return InstanceError(
                    place: "\(place)[\(task)]",
                    message: "'\(entry.name)' asks for \(shown(entry.amounts[index])) of '\(resource)'; "
                        + "the most that a worker has is \(shown(most))")
            }
            return InstanceError(place: "\(place)[\(task)]", message: "no worker can run '\(entry.name)'")
        }
    }

    private static func shown(_ amount: Int64) -> String { JSONNode.shown(Double(amount) / 10_000) }
}
