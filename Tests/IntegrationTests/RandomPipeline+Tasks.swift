import HandoutCore

/// Tasks, conditions, maps and reduces.
extension RandomPipeline {
    /// What a map or reduce runs over.
    struct Over {
        var text: String
        var node: Node?
        var elementShape: Shape = .other
        var isKeyed = false

        var mayFail: Bool { node?.mayFail ?? false }
        var isMap: Bool { node?.isMap ?? false }
    }

    private mutating func options(retried: Bool = true, inline: Feature?) -> Options {
        var options = Options()
        if !hasDefaults, let inline, uses(inline, 0.1) {
            options.isInline = true
            options.texts.append("inline = true")
        }
        guard retried, !options.isInline else { return options }
        options.retries = random.below(4)
        // The graph's default may be 1: then an attempt more is made.
        if options.retries > 0 { options.texts.append("retries = \(options.retries)") }
        return options
    }

    mutating func addTask() {
        let name = newName("t")
        var options = options(inline: .inlineTask)
        addOptions(&options)
        addMeasures(&options, mayEnd: true)
        let body = body(options)
        lines.append("local \(name) = g:task(\"\(name)\", \(options.text), function(...)\n\(body.text)\nend)")
        add(name, options, body)
    }

    mutating func addCondition() {
        let name = newName("w")
        var options = options(inline: nil)
        addOptions(&options)
        addMeasures(&options, mayEnd: true)
        let failing = failure(options)
        let body = (["  local n = all(...)"] + failing.lines + steps(isInline: false)).joined(separator: "\n")
        let result = pick(["n % 2 == 0", "n % 3 > 0", "n % 2 == 0 and n or nil", "n", "nil"])
        reached.insert(.condition)
        lines.append(
            "local \(name) = g:when(\"\(name)\", \(options.text), function(...)\n\(body)\n  return \(result)\nend)")
        add(name, options, Body(text: body, shape: .other, mayFail: failing.mayFail))
    }

    private mutating func add(_ name: String, _ options: Options, _ body: Body) {
        nodes.append(
            Node(
                name: name, shape: options.mayBeOff || options.isOptional ? .other : body.shape,
                mayFail: options.mayFail(body: body.mayFail), mayMiss: options.mayBeOff || options.isOptional))
        ids.append(name)
    }

    mutating func addLoop() {
        let name = newName("l")
        reached.insert(.loopVariable)
        var options = Options()
        addOptions(&options)
        lines.append(
            """
            local \(name) = {}
            for i = 1, 3 do
              local own = { i, i * i }
              \(name)[i] = g:task("\(name)." .. i, \(options.text), function(...) return { i, own[2] + later, all(...) } end)
            end
            \(name) = \(name)[2]
            """)
        nodes.append(
            Node(
                name: name, shape: options.mayBeOff ? .other : .list, mayFail: options.mayFail(body: false),
                mayMiss: options.mayBeOff || options.isOptional))
        ids.append(name + ".2")
    }

    mutating func over(reduce: Bool) -> Over {
        let maps = nodes.filter { $0.isMap && !$0.mayMiss && !$0.isFragile }
        let lists = nodes.filter { $0.shape != .other && !$0.isMap && !$0.mayMiss }
        if !maps.isEmpty, random.chance(0.35) {
            let map = pick(maps)
            reached.insert(reduce ? .reduceMap : .overMap)
            if map.mayFail, !reduce { reached.insert(.failedElement) }
            if map.isHoley { reached.insert(reduce ? .reduceWithAbsent : .absentElement) }
            if reduce, map.chain > 1 { reached.insert(.reduceOverChain) }
            return Over(text: map.name, node: map, elementShape: map.elementShape, isKeyed: map.isKeyed)
        }
        if !lists.isEmpty, random.chance(0.6) {
            let node = pick(lists)
            reached.insert(reduce ? .reduceRunTime : node.shape == .list ? .runTimeList : .runTimeTable)
            if node.isInput { notes.strictInputs.insert(node.name) }
            return Over(text: node.name, node: node, isKeyed: node.shape == .table)
        }
        let parts = nodes.filter { $0.isMap && !$0.isHoley && !$0.mayFail && $0.elementShape == .list }
        if !parts.isEmpty, uses(.overPart, 0.2) {
            let node = pick(parts)
            if node.isInput { notes.strictInputs.insert(node.name) }
            return Over(
                text: "\(node.name):at(\(node.isKeyed ? "\"first\"" : "1"))",
                node: Node(name: "", shape: .list, mayFail: true))
        }
        let others = nodes.filter { !$0.isInput && !$0.name.contains("[") && !$0.isMap }
        if level == 0, !others.isEmpty, uses(.notElements, 0.05) {
            return Over(text: pick(others).name, node: Node(name: "", shape: .other, mayFail: true))
        }
        if random.chance(0.3) {
            reached.insert(reduce ? .reduceTable : .literalTable)
            return Over(text: literalTable { $0.literal(1) }, isKeyed: true)
        }
        reached.insert(reduce ? .reduceLiteral : .literalList)
        let count = random.below(level > 0 ? 4 : random.chance(0.1) ? 70 : 13)
        if count == 0 { reached.insert(.emptyMap) }
        return Over(text: "{ \((0..<count).map { _ in literal(1) }.joined(separator: ", ")) }")
    }

    mutating func addMap(over given: Over? = nil) {
        let name = newName("m"), over = given ?? over(reduce: false)
        var options = options(inline: .inlineMap)
        options.texts.append("over = \(over.text)")
        options.inputsMayFail = over.mayFail
        options.wholeMayFail = over.mayFail && !(over.node?.failsByElement ?? false)
        let byElement = over.mayFail && !options.wholeMayFail
        addOptions(&options, isInstance: true, mayBeAlways: !over.mayFail || byElement)
        if options.isAlways, byElement { reached.insert(.alwaysOnFailedElement) }
        addMeasures(&options, mayEnd: true)
        let body = body(options)
        lines.append("local \(name) = g:map(\"\(name)\", \(options.text), function(...)\n\(body.text)\nend)")
        let isHoley = options.isOptional || options.instancesMayBeOff
        let chain = 1 + (over.node?.chain ?? 0)
        if chain > 2 {
            reached.insert(.chainOfThree)
            if over.isKeyed { reached.insert(.keyedChain) }
        }
        nodes.append(
            Node(
                name: name, shape: options.mayBeOff ? .other : over.isKeyed ? .table : .list,
                elementShape: isHoley ? .other : body.shape, isMap: true, mayFail: options.mayFail(body: body.mayFail),
                mayMiss: options.mayBeOff, isHoley: isHoley, failsByElement: !options.wholeMayFail,
                chain: chain, isKeyed: over.isKeyed))
        ids.append(name)
        if level > 0 { reached.insert(.mapInside) }
    }

    /// Maps one over the other.
    mutating func addChain() {
        addMap()
        for _ in 0..<(1 + random.below(2)) {
            guard let map = nodes.last, map.isMap, !map.mayMiss else { return }
            addMap(over: Over(text: map.name, node: map, elementShape: map.elementShape, isKeyed: map.isKeyed))
        }
    }

    /// Over what fails, nodes may have run or not: there the nodes themselves never fail for good.
    mutating func addReduce() {
        let name = newName("r"), over = over(reduce: true)
        var options = options(inline: .inlineReduce)
        options.texts.append("over = \(over.text)")
        options.inputsMayFail = over.mayFail
        if !uses(.defaultArity, 0.2) { options.texts.append("arity = \(2 + random.below(5))") }
        addOptions(&options, mayBeAlways: !over.mayFail)
        let mayEnd = over.node == nil && !options.isAlways
        addMeasures(&options, mayEnd: false)
        let failing = failure(options, mayEnd: mayEnd && options.recovers != false)
        let steps = steps(isInline: options.isInline)
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
        add(name, options, Body(text: "", shape: .other, mayFail: failing.mayFail))
        if level > 0 { reached.insert(.reduceInside) }
    }
}
