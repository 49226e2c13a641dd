import HandoutCore

/// What tasks need, come after and depend on.
extension RandomPipeline {
    /// A handle, a part of one, or a table of these, as text.
    struct Entry {
        var text: String
        var mayFail = false
        var mayMiss = false
        /// It is another one in each instance.
        var isOwn = false
    }

    /// The options of a declaration, and what they mean for it.
    struct Options {
        var texts: [String] = []
        var retries = 0
        /// Something that it waits for may fail.
        var inputsMayFail = false
        var needsAbsent = false
        /// A condition of the whole, or of single instances, may keep it from running.
        var mayBeOff = false
        var instancesMayBeOff = false
        /// A whole map may fail or be skipped, not only some of its instances.
        var wholeMayFail = false
        var isAlways = false
        var isOptional = false
        var isInline = false
        /// `recover` gives a result: true; raises again: false.
        var recovers: Bool?
        /// A function among the options fails it for good.
        var measureFails = false

        var text: String { "{ \(texts.joined(separator: ", ")) }" }

        mutating func note(_ entry: Entry) {
            inputsMayFail = inputsMayFail || entry.mayFail
            wholeMayFail = wholeMayFail || entry.mayFail && !entry.isOwn
            needsAbsent = needsAbsent || entry.mayMiss
        }

        func mayFail(body: Bool) -> Bool {
            inputsMayFail && !isAlways || (body || measureFails) && !isOptional && recovers != true
        }
    }

    /// Options that tasks, maps, reduces and conditions have alike.
    mutating func addOptions(_ options: inout Options, isInstance: Bool = false, mayBeAlways: Bool = true) {
        addNeeds(&options, isInstance: isInstance)
        if uses(.arguments, 0.4) {
            options.texts.append("args = { \((0...random.below(3)).map { _ in literal(2) }.joined(separator: ", ")) }")
        }
        addOrder(&options, isInstance: isInstance)
        addConditions(&options, isInstance: isInstance)
        if options.isInline { return }
        if mayBeAlways, uses(.always, options.inputsMayFail ? 0.25 : 0.03) {
            options.isAlways = true
            options.texts.append("always = true")
            notes.hasAlways = true
            if options.inputsMayFail { reached.insert(.alwaysAfterFailure) }
        }
        addProtection(&options)
    }

    private mutating func addNeeds(_ options: inout Options, isInstance: Bool) {
        guard let needs = needs(isInstance: isInstance) else { return }
        options.texts.append("needs = \(needs.text)")
        options.note(needs)
        if needs.mayMiss { reached.insert(.needsAbsent) }
    }

    mutating func addOrder(_ options: inout Options, isInstance: Bool, mayFail: Bool = true) {
        guard !nodes.isEmpty else { return }
        if random.chance(0.15) {
            let isList = random.chance(0.5)
            let entries = (0...(isList ? 1 : 0)).map { _ in handle(isInstance: isInstance) }
            if mayFail || !entries.contains(where: \.mayFail) {
                options.texts.append("after = " + list(entries, isList))
                entries.forEach { options.note($0) }
                reached.insert(isList ? .afterList : .afterOne)
                if entries.contains(where: \.isOwn) { reached.insert(.afterOwn) }
            }
        }
        if mayFail, !options.isInline, random.chance(0.05) {
            reached.insert(.near)
            options.texts.append("near = \(pick(nodes).name)")
        }
    }

    private func list(_ entries: [Entry], _ isList: Bool) -> String {
        isList ? "{ \(entries.map(\.text).joined(separator: ", ")) }" : entries[0].text
    }

    mutating func addConditions(_ options: inout Options, isInstance: Bool, mayFail: Bool = true) {
        guard !nodes.isEmpty else { return }
        let kinds: [(option: String, one: Feature, many: Feature)] = [
            ("when", .whenOne, .whenList), ("unless", .unlessOne, .unlessList),
        ]
        for kind in kinds where random.chance(0.09) {
            let isList = random.chance(0.4)
            let entries = (0...(isList ? 1 : 0)).map { _ in conditionHandle(isInstance: isInstance) }
            if !mayFail, entries.contains(where: \.mayFail) { continue }
            options.texts.append("\(kind.option) = " + list(entries, isList))
            reached.insert(isList ? kind.many : kind.one)
            for entry in entries {
                options.note(entry)
                if entry.isOwn { options.instancesMayBeOff = true } else { options.mayBeOff = true }
                if isInstance { reached.insert(entry.isOwn ? .conditionOfInstance : .conditionOnMap) }
            }
        }
    }

    /// More often something that is true or false than any value.
    private mutating func conditionHandle(isInstance: Bool) -> Entry {
        let conditions = nodes.filter { $0.name.hasPrefix("w") }
        guard !conditions.isEmpty, random.chance(0.5) else { return handle(isInstance: isInstance, own: 0.5) }
        let node = pick(conditions)
        return Entry(text: node.name, mayFail: node.mayFail, mayMiss: node.mayMiss)
    }

    private mutating func addProtection(_ options: inout Options) {
        if uses(.optional, 0.08) {
            options.isOptional = true
            options.texts.append("optional = true")
        }
        guard random.chance(0.12) else { return }
        let result = pick([
            "return { err.kind, err.attempt, all(err.message, err.task, err.value, ...) }",
            "return err.kind .. \": \" .. err.message", "return all(err.value, ...)", "return nil",
            "return { kind = err.kind, value = err.value, attempt = handout.task.attempt }",
        ])
        let failure = pick([
            "error(\"again: \" .. err.kind .. all(...), 0)", "error({ message = err.message, again = true })",
            "handout.fail(\"in vain\")", "return 1, 2", "error(err)", "handout.retry(\"no more\", { after = 0 })",
        ])
        let gives = random.chance(0.7)
        options.recovers = gives
        reached.insert(gives ? .recovered : .recoveredInVain)
        options.texts.append("recover = function(err, ...) \(gives ? result : failure) end")
    }

    // MARK: Needs

    func joined(_ entries: [Entry], _ text: String) -> Entry {
        Entry(
            text: text, mayFail: entries.contains(where: \.mayFail), mayMiss: entries.contains(where: \.mayMiss),
            isOwn: entries.allSatisfy(\.isOwn))
    }

    private mutating func needs(isInstance: Bool) -> Entry? {
        guard !nodes.isEmpty, random.chance(0.75) else { return nil }
        switch random.below(8) {
        case 0:
            reached.insert(.needsNothing)
            return Entry(text: "{}")
        case 1:
            reached.insert(.needsOne)
            return entry(2, isInstance)
        case 2:
            reached.insert(.needsNames)
            return names(0, isInstance)
        default:
            reached.insert(.needsPositions)
            return list(0, isInstance)
        }
    }

    private mutating func entry(_ depth: Int, _ isInstance: Bool) -> Entry {
        if depth < 2, uses(.needsNested, 0.3) {
            return random.chance(0.5) ? list(depth + 1, isInstance) : names(depth + 1, isInstance)
        }
        return handle(isInstance: isInstance)
    }

    private mutating func list(_ depth: Int, _ isInstance: Bool) -> Entry {
        let entries = (0...random.below(4)).map { _ in entry(depth, isInstance) }
        return joined(entries, "{ \(entries.map(\.text).joined(separator: ", ")) }")
    }

    private mutating func names(_ depth: Int, _ isInstance: Bool) -> Entry {
        let keys = ["a", "[\"b c\"]", "zeta", "[\"é\"]"].prefix(1 + random.below(3))
        let entries = keys.map { _ in entry(depth, isInstance) }
        let texts = zip(keys, entries).map { "\($0) = \($1.text)" }
        return joined(entries, "{ \(texts.joined(separator: ", ")) }")
    }

    // MARK: Handles and their parts

    /// A node, or a part of its value; `isInstance`: parts may depend on the instance of a map.
    mutating func handle(isInstance: Bool, own: Double = 0.25) -> Entry {
        let node = pick(nodes)
        if random.chance(isInstance ? own : 0.12) { return part(of: node, isInstance: isInstance) }
        if node.isMap { reached.insert(.needsMap) }
        return Entry(text: node.name, mayFail: node.mayFail, mayMiss: node.mayMiss)
    }

    mutating func part(of node: Node, isInstance: Bool) -> Entry {
        var text = node.name, isOwn = false
        let steps = node.isFragile ? 1 : 1 + (random.chance(0.25) ? 1 : 0) + (random.chance(0.05) ? 1 : 0)
        for _ in 0..<steps {
            switch isInstance ? random.below(3) : 0 {
            case 1:
                reached.insert(.atOwn)
                text += ":at()"
                isOwn = true
            case 2:
                reached.insert(.atFunction)
                text += ":at(\(pickFunction()))"
                isOwn = true
            default:
                reached.insert(.atKey)
                text += ":at(\(key()))"
            }
        }
        if steps > 1 { reached.insert(.atNested) }
        if node.isInput { notes.strictInputs.insert(node.name) }
        return Entry(text: text, mayFail: node.mayFail, mayMiss: true, isOwn: isOwn)
    }

    /// Of some value, or of none.
    private mutating func key() -> String {
        pick([
            "1", "2", "3", "1", "2", "7", "0", "-1", "\"first\"", "\"k1\"", "\"B 1\"", "\"a\"", "\"nowhere\"", "\"1\"",
        ])
    }

    private mutating func pickFunction() -> String {
        pick([
            "function(_, k) return k end", "function(e) return 1 + digest(e) % 4 end",
            "function(e, k) return { k, 1, digest(k) % 5 } end",
            "function(e, k) return { 2, 1 + all(e, k) % 6, 1 } end",
            "function(e) return ({ \"first\", \"k1\", 2 })[1 + digest(e) % 3] end",
            "function() return \"nowhere\" end", "function(e, k) if digest(e) % 2 == 0 then return k end end",
            "function() return {} end", "function(_, k) return 1 + scale(digest(k)) % 3 end",
        ])
    }
}
