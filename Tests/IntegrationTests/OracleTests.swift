import Glibc
import HandoutCore
import Testing

/// A script made from a seed, with what `run` is to be given. Every random choice of these tests is made here.
struct RandomPipeline: CustomStringConvertible {
    /// What a script can make use of. A test fails when no script did.
    enum Feature: String, CaseIterable {
        case literalList, literalTable, runTimeList, runTimeTable, overMap, emptyMap, notElements
        case reduceLiteral, reduceRunTime, reduceMap, reduceTable, defaultArity, reducedNil
        case needsOne, needsPositions, needsNames, needsNested, needsNothing, needsMap, afterOne, afterList, arguments
        case retried, failedForGood, failedAtOnce, raisedTable, raisedNumber, askedForRetry, endedByMemory, codeError
        case recoveredByPcall, twoResults, notPlainData
        case taskFields, randomNumbers, plannedRandomNumbers, json, sorted
        case helper, recursiveHelper, loopVariable, assignedLater, capturedTable, globalFunction, module
        case changedInputs, oddKeys, nilResult, falseResult, emptyResult, floats, bytes, deepResult, mixedKeys
        case parameterDefault, parameterGiven, graphDefaults, declaredOutputs, target, metatable
    }

    /// A declared task.
    private struct Node {
        enum Shape { case list, table, other }
        var name: String
        var part = ""
        var id: String { name + part }
        var shape: Shape
        var isMap = false
        /// It, or something that it needs, may fail for good.
        var mayFail: Bool
    }

    let seed: UInt64
    private(set) var reached: Set<Feature> = []
    private(set) var parameters: [(name: String, text: String)] = []
    private(set) var targets: [String] = []
    private var lines: [String] = []
    private var nodes: [Node] = []
    private var random: SplitMix64

    /// The script's name, which messages show.
    var file: String { "s\(seed).lua" }
    var text: String { lines.joined(separator: "\n") + "\n" }
    var description: String {
        let given = parameters.map { "-p \($0.name)=\($0.text) " }.joined() + targets.joined()
        return "\(text)-- --seed \(seed) \(given)\n"
    }

    init(seed: UInt64) {
        self.seed = seed
        random = SplitMix64(seed: seed)
        begin()
        for index in 0..<(4 + random.below(12)) {
            switch random.below(12) {
            case 0...4: addTask("t\(index)")
            case 5: addLoop("l\(index)")
            case 6...8: addMap("m\(index)")
            default: addReduce("r\(index)")
            }
        }
        end()
    }

    /// A feature is made use of with that probability.
    private mutating func uses(_ feature: Feature, _ probability: Double) -> Bool {
        guard random.chance(probability) else { return false }
        reached.insert(feature)
        return true
    }

    private mutating func pick(_ texts: [String]) -> String { texts[random.below(texts.count)] }

    // MARK: Around the tasks

    private mutating func begin() {
        let options = uses(.graphDefaults, 0.2) ? "{ name = \"x\", retries = 1, priority = 2 }" : "\"x\""
        lines = [
            """
            local handout = require "handout"
            local twice = require "twice"
            local g = handout.graph\(options.hasPrefix("{") ? options : "(\(options))")
            local big = 1000003
            -- A number that tells values apart, lists of other lengths and floats from integers too.
            local function digest(v)
              if v == nil then return 7 elseif v == false then return 11 elseif v == true then return 17 end
              if math.type(v) == "integer" then return v % big end
              if type(v) == "number" then v = v ~= v and "nan" or string.format("%.17g.", v) end
              local n = type(v) == "string" and 23 or 29
              if type(v) == "string" then
                for i = 1, #v do n = (n * 31 + v:byte(i)) % big end
                return n
              end
              for key, x in handout.sorted(v) do n = (n * 31 + digest(key) * 5 + digest(x)) % big end
              return getmetatable(v) and -1 or n
            end
            local function all(...)
              local n = select("#", ...)
              for i = 1, select("#", ...) do n = (n * 37 + digest((select(i, ...)))) % big end
              return n
            end
            local weights, later = { 3, 5, by = { name = 7 } }, 1
            function weigh(n) return n * weights[1] + weights.by.name end
            local function depth(n) return n == 0 and {} or { depth(n - 1), n } end
            local function scale(n) return n * later + #weights end
            """
        ]
        addParameters()
    }

    private mutating func addParameters() {
        let kinds = [
            ("5", "17"), ("2.5", "3"), ("\"text\"", "a b,ü"), ("true", "false"), ("{ 1, 2 }", "4,5,6"),
            ("{ 0.5 }", "[1,2.25]"),
            ("{ a = 1 }", "{\"b\":[1,null],\"c\":{\"$float\":\"inf\"}}"), ("{}", "x,y"), ("{ \"p\" }", "[]"),
        ]
        for index in 0..<random.below(4) {
            let (value, given) = kinds[random.below(kinds.count)]
            lines.append("local p\(index) = handout.param(\"p\(index)\", \(value), \"a parameter\")")
            reached.insert(.parameterDefault)
            if uses(.parameterGiven, 0.5) { parameters.append(("p\(index)", given)) }
            let name = "given\(index)"
            lines.append("local \(name) = g:task(\"\(name)\", function() return p\(index) end)")
            nodes.append(Node(name: name, shape: .other, mayFail: false))
        }
    }

    private mutating func end() {
        lines.append("later = 4")
        reached.insert(.assignedLater)
        if uses(.declaredOutputs, 0.5) {
            for node in nodes where node.name == nodes.last?.name || random.chance(0.4) {
                lines.append("g:output(\"out-\(node.name)\", \(node.name))")
            }
        }
        lines.append("return g")
        if !nodes.isEmpty, uses(.target, 0.15) { targets = [nodes[random.below(nodes.count)].id] }
    }

    // MARK: What tasks need

    private mutating func options(_ own: [String] = [], depth: Int = 0) -> (text: String, mayFail: Bool) {
        var texts = own, mayFail = false
        if let needs = needs() {
            texts.append("needs = \(needs.text)")
            mayFail = needs.mayFail
        }
        if uses(.arguments, 0.4) {
            texts.append("args = { \((0...random.below(3)).map { _ in literal(2) }.joined(separator: ", ")) }")
        }
        if !nodes.isEmpty, random.chance(0.15) {
            let first = nodes[random.below(nodes.count)], second = nodes[random.below(nodes.count)]
            let isList = random.chance(0.5)
            reached.insert(isList ? .afterList : .afterOne)
            texts.append("after = " + (isList ? "{ \(first.name), \(second.name) }" : first.name))
            mayFail = mayFail || first.mayFail || isList && second.mayFail
        }
        return ("{ \(texts.joined(separator: ", ")) }", mayFail)
    }

    private mutating func needs() -> (text: String, mayFail: Bool)? {
        guard !nodes.isEmpty, random.chance(0.75) else { return nil }
        switch random.below(8) {
        case 0:
            reached.insert(.needsNothing)
            return ("{}", false)
        case 1:
            reached.insert(.needsOne)
            return entry(2)
        case 2:
            reached.insert(.needsNames)
            return names(0)
        default:
            reached.insert(.needsPositions)
            return list(0)
        }
    }

    private mutating func entry(_ depth: Int) -> (text: String, mayFail: Bool) {
        if depth < 2, uses(.needsNested, 0.3) { return random.chance(0.5) ? list(depth + 1) : names(depth + 1) }
        let node = nodes[random.below(nodes.count)]
        if node.isMap { reached.insert(.needsMap) }
        return (node.name, node.mayFail)
    }

    private mutating func list(_ depth: Int) -> (text: String, mayFail: Bool) {
        let entries = (0...random.below(4)).map { _ in entry(depth) }
        return ("{ \(entries.map(\.text).joined(separator: ", ")) }", entries.contains { $0.mayFail })
    }

    private mutating func names(_ depth: Int) -> (text: String, mayFail: Bool) {
        let entries = ["a", "[\"b c\"]", "zeta", "é"].prefix(1 + random.below(3)).map { key in (key, entry(depth)) }
        let texts = entries.map { "\($0 == "é" ? "[\"é\"]" : $0) = \($1.text)" }
        return ("{ \(texts.joined(separator: ", ")) }", entries.contains { $1.mayFail })
    }

    // MARK: Values

    /// A constant of the script's.
    private mutating func literal(_ depth: Int) -> String {
        switch random.below(depth > 0 ? 9 : 6) {
        case 0: return "\(random.below(2000) - 1000)"
        case 1:
            reached.insert(.floats)
            return pick(["0.1", "-0.0", "1e300", "2.0", "1e15", "123456789.125", "1/0", "-1/0", "0/0", "5e-324"])
        case 2: return pick(["true", "false"])
        case 3:
            reached.insert(.bytes)
            return pick([
                "\"\\xff\\x00a\"", "\"\\xed\\xa0\\x80\"", "\"tab\\tquote\\\" \\\\ \\127\\1\"",
                "\"\\u{2028}é\\u{10FFFF}\"",
                "\"\"",
            ])
        case 4: return "\"text \(random.below(100))\""
        case 5: return pick(["math.mininteger", "math.maxinteger", "0x7fffffff", "{}"])
        case 6: return "{ \(literal(depth - 1)), \(literal(depth - 1)) }"
        case 7: return "{ a = \(literal(depth - 1)), [\"b c\"] = \(literal(depth - 1)) }"
        default:
            reached.insert(.mixedKeys)
            return "{ [3] = \(literal(depth - 1)), [-1] = 1, [2.5] = 2, [true] = 3, k = \(literal(0)) }"
        }
    }

    /// A statement that returns something made of the number `n`, and the shape of what it returns.
    private mutating func result() -> (text: String, shape: Node.Shape) {
        switch random.below(14) {
        case 0:
            reached.insert(.nilResult)
            return (pick(["return nil", "return", "if n % 2 == 0 then return n end"]), .other)
        case 1:
            reached.insert(.falseResult)
            return ("return n % 2 == 0", .other)
        case 2:
            reached.insert(.emptyResult)
            return ("return {}", .list)
        case 3...5:
            return ("local l = {} for i = 1, n % \(3 + random.below(20)) do l[i] = (n * i) % big end return l", .list)
        case 6, 7:
            let keys = uses(.oddKeys, 0.6) ? "\"B \" .. i .. \"/ü%\\n\"" : "\"k\" .. i"
            return ("local t = { first = n } for i = 1, n % 6 do t[\(keys)] = { n, i } end return t", .table)
        case 8: return ("return \(literal(2))", .other)
        case 9:
            reached.insert(.deepResult)
            return ("return depth(n % \(random.chance(0.1) ? "300" : "100"))", .other)
        case 10:
            reached.insert(.json)
            return ("return handout.json.decode(handout.json.encode({ n, { x = n / 3 }, \(literal(1)) }))", .list)
        case 11:
            reached.insert(.metatable)
            return (
                "return setmetatable({ n, n }, { __index = function() return 1 end, __len = function() return 9 end })",
                .list
            )
        case 12: return ("return n / 7", .other)
        default: return ("return n", .other)
        }
    }

    // MARK: Bodies

    /// Statements that change the number `n`.
    private mutating func steps() -> [String] {
        var texts: [String] = []
        if uses(.taskFields, 0.3) {
            texts.append(
                "n = n + all(handout.task.id, handout.task.name, handout.task.key, handout.task.attempt, "
                    + "handout.task.retries_left, handout.task.variant, handout.task.amounts, handout.task.missing)")
        }
        if uses(.randomNumbers, 0.3) {
            texts.append(
                "n = n + "
                    + pick([
                        "math.random(1000)", "digest(math.random())", "math.random(0) % big", "math.random(-5, 70)",
                    ]))
        }
        if uses(.plannedRandomNumbers, 0.1) {
            lines.append("local planned\(lines.count) = math.random(1 << 40)")
            texts.append("n = n + planned\(lines.count - 1)")
        }
        if uses(.helper, 0.2) { texts.append("n = scale(n)") }
        if uses(.globalFunction, 0.1) { texts.append("n = weigh(n)") }
        if uses(.module, 0.1) { texts.append("n = twice.of(n)") }
        if uses(.capturedTable, 0.1) { texts.append("n = n + weights[2] * #weights") }
        if uses(.recoveredByPcall, 0.1) {
            texts.append("local ok, e = pcall(handout.fail, \"caught\") n = n + all(ok, tostring(e), e.message)")
        }
        reached.formUnion([.recursiveHelper, .sorted])
        return texts.map { "  " + $0 }
    }

    /// A way to fail: the first attempts, or all. `mayEnd`: it may be for good.
    private mutating func failure(_ retries: Int, mayEnd: Bool) -> (lines: [String], mayFail: Bool) {
        guard random.chance(0.35) else { return ([], false) }
        let failing = random.below(retries + (mayEnd ? 2 : 1))
        guard failing > 0 else { return ([], false) }
        reached.insert(.retried)
        let attempts = "handout.task.attempt <= \(failing)"
        // Some instances of a map only, or all.
        let condition = random.chance(0.3) ? "\(attempts) and n % 3 == 0" : attempts
        let always = failing > retries
        if always { reached.insert(.failedForGood) }
        var ways: [(Feature, String, isFinal: Bool)] = [
            (.retried, "error(\"attempt \" .. handout.task.attempt, 0)", false),
            (.retried, "error(\"at a place\")", false),
            (.raisedTable, "error({ message = \"a table\", n = n })", false), (.raisedTable, "error({})", false),
            (.raisedNumber, "error(\(pick(["42", "4.5", "true", "nil"])))", false),
            (
                .askedForRetry, "handout.retry(\"again\", { after = 0, ended = \"\(pick(["error", "timeout"]))\" })",
                false
            ),
            (.codeError, "local nothing = nil; nothing.field = 1", false),
        ]
        if mayEnd {
            ways += [
                (.failedAtOnce, "handout.fail(\"never\")", true),
                (.endedByMemory, "handout.retry(\"more\", { ended = \"memory\" })", true),
                (.notPlainData, "return { rows = { 1, { callback = print } } }", true),
                (.notPlainData, "local t = {} t.a = { t } return t", true), (.twoResults, "return 1, 2", true),
            ]
        }
        let way = ways[random.below(ways.count)]
        reached.insert(way.0)
        return (["  if \(condition) then \(way.1) end"], always || way.isFinal)
    }

    private mutating func body(
        _ retries: Int, mayEnd: Bool, takes: String = "...", changes: String = "..."
    ) -> (text: String, shape: Node.Shape, mayFail: Bool) {
        var texts = ["  local n = all(\(takes))"]
        let failing = failure(retries, mayEnd: mayEnd)
        texts += failing.lines + steps()
        if uses(.changedInputs, 0.3) {
            texts.append("  local x = \(changes) if type(x) == \"table\" then x[1] = n x.changed = { n } end")
        }
        let result = result()
        texts.append("  " + result.text)
        // A table deeper than 200 levels fails, too.
        let mayBeDeep = result.text.contains("depth(n % 300)")
        return (texts.joined(separator: "\n"), result.shape, failing.mayFail || mayBeDeep)
    }

    private mutating func retries() -> (option: [String], count: Int) {
        let count = random.below(4)
        if count == 0 { return ([], 0) }  // the graph's default may be 1: then an attempt more is made
        return (["retries = \(count)"], count)
    }

    // MARK: Tasks

    private mutating func addTask(_ name: String) {
        let retries = retries(), options = options(retries.option)
        let body = body(retries.count, mayEnd: true)
        lines.append("local \(name) = g:task(\"\(name)\", \(options.text), function(...)\n\(body.text)\nend)")
        nodes.append(Node(name: name, shape: body.shape, mayFail: options.mayFail || body.mayFail))
    }

    private mutating func addLoop(_ name: String) {
        reached.insert(.loopVariable)
        let options = options()
        lines.append(
            """
            local \(name) = {}
            for i = 1, 3 do
              local own = { i, i * i }
              \(name)[i] = g:task("\(name)." .. i, \(options.text), function(...) return { i, own[2] + later, all(...) } end)
            end
            \(name) = \(name)[2]
            """)
        nodes.append(Node(name: name, part: ".2", shape: .list, mayFail: options.mayFail))
    }

    /// What a map or reduce runs over.
    private mutating func over(reduce: Bool) -> (text: String, mayFail: Bool, isMap: Bool) {
        let maps = nodes.filter(\.isMap), lists = nodes.filter { $0.shape != .other && !$0.isMap }
        if !maps.isEmpty, random.chance(0.3) {
            reached.insert(reduce ? .reduceMap : .overMap)
            let map = maps[random.below(maps.count)]
            return (map.name, map.mayFail, true)
        }
        if !lists.isEmpty, random.chance(0.6) {
            let node = lists[random.below(lists.count)]
            reached.insert(reduce ? .reduceRunTime : node.shape == .list ? .runTimeList : .runTimeTable)
            return (node.name, node.mayFail, false)
        }
        if !nodes.isEmpty, uses(.notElements, 0.05) { return (nodes[random.below(nodes.count)].name, true, true) }
        if random.chance(0.3) {
            reached.insert(reduce ? .reduceTable : .literalTable)
            let keys = ["\"B 1\"", "\"ä/ö\"", "\"\"", "\"%41\"", "\"plain\"", "\"-\"", "\"z\\xff\\0\""]
            let entries = keys.prefix(1 + random.below(keys.count)).map { "[\($0)] = \(literal(1))" }
            return ("{ \(entries.joined(separator: ", ")) }", false, false)
        }
        reached.insert(reduce ? .reduceLiteral : .literalList)
        let count = random.below(random.chance(0.1) ? 70 : 13)
        if count == 0 { reached.insert(.emptyMap) }
        return ("{ \((0..<count).map { _ in literal(1) }.joined(separator: ", ")) }", false, false)
    }

    private mutating func addMap(_ name: String) {
        let retries = retries(), over = over(reduce: false)
        let options = options(["over = \(over.text)"] + retries.option)
        let body = body(retries.count, mayEnd: true)
        lines.append("local \(name) = g:map(\"\(name)\", \(options.text), function(...)\n\(body.text)\nend)")
        let mayFail = over.mayFail || options.mayFail || body.mayFail
        nodes.append(Node(name: name, shape: .list, isMap: true, mayFail: mayFail))
    }

    /// Over a map that fails, nodes may have run or not: there the nodes themselves never fail for good.
    private mutating func addReduce(_ name: String) {
        let retries = retries(), over = over(reduce: true)
        let arity = uses(.defaultArity, 0.2) ? [] : ["arity = \(2 + random.below(5))"]
        let options = options(["over = \(over.text)"] + arity + retries.option)
        let failing = failure(retries.count, mayEnd: !over.isMap)
        let steps = steps()
        let nothing = uses(.reducedNil, 0.2) ? "  if n % 5 == 0 then return nil end\n" : ""
        lines.append(
            """
            local \(name) = g:reduce("\(name)", \(options.text), function(list, ...)
              local n, texts = all(list, ...), {}
            \((failing.lines + steps).joined(separator: "\n"))
            \(nothing)  for i, v in ipairs(list) do
                texts[i] = type(v) == "string" and v:sub(1, 1) == "(" and v or tostring(digest(v))
              end
              if type(list[1]) == "table" then list[1].changed = true end
              return "(" .. table.concat(texts, " ") .. " " .. n .. ")"
            end)
            """)
        nodes.append(Node(name: name, shape: .other, mayFail: over.mayFail || options.mayFail || failing.mayFail))
    }
}

/// The pure-Lua edition, run as a child on many scripts at once.
enum Oracle {
    /// What came of a script.
    struct Outcome: Equatable {
        var text: String
        /// The object of outputs as `run --json` prints it.
        var outputs: String
        var failures: [String]
        var ok: Bool
        /// It was refused, or the pure edition itself broke.
        var refused: String
    }

    static let source = String(decoding: contents(of: packageFolder + "/lua/handout.lua") ?? [], as: UTF8.self)

    static let lua: String? = {
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        return path.split(separator: ":").map { $0 + "/lua5.4" }.first { access($0, X_OK) == 0 }
    }()

    /// Prints an object a script, a line each.
    private static let driver = """
        local handout = dofile(arg[1])
        -- Text as the program shows it: U+FFFD in place of bytes that are not UTF-8.
        local function shown(text)
          local good, bad = utf8.len(text)
          return good and text or text:sub(1, bad - 1) .. "\u{FFFD}" .. shown(text:sub(bad + 1))
        end
        for _, job in ipairs(dofile(arg[2])) do
          local good, result = pcall(handout.pure.run, job)
          if not good then result = { refused = tostring(result) } end
          for _, failure in ipairs(result.failures or {}) do
            failure.task, failure.message, failure.traceback = shown(failure.task), shown(failure.message), nil
          end
          print((handout.json.encode(result)))
        end
        """

    /// Runs pipelines in a folder; nil where the child gave no line for one.
    static func run(_ pipelines: [RandomPipeline], in folder: Folder, source: String = Oracle.source) -> [Outcome?] {
        write(pipelines, to: folder)
        folder.write("oracle.lua", source)
        folder.write("driver.lua", driver)
        let jobs = pipelines.map { pipeline in
            let given = pipeline.parameters.map { "\($0.name) = { text = [==[\($0.text)]==] }" }
            let targets = pipeline.targets.map { "\"\($0)\"" }
            return "{ script = \"\(pipeline.file)\", seed = \(pipeline.seed), keep_going = true, "
                + "given = { \(given.joined(separator: ", ")) }, targets = { \(targets.joined(separator: ", ")) } }"
        }
        folder.write("jobs.lua", "return {\n" + jobs.joined(separator: ",\n") + "\n}\n")
        let lines = output(
            "cd '\(folder.path)' && exec '\(lua ?? "lua5.4")' driver.lua oracle.lua jobs.lua 2>/dev/null")
        let outcomes = lines.split(separator: UInt8(ascii: "\n")).map { outcome(Array($0)) }
        return outcomes + Array(repeating: nil, count: max(0, pipelines.count - outcomes.count))
    }

    static func write(_ pipelines: [RandomPipeline], to folder: Folder) {
        folder.write(
            "twice.lua",
            "local twice = { number = math.random(1000) }\nfunction twice.of(n) return n * 2 + twice.number end\nreturn twice\n"
        )
        for pipeline in pipelines { folder.write(pipeline.file, pipeline.text) }
    }

    private static func outcome(_ line: [UInt8]) -> Outcome? {
        guard let json = JSON(line) else { return nil }
        let outputs = json["outputs"]?.elements.map { "\"\($0["name"]?.string ?? "")\":\($0["json"]?.string ?? "")" }
        return Outcome(
            text: json["text"]?.string ?? "", outputs: "{" + (outputs ?? []).joined(separator: ",") + "}",
            failures: failures(json["failures"]), ok: json["ok"] == .bool(true), refused: json["refused"]?.string ?? "")
    }

    /// Failures as lines, sorted. Which nodes of a reduce had begun when one of them failed depends on timing: they are
    /// known by the reduce.
    static func failures(_ list: JSON?) -> [String] {
        var lines: Set<String> = []
        for failure in list?.elements ?? [] {
            var task = failure["task"]?.string ?? "?"
            if task.hasPrefix("r"), let bracket = task.firstIndex(of: "[") { task = String(task[..<bracket]) }
            lines.insert(
                "\(task) \(failure["attempt"]?.integer ?? -1) \(failure["kind"]?.string ?? "?"): "
                    + (failure["message"]?.string ?? "?"))
        }
        return lines.sorted()
    }

    /// The standard output of a shell command.
    static func output(_ command: String) -> [UInt8] {
        guard let pipe = popen(command, "re") else { return [] }
        defer { pclose(pipe) }
        var bytes: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = fread(&buffer, 1, buffer.count, pipe)
            if count == 0 { return bytes }
            bytes += buffer.prefix(count)
        }
    }
}

/// The program against the pure-Lua edition: other code for the same reference.
@Suite(.enabled(if: Oracle.lua != nil, "lua5.4 is not on PATH"))
struct OracleTests {
    /// `HANDOUT_SEED=n` runs that seed alone and prints its script, `HANDOUT_SEEDS=n` runs that many.
    private static let seeds: [UInt64] = {
        func number(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }
        return number("HANDOUT_SEED").map { [$0] } ?? Array(0..<(number("HANDOUT_SEEDS") ?? 300))
    }()

    private static let batches = stride(from: 0, to: seeds.count, by: 25).map {
        Array(seeds[$0..<min($0 + 25, seeds.count)])
    }

    @Test(arguments: batches)
    func `random scripts give the same under the pure edition and on one, two and eight threads`(_ batch: [UInt64]) {
        let pipelines = batch.map { RandomPipeline(seed: $0) }
        if getenv("HANDOUT_SEED") != nil { for pipeline in pipelines { print(pipeline) } }
        let folder = Folder()
        for (pipeline, outcome) in zip(pipelines, Oracle.run(pipelines, in: folder)) {
            guard let outcome, outcome.refused == "" else {
                Issue.record("HANDOUT_SEED=\(pipeline.seed): the pure edition: \(outcome?.refused ?? "nothing")")
                continue
            }
            for slots in [1, 2, 8] { compare(pipeline, outcome, slots: slots, in: folder) }
        }
    }

    private func compare(_ pipeline: RandomPipeline, _ expected: Oracle.Outcome, slots: Int, in folder: Folder) {
        var arguments = ["run", pipeline.file] + pipeline.targets
        arguments += ["--keep-going", "--progress", "none", "--seed", "\(pipeline.seed)", "-j", "\(slots)"]
        for parameter in pipeline.parameters { arguments += ["-p", "\(parameter.name)=\(parameter.text)"] }
        let comment = Comment(rawValue: "HANDOUT_SEED=\(pipeline.seed) on \(slots) threads")
        if slots == 1 {
            let result = Tool.run(arguments, in: folder)
            #expect(result.output == expected.text, comment)
            #expect(result.status == (expected.ok ? 0 : 1), comment)
            return
        }
        let result = Tool.run(arguments + ["--json"], in: folder)
        #expect(OracleTests.outputs(in: result.output) == expected.outputs, comment)
        #expect(Oracle.failures(result.json?["failures"]) == expected.failures, comment)
        #expect(result.json?["ok"] == .bool(expected.ok), comment)
    }

    /// The text of the object `outputs` in what `run --json` printed.
    private static func outputs(in text: String) -> String {
        guard let begin = text.firstRange(of: "\"outputs\":"), let end = text.firstRange(of: ",\"failures\":[") else {
            return text
        }
        return String(text[begin.upperBound..<end.lowerBound])
    }

    @Test func `the generator reaches every feature`() {
        var reached: Set<RandomPipeline.Feature> = []
        for seed in 0..<300 { reached.formUnion(RandomPipeline(seed: UInt64(seed)).reached) }
        #expect(Set(RandomPipeline.Feature.allCases).subtracting(reached) == [])
    }

    /// A line of the pure edition and a wrong one in its place.
    struct Bug: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var right: String
        var wrong: String
    }

    @Test(arguments: [
        Bug(
            testDescription: "a reduce takes groups one too small", right: "while #inputs > arity do",
            wrong: "while #inputs >= arity and arity > 2 do"),
        Bug(
            testDescription: "the default arity is 7", right: "node.options.arity or 8, 0,",
            wrong: "node.options.arity or 7, 0,"),
        Bug(
            testDescription: "an attempt too many", right: "until not failure or number > retries",
            wrong: "until not failure or number > retries + 1"),
        Bug(
            testDescription: "handout.fail is retried", right: "if failure.is_final or failure.kind == \"result\"",
            wrong: "if failure.kind == \"result\""),
        Bug(
            testDescription: "nothing stays nothing in lists",
            right: "if element == nil then element = false end\n    value[i]",
            wrong: "value[i]"),
        Bug(
            testDescription: "values are shared, not copied",
            right: "if not cell.items then return (copy(cell.value)) end",
            wrong: "if not cell.items then return cell.value end"),
        Bug(
            testDescription: "keys of instances are not encoded",
            right: "key:gsub(\"[^%w_.:@+=,\\x80-\\xFF-]\", percent)", wrong: "key"),
        Bug(
            testDescription: "one sequence of random numbers for all tasks",
            right: "start_sequence(run.seed, hash(task.id))",
            wrong: "start_sequence(run.seed, 0)"),
        Bug(
            testDescription: "arguments before needs",
            right: "for _, value in ipairs(node.args) do add((copy(value))) end",
            wrong:
                "for _, value in ipairs(node.args) do table.insert(arguments, 1, value) arguments.n = arguments.n + 1 end"
        ),
        Bug(
            testDescription: "a failure does not spread",
            right: "if bad[resolve(instance, other, own).state] then state = \"skipped\" end", wrong: ""),
        Bug(
            testDescription: "floats lose their point",
            right: "return text:find \"^[-+%d]+$\" and text .. \".0\" or text",
            wrong: "return text"),
        Bug(
            testDescription: "tasks that others come after are outputs",
            right:
                "ipairs { node.after, node.when, node.unless, not only_inputs and node.near or nil } do\n    for _, other in ipairs(list) do visit",
            wrong: "ipairs {} do\n    for _, other in ipairs(list) do visit"),
    ])
    func `a planted bug is caught`(_ bug: Bug) {
        let parts = Oracle.source.split(separator: bug.right, omittingEmptySubsequences: false)
        #expect(parts.count == 2, "the line is there once")
        let pipelines = (0..<60).map { RandomPipeline(seed: $0) }
        let right = Oracle.run(pipelines, in: Folder())
        let wrong = Oracle.run(pipelines, in: Folder(), source: parts.joined(separator: bug.wrong))
        #expect(right.allSatisfy { $0?.refused == "" })
        #expect(zip(right, wrong).contains { $0 != $1 })
    }
}

/// `lua/handout.d.lua`, the annotations for editors.
@Suite struct AnnotationTests {
    private static let text = String(decoding: contents(of: packageFolder + "/lua/handout.d.lua") ?? [], as: UTF8.self)
    private static let reference = String(
        decoding: contents(of: packageFolder + "/docs/lua-api.md") ?? [], as: UTF8.self)

    @Test(.enabled(if: Oracle.lua != nil, "lua5.4 is not on PATH"))
    func `the annotations are Lua`() {
        let said = Oracle.output(
            "'\(Oracle.lua ?? "")' -e 'print(loadfile(arg[0]) ~= nil)' '\(packageFolder)/lua/handout.d.lua' 2>&1")
        #expect(String(decoding: said, as: UTF8.self) == "true\n")
    }

    @Test func `every documented call is annotated`() {
        // `handout.test` is a module of its own.
        let calls = Set(Self.reference.matches(of: /handout\.((?:fs|json)\.)?(\w+)/).map { ($0.1 ?? "") + $0.2 })
        #expect(calls.count > 20)
        for call in calls.subtracting(["test", "lua", "d"]).sorted() {
            let last = call.split(separator: ".").last ?? call
            let isThere =
                call.contains(".")
                ? Self.text.contains("\nfunction \(call)(")
                : Self.text.contains("\nfunction handout.\(last)(") || Self.text.contains("---@field \(last) ")
            #expect(isThere, "handout.\(call)")
        }
        let methods = Set(Self.reference.matches(of: /`g:(\w+)/).map { $0.1 })
        #expect(methods.count >= 4)
        for method in methods.sorted() { #expect(Self.text.contains("\nfunction Graph:\(method)("), "g:\(method)") }
        #expect(Self.text.contains("\nfunction Handle:at("))
    }

    @Test func `every documented option is annotated`() {
        let parts = Self.reference.split(separator: "## 4. ").last?.split(separator: "\n## ").first ?? ""
        var options: [Substring] = []
        for line in parts.split(separator: "\n") where line.hasPrefix("| `") {
            let cell = line.dropFirst().prefix { $0 != "|" }
            options += cell.matches(of: /`(\w+)`/).map { $0.1 }
        }
        #expect(options.count > 12)
        for option in options {
            let isThere = Self.text.contains("---@field \(option)? ") || Self.text.contains("---@field \(option) ")
            #expect(isThere, "\(option)")
        }
    }
}
