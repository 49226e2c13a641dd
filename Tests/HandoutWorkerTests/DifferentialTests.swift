import Glibc
import HandoutCore
import Testing

/// A random script, and what it must give, worked out in Swift.
private struct RandomScript {
    /// A value of the script's, as far as the generator uses them.
    indirect enum Value {
        case absent
        case number(Int)
        case text(String)
        case list([Value])
        case keyed([(key: String, value: Value)])

        /// The number that `num` of the script makes of it.
        var number: Int {
            switch self {
            case .absent: 7
            case .number(let number): number
            case .text(let text): text.utf8.reduce(11) { ($0 * 31 + Int($1)) % modulus }
            case .list(let elements):
                elements.enumerated().reduce(elements.count) { ($0 + ($1.offset + 1) * $1.element.number) % modulus }
            case .keyed(let entries):
                entries.reduce(13 + entries.count) { ($0 + Value.text($1.key).number * $1.value.number) % modulus }
            }
        }

        var json: String {
            switch self {
            case .absent: "null"
            case .number(let number): "\(number)"
            case .text(let text): "\"\(text)\""
            case .list(let elements): "[" + elements.map(\.json).joined(separator: ",") + "]"
            case .keyed(let entries):
                entries.isEmpty
                    ? "[]" : "{" + entries.map { "\"\($0.key)\":\($0.value.json)" }.joined(separator: ",") + "}"
            }
        }

        var lua: String {
            switch self {
            case .absent: "nil"
            case .number(let number): "\(number)"
            case .text(let text): "\"\(text)\""
            case .list(let elements): "{ " + elements.map(\.lua).joined(separator: ", ") + " }"
            case .keyed(let entries):
                "{ " + entries.map { "[\"\($0.key)\"] = \($0.value.lua)" }.joined(separator: ", ") + " }"
            }
        }
    }

    enum State { case done, failed, skipped }

    /// A declared task.
    struct Node {
        var id: String
        var value: Value
        var state: State
        var isMap = false
    }

    static let modulus = 1_000_003

    private(set) var lines: [String] = []
    private(set) var nodes: [Node] = []
    private(set) var expected = Script.Outcome(outputs: [:], failures: [], counts: [0, 0, 0])
    private var random: SplitMix64

    init(seed: UInt64) {
        random = SplitMix64(seed: seed)
        lines = [
            """
            local function num(v)
              if v == nil or v == false then return 7 end
              if math.type(v) == "integer" then return v end
              if type(v) == "string" then
                local n = 11
                for i = 1, #v do n = (n * 31 + v:byte(i)) % 1000003 end
                return n
              end
              local count, keys = 0, {}
              for k in pairs(v) do count = count + 1 keys[count] = k end
              if count == #v then
                local n = count
                for i = 1, count do n = (n + i * num(v[i])) % 1000003 end
                return n
              end
              local n = 13 + count
              for i = 1, count do n = (n + num(keys[i]) * num(v[keys[i]])) % 1000003 end
              return n
            end
            """
        ]
        let count = 3 + random.below(30)
        for index in 0..<count {
            switch random.below(10) {
            case 0...4: addTask(index)
            case 5...7: addMap(index)
            default: addReduce(index)
            }
        }
        // Values that are no outputs are let go as soon as nothing needs them.
        for node in nodes where random.chance(0.5) || node.id == nodes.last?.id {
            lines.append("g:output(\"\(node.id)\", \(node.id))")
            expected.outputs[node.id] = node.state == .done ? node.value.json : "null"
        }
        expected.failures.sort()
    }

    var script: Script { Script(body: lines.joined(separator: "\n")) }

    private mutating func count(_ state: State, _ tasks: Int = 1) {
        expected.counts[state == .done ? 0 : state == .failed ? 1 : 2] += tasks
    }

    // MARK: Tasks

    /// Some earlier tasks as `needs`: the Lua text, what arrives, and whether all are there.
    private mutating func needs(depth: Int = 0) -> (text: String, values: [Value], isThere: Bool) {
        guard !nodes.isEmpty, random.chance(0.8) else { return ("{}", [], true) }
        var texts: [String] = [], values: [Value] = [], isThere = true
        for _ in 0...random.below(4) {
            let node = nodes[random.below(nodes.count)]
            if depth < 2, random.chance(0.2) {
                let inner = needs(depth: depth + 1)
                isThere = isThere && inner.isThere
                texts.append(inner.text)
                values.append(.list(inner.values))
            } else if depth < 2, random.chance(0.15) {
                texts.append("{ [\"a key\"] = \(node.id) }")
                values.append(.keyed([("a key", node.value)]))
                isThere = isThere && node.state == .done
            } else {
                texts.append(node.id)
                values.append(node.value)
                isThere = isThere && node.state == .done
            }
        }
        return ("{ " + texts.joined(separator: ", ") + " }", values, isThere)
    }

    private mutating func addTask(_ index: Int) {
        let id = "t\(index)", inputs = needs(), constant = random.below(1000)
        let retries = random.below(3), failures = random.chance(0.25) ? random.below(4) : 0
        var after = "nil", isThere = inputs.isThere
        if !nodes.isEmpty, random.chance(0.2) {
            let node = nodes[random.below(nodes.count)]
            after = node.id
            isThere = isThere && node.state == .done
        }
        let state: State = !isThere ? .skipped : failures > retries ? .failed : .done
        let sum = inputs.values.enumerated().reduce(constant) {
            ($0 + ($1.offset + 1) * $1.element.number) % Self.modulus
        }
        let value: Value
        let result: String
        switch random.below(4) {
        case 0:
            let length = random.below(6)
            value = .list((1...max(1, length)).prefix(length).map { .number((sum * $0) % Self.modulus) })
            result = "local l = {} for i = 1, \(length) do l[i] = (n * i) % \(Self.modulus) end return l"
        case 1:
            value = .keyed([("k1", .number(sum)), ("long key of some bytes", .text("v\(sum)"))])
            result = "return { k1 = n, [\"long key of some bytes\"] = \"v\" .. n }"
        case 2:
            value = .text("s\(sum)")
            result = "return \"s\" .. n"
        default:
            value = .number(sum)
            result = "return n"
        }
        lines.append(
            """
            local \(id)
            do
              local constant, failures = 0, \(failures)
              \(id) = g:task("\(id)", { needs = \(inputs.text), after = \(after), retries = \(retries), priority = \(random.below(5)) }, function(...)
                if handout.task.attempt <= failures then error("attempt " .. handout.task.attempt, 0) end
                local n = constant
                for i = 1, select("#", ...) do n = (n + i * num((select(i, ...)))) % \(Self.modulus) end
                \(result)
              end)
              constant = \(constant)
            end
            """)
        if state == .failed { expected.failures.append("\(id) \(retries + 1) error: attempt \(retries + 1)") }
        count(state)
        nodes.append(Node(id: id, value: value, state: state))
    }

    // MARK: Maps and reduces

    /// What a map or reduce runs over: Lua text, elements by key (nil: a list), and whether it is there.
    private mutating func over() -> (
        text: String, elements: [(key: String?, value: Value)], isThere: Bool, isRunTime: Bool
    ) {
        let lists = nodes.filter {
            if case .list = $0.value { true } else if case .keyed = $0.value { true } else { false }
        }
        if !lists.isEmpty, random.chance(0.6) {
            let node = lists[random.below(lists.count)]
            switch node.value {
            case .list(let elements): return (node.id, elements.map { (nil, $0) }, node.state == .done, true)
            case .keyed(let entries): return (node.id, entries.map { ($0.key, $0.value) }, node.state == .done, true)
            default: break
            }
        }
        if random.chance(0.3) {
            let entries = (0..<random.below(5)).map { (key: "key \($0)", value: Value.number(random.below(1000))) }
            return (Value.keyed(entries).lua, entries.map { (entries.isEmpty ? nil : $0.key, $0.value) }, true, false)
        }
        let elements = (0..<random.below(12)).map { _ in Value.number(random.below(1000)) }
        return (Value.list(elements).lua, elements.map { (nil, $0) }, true, false)
    }

    private mutating func addMap(_ index: Int) {
        let id = "m\(index)", source = over(), inputs = needs(depth: 2), factor = random.below(100)
        let isThere = source.isThere && inputs.isThere
        let sum = inputs.values.reduce(0) { ($0 + $1.number) % Self.modulus }
        let values = source.elements.enumerated().map { position, element in
            let key = element.key.map { Value.text($0).number } ?? position + 1
            return Value.number((element.value.number * factor + key + sum) % Self.modulus)
        }
        let isKeyed = source.elements.first?.key != nil
        let value: Value =
            isKeyed ? .keyed(zip(source.elements, values).map { ($0.key ?? "", $1) }) : .list(values)
        lines.append(
            """
            local \(id) = g:map("\(id)", { over = \(source.text), needs = \(inputs.text), args = { \(factor) } }, function(x, k, ...)
              local n = num(x) * select(select("#", ...), ...) + num(k)
              for i = 1, select("#", ...) - 1 do n = n + num((select(i, ...))) end
              return n % \(Self.modulus)
            end)
            """)
        // A map counts its instances; one that was never expanded counts itself.
        if isThere { count(.done, values.count) } else { count(.skipped) }
        nodes.append(Node(id: id, value: value, state: isThere ? .done : .skipped, isMap: true))
    }

    private mutating func addReduce(_ index: Int) {
        let id = "r\(index)", source = over(), arity = 2 + random.below(8)
        let numbers = source.elements.map(\.value.number)
        lines.append(
            """
            local \(id) = g:reduce("\(id)", { over = \(source.text), arity = \(arity) }, function(list)
              local texts = {}
              for i, v in ipairs(list) do texts[i] = type(v) == "string" and v:sub(1, 1) == "<" and v:sub(2, -2) or tostring(num(v)) end
              return "<" .. table.concat(texts, " ") .. ">"
            end)
            """)
        let state: State = source.isThere ? .done : .skipped
        let value = Value.text("<" + numbers.map { "\($0)" }.joined(separator: " ") + ">")
        if source.isThere { count(.done, RandomScript.reduceTasks(numbers.count, arity)) } else { count(.skipped) }
        nodes.append(Node(id: id, value: value, state: state))
    }

    /// Nodes of a reduce over `count` elements, its root among them.
    static func reduceTasks(_ count: Int, _ arity: Int) -> Int {
        var left = (count + arity - 1) / arity, tasks = max(1, left)
        while left > 1 {
            left = (left + arity - 1) / arity
            tasks += left
        }
        return tasks
    }
}

private let modulus = RandomScript.modulus

@Suite struct DifferentialTests {
    /// `HANDOUT_SEED=n` runs that seed alone.
    private static let seeds: [UInt64] =
        getenv("HANDOUT_SEED").flatMap { UInt64(String(cString: $0)) }.map { [$0] } ?? Array(0..<200)

    @Test func `random graphs give what plain arithmetic gives, on one, two and eight threads`() throws {
        for seed in DifferentialTests.seeds {
            let random = RandomScript(seed: seed)
            let plan = try random.script.plan()
            for slots in [1, 2, 8] {
                let outcome = try random.script.run(slots: slots, plan)
                #expect(outcome.outputs == random.expected.outputs, "HANDOUT_SEED=\(seed) on \(slots) threads")
                #expect(outcome.failures == random.expected.failures, "HANDOUT_SEED=\(seed) on \(slots) threads")
                #expect(outcome.counts == random.expected.counts, "HANDOUT_SEED=\(seed) on \(slots) threads")
                if outcome != random.expected { return }
            }
        }
    }
}
