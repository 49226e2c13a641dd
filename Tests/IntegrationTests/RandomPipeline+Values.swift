import HandoutCore

/// Constants, results and the bodies of functions.
extension RandomPipeline {
    struct Body {
        var text: String
        var shape: Shape
        var mayFail: Bool
    }

    /// A constant of the script's.
    mutating func literal(_ depth: Int) -> String {
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

    /// A list of the script's, of at most 4 elements.
    mutating func shortList(_ depth: Int = 1) -> String {
        "{ \((0..<random.below(5)).map { _ in literal(depth) }.joined(separator: ", ")) }"
    }

    mutating func literalTable(_ value: (inout RandomPipeline) -> String) -> String {
        let keys = ["\"B 1\"", "\"ä/ö\"", "\"\"", "\"%41\"", "\"plain\"", "\"-\"", "\"z\\xff\\0\""]
        let entries = keys.prefix(1 + random.below(level == 0 ? keys.count : 3)).map { "[\($0)] = \(value(&self))" }
        return "{ \(entries.joined(separator: ", ")) }"
    }

    /// A statement that returns something made of the number `n`, and the shape of what it returns.
    private mutating func result() -> (text: String, shape: Shape) {
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
            let most = 3 + random.below(level == 0 ? 20 : 3)
            return ("local l = {} for i = 1, n % \(most) do l[i] = (n * i) % big end return l", .list)
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

    /// Statements that change the number `n`. What is computed in each consumer does not ask who it is.
    mutating func steps(isInline: Bool) -> [String] {
        var texts: [String] = []
        if !isInline, uses(.taskFields, 0.3) {
            texts.append(
                "n = n + all(handout.task.id, handout.task.name, handout.task.key, handout.task.attempt, "
                    + "handout.task.retries_left, handout.task.variant, handout.task.amounts, handout.task.missing)")
        }
        if !isInline, uses(.randomNumbers, 0.3) {
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
        if !isInline, uses(.recoveredByPcall, 0.1) {
            texts.append("local ok, e = pcall(handout.fail, \"caught\") n = n + all(ok, tostring(e), e.message)")
        }
        reached.formUnion([.recursiveHelper, .sorted])
        return texts.map { "  " + $0 }
    }

    /// A way to fail: the first attempts, or all. `mayEnd`: it may be for good.
    mutating func failure(_ options: Options, mayEnd: Bool = true) -> (lines: [String], mayFail: Bool) {
        let isProtected = options.isOptional || options.recovers != nil
        guard !options.isInline, random.chance(isProtected ? 0.8 : 0.35) else { return ([], false) }
        let mayEnd = mayEnd || options.isOptional || options.recovers == true
        let failing = random.below(options.retries + (mayEnd ? 2 : 1)) + (isProtected && mayEnd ? 1 : 0)
        guard failing > 0 else { return ([], false) }
        reached.insert(.retried)
        let attempts = "handout.task.attempt <= \(failing)"
        // Some instances of a map only, or all.
        let condition = random.chance(0.3) ? "\(attempts) and n % 3 == 0" : attempts
        let always = failing > options.retries
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
        let way = pick(ways)
        reached.insert(way.0)
        return (["  if \(condition) then \(way.1) end"], always || way.isFinal)
    }

    mutating func body(_ options: Options, takes: String = "...") -> Body {
        var texts = ["  local n = all(\(takes))"]
        let failing = failure(options)
        texts += failing.lines + steps(isInline: options.isInline)
        if uses(.changedInputs, 0.3) {
            texts.append("  local x = \(takes) if type(x) == \"table\" then x[1] = n x.changed = { n } end")
        }
        var result = result()
        // A table deeper than 200 levels fails.
        while options.isInline && result.text.contains("depth(") { result = self.result() }
        texts.append("  " + result.text)
        let mayFail = failing.mayFail || options.measureFails || result.text.contains("depth(n % 300)")
        let shape = mayFail && options.recovers == true ? .other : result.shape
        return Body(text: texts.joined(separator: "\n"), shape: shape, mayFail: mayFail)
    }
}
