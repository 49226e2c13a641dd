import HandoutCore

/// Inputs, graphs inside graphs, and maps over graphs.
extension RandomPipeline {
    /// What a graph that is being declared makes use of.
    struct InnerNotes {
        /// Inputs whose parts are asked for: they are bound to values without absent parts.
        var strictInputs: Set<String> = []
        var hasAlways = false
        /// Maps over graphs, one inside of the other.
        var maps = 0
    }

    /// A graph that others may include or map over.
    struct InnerGraph {
        var name: String
        var inputs: [(name: String, isList: Bool, hasDefault: Bool)] = []
        /// Empty: the tasks that nothing refers to.
        var outputs: [(name: String, node: Node)] = []
        var ids: [String] = []
        var notes = InnerNotes()
        var mayFail = false
        var isIncluded = false
    }

    /// An input of the script's graph.
    mutating func addInput() {
        let name = newName("n"), isList = random.chance(0.5)
        let given = uses(.inputGiven, 0.6)
        if given {
            let texts =
                isList
                ? ["[1,2.5,\"x\"]", "[]", "[[1],[2,{\"a\":null}]]"]
                : ["5", "{\"$float\":\"nan\"}", "\"ü\"", "{\"k1\":[true]}", "false"]
            inputs.append((name, pick(texts)))
        }
        let hasDefault = !given || random.chance(0.5)
        if hasDefault { reached.insert(.inputDefault) }
        lines.append(
            "local \(name) = g:input(\"\(name)\"\(hasDefault ? ", " + (isList ? shortList() : literal(2)) : ""))")
        nodes.append(Node(name: name, shape: isList ? .list : .other, isInput: true))
    }

    /// Declares a graph in a block of its own, where `g` is that graph.
    mutating func addGraph() {
        var graph = InnerGraph(name: newName("s"))
        let outer = (nodes, ids, notes)
        (nodes, ids, notes) = ([], [], InnerNotes())
        level = 1
        lines.append("local \(graph.name) do\nlocal g = handout.graph(\"\(graph.name)\")")
        for index in 0..<random.below(4) {
            let name = newName("n"), isList = index == 0 ? random.chance(0.4) : random.chance(0.25)
            let hasDefault = isList && index > 0 || random.chance(0.5)
            let value = isList ? shortList() : literal(1)
            lines.append("local \(name) = g:input(\"\(name)\"\(hasDefault ? ", " + value : ""))")
            graph.inputs.append((name, isList, hasDefault))
            nodes.append(Node(name: name, shape: isList ? .list : .other, isInput: true))
            if isList { reached.insert(.listsInside) }
        }
        addTask()
        for _ in 0..<random.below(4) {
            switch random.below(8) {
            case 0...2: addTask()
            case 3: addMap()
            case 4: addReduce()
            case 5: addCondition()
            default: addUseOfGraph()
            }
        }
        addOutputs(to: &graph)
        lines.append("\(graph.name) = g\nend")
        (graph.ids, graph.notes, graph.mayFail) = (ids, notes, nodes.contains(where: \.mayFail))
        (nodes, ids, notes) = outer
        level = 0
        graphs.append(graph)
    }

    private mutating func addOutputs(to graph: inout InnerGraph) {
        guard random.chance(0.65) else {
            reached.insert(.defaultInnerOutputs)
            return
        }
        for index in 0..<(random.chance(0.5) ? 1 : 2 + random.below(2)) {
            let node = index == 0 ? nodes[nodes.count - 1] : pick(nodes)
            if node.isInput { reached.insert(.inputAsOutput) }
            if node.isInput && node.shape == .list { notes.strictInputs.insert(node.name) }
            lines.append("g:output(\"o\(index)\", \(node.name))")
            graph.outputs.append(("o\(index)", node))
        }
    }

    mutating func addUseOfGraph() {
        guard !hasDefaults, !graphs.isEmpty else { return addTask() }
        let index = random.below(graphs.count)
        if random.chance(0.5) { addInclude(index) } else { addMap(overGraph: graphs[index]) }
    }

    // MARK: Include

    /// A value for an input, or nil: its default.
    private mutating func binding(
        _ input: (name: String, isList: Bool, hasDefault: Bool), _ graph: InnerGraph, mayFail: Bool
    ) -> Entry? {
        if input.hasDefault, random.chance(0.3) { return nil }
        let isStrict = graph.notes.strictInputs.contains(input.name)
        let fitting = nodes.filter { node in
            (!input.isList || node.shape == .list) && (mayFail || !node.mayFail)
                && (!isStrict || !node.mayFail && !node.isHoley && !node.mayMiss)
                && (!input.isList || !node.mayMiss)
        }
        guard !fitting.isEmpty, random.chance(0.7) else { return Entry(text: input.isList ? shortList() : literal(1)) }
        let node = pick(fitting)
        reached.insert(.inputBoundToHandle)
        if node.isInput { notes.strictInputs.insert(node.name) }
        return Entry(text: node.name, mayFail: node.mayFail, mayMiss: node.mayMiss || node.isHoley)
    }

    private mutating func addInclude(_ index: Int) {
        let graph = graphs[index], name = newName("i")
        reached.insert(level > 0 ? .includeNested : .include)
        if graph.isIncluded { reached.insert(.includeAgain) }
        graphs[index].isIncluded = true
        var options = Options()
        var texts: [String] = []
        for input in graph.inputs {
            guard let entry = binding(input, graph, mayFail: true) else { continue }
            if Double(entry.text) != nil { reached.insert(.inputBoundToData) }
            texts.append("\(input.name) = \(entry.text)")
            options.note(entry)
        }
        var gates = Options()
        if random.chance(0.5) {
            addOrder(&gates, isInstance: false, mayFail: false)
            addConditions(&gates, isInstance: false, mayFail: !graph.notes.hasAlways)
        }
        if gates.texts.contains(where: { $0.hasPrefix("when") || $0.hasPrefix("unless") }) {
            reached.insert(.includeWhen)
        }
        if gates.texts.contains(where: { $0.hasPrefix("after") }) { reached.insert(.includeAfter) }
        let given = "{ \(texts.joined(separator: ", ")) }"
        lines.append(
            "local \(name) = g:include(\"\(name)\", \(graph.name), \(given)\(gates.texts.isEmpty ? "" : ", \(gates.text)"))"
        )
        ids += graph.ids.map { "\(name)/\($0)" }
        notes.hasAlways = notes.hasAlways || graph.notes.hasAlways
        notes.maps = max(notes.maps, graph.notes.maps)
        let mayFail = options.inputsMayFail || gates.inputsMayFail
        for output in graph.outputs {
            var node = output.node
            node.name = "\(name)[\"\(output.name)\"]"
            node.isInput = false
            node.failsByElement = node.failsByElement && !mayFail
            node.mayFail = node.mayFail || mayFail
            node.isHoley = node.isHoley || options.needsAbsent
            node.mayMiss = node.mayMiss || gates.mayBeOff || options.needsAbsent
            nodes.append(node)
        }
        guard graph.outputs.isEmpty else { return }
        // The first of the default outputs: its name is not known here.
        lines.append("for _, handle in handout.sorted(\(name)) do \(name) = handle break end")
        nodes.append(
            Node(
                name: name, shape: .other, mayFail: graph.mayFail || mayFail, mayMiss: true, isHoley: true,
                isFragile: true))
    }

    // MARK: Maps over graphs

    private mutating func overForGraph(_ graph: InnerGraph) -> Over {
        let needsLists = graph.inputs.first?.isList ?? false
        let maps = nodes.filter { node in
            node.isMap && !node.mayMiss && !node.isFragile && !node.isHoley
                && (!needsLists || node.elementShape == .list) && (!node.mayFail || !graph.notes.hasAlways)
        }
        if !maps.isEmpty, uses(.mapOverGraphOverMap, 0.35) {
            let map = pick(maps)
            return Over(text: map.name, node: map, isKeyed: map.isKeyed)
        }
        let lists = nodes.filter { $0.shape == .list && !$0.isMap && !$0.mayMiss && !$0.mayFail }
        if !needsLists, !lists.isEmpty, random.chance(0.4) {
            let node = pick(lists)
            if node.isInput { notes.strictInputs.insert(node.name) }
            return Over(text: node.name, node: node)
        }
        if random.chance(0.3) {
            return Over(text: literalTable { needsLists ? $0.shortList(0) : $0.literal(1) }, isKeyed: true)
        }
        let elements = (0..<random.below(5)).map { _ in needsLists ? shortList(0) : literal(1) }
        return Over(text: "{ \(elements.joined(separator: ", ")) }")
    }

    private mutating func addMap(overGraph graph: InnerGraph) {
        guard level == 0 || graph.notes.maps == 0 else { return addTask() }
        let name = newName("m"), over = overForGraph(graph)
        var options = Options()
        options.texts.append("over = \(over.text)")
        options.inputsMayFail = over.mayFail
        options.wholeMayFail = over.mayFail && !(over.node?.failsByElement ?? false)
        reached.insert(level > 0 ? .mapOverGraphNested : .mapOverGraph)
        addBindings(graph, &options)
        addOrder(&options, isInstance: true, mayFail: false)
        let before = options.texts.count
        addConditions(&options, isInstance: true, mayFail: false)
        if options.texts.count > before { reached.insert(.mapOverGraphConditional) }
        if !graph.mayFail, uses(.mapOverGraphOptional, 0.15) { options.texts.append("optional = true") }
        lines.append("local \(name) = g:map(\"\(name)\", \(options.text), \(graph.name))")
        notes.hasAlways = notes.hasAlways || graph.notes.hasAlways
        notes.maps = max(notes.maps, graph.notes.maps + 1)
        let single = graph.outputs.count == 1 ? graph.outputs[0].node : nil
        if graph.outputs.count > 1 { reached.insert(.severalInnerOutputs) }
        let isHoley = options.instancesMayBeOff || single.map { $0.mayMiss || $0.isHoley || $0.isInput } ?? true
        nodes.append(
            Node(
                name: name, shape: options.mayBeOff ? .other : over.isKeyed ? .table : .list,
                elementShape: isHoley ? .other : single?.shape ?? .other, isMap: true,
                mayFail: options.inputsMayFail || graph.mayFail, mayMiss: options.mayBeOff, isHoley: isHoley,
                failsByElement: !options.wholeMayFail, isFragile: single == nil && graph.mayFail,
                chain: 1 + (over.node?.chain ?? 0), isKeyed: over.isKeyed))
        ids.append(name)
    }

    /// The inputs from the third on are given by position, or any of them by name.
    private mutating func addBindings(_ graph: InnerGraph, _ options: inout Options) {
        var entries: [Entry] = []
        let isNamed = random.chance(0.4) && graph.inputs.allSatisfy { !$0.isList || $0.hasDefault }
        for (index, input) in graph.inputs.enumerated() {
            if isNamed ? index < 1 || random.chance(0.2) && index < 2 : index < 2 { continue }
            let mustBe = (name: input.name, isList: input.isList, hasDefault: false)
            guard let entry = handleBinding(mustBe, graph) else {
                // Without a default the graph cannot be mapped over: a constant of its own.
                let value = newName("t")
                lines.append(
                    "local \(value) = g:task(\"\(value)\", function() return \(input.isList ? shortList() : literal(1)) end)"
                )
                entries.append(Entry(text: isNamed ? "\(input.name) = \(value)" : value))
                continue
            }
            entries.append(
                Entry(
                    text: isNamed ? "\(input.name) = \(entry.text)" : entry.text, mayFail: entry.mayFail,
                    mayMiss: entry.mayMiss))
        }
        guard !entries.isEmpty else { return }
        reached.insert(isNamed ? .mapOverGraphNamed : .mapOverGraphPositions)
        entries.forEach { options.note($0) }
        options.texts.append("needs = { \(entries.map(\.text).joined(separator: ", ")) }")
    }

    private mutating func handleBinding(_ input: (name: String, isList: Bool, hasDefault: Bool), _ graph: InnerGraph)
        -> Entry?
    {
        let fitting = nodes.filter { !$0.mayFail && !$0.mayMiss && !$0.isHoley && (!input.isList || $0.shape == .list) }
        guard !fitting.isEmpty, random.chance(0.8) else { return nil }
        let node = pick(fitting)
        if node.isInput { notes.strictInputs.insert(node.name) }
        if !input.isList, !graph.notes.strictInputs.contains(input.name), random.chance(0.2) {
            return part(of: node, isInstance: true)
        }
        return Entry(text: node.name)
    }
}
