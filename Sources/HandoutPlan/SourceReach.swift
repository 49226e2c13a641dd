/// What code depends on beyond its own tokens and captured values.
struct Reach: Sendable {
    /// Source files: those that its modules and globals come from, and theirs in turn.
    var sources: Set<Int> = []
    /// One of them uses parameters, the seed or recorded files.
    var inputs = false
    /// Anything: it cannot be told.
    var bundle = false
}

/// Finds which sources a piece of code depends on, through `require` and through globals.
///
/// A global is followed to every source that assigns it. Where names cannot be followed (`_ENV[name]`, `load`, an
/// unknown module) the whole program is depended on.
struct SourceReach {
    private let sources: [ParsedSource]
    private let modules: [[UInt8]: Int]
    private var facts: [Facts] = []
    /// By name of a global: the sources that assign it.
    private var assigners: [[UInt8]: [Int]] = [:]
    /// A source may change any global.
    private var isEscaped = false
    private var closures: [Int: Reach] = [:]

    private struct Facts {
        var reach = Reach()
        var globals: Set<[UInt8]> = []
    }

    /// `modules` gives the index in `sources` of each module.
    init(_ sources: [ParsedSource], modules: [[UInt8]: Int]) {
        self.sources = sources
        self.modules = modules
        for (index, source) in sources.enumerated() {
            var facts = Facts()
            collect(source.mentions[...], of: source, into: &facts)
            facts.reach.inputs = facts.reach.inputs || SourceReach.usesRandom(source, facts.globals)
            facts.reach.bundle = facts.reach.bundle || !source.isComplete
            isEscaped = isEscaped || !source.isComplete
            for mention in source.mentions {
                switch mention.kind {
                case .assigned(let name):
                    if assigners[source.names[name]]?.last != index {
                        assigners[source.names[name], default: []].append(index)
                    }
                case .escaped: isEscaped = true
                default: break
                }
            }
            self.facts.append(facts)
        }
    }

    /// What `mentions`, all of source `index`, depend on.
    mutating func reach(_ mentions: ArraySlice<Mention>, in index: Int) -> Reach {
        var facts = Facts()
        collect(mentions, of: sources[index], into: &facts)
        // A function may call the library; only files that do so while planning depend on what it gives there.
        facts.reach.inputs = false
        return close(facts)
    }

    /// What source `index` as a whole depends on, itself included.
    mutating func reach(source index: Int) -> Reach {
        if let known = closures[index] { return known }
        var facts = Facts()
        facts.reach.sources = [index]
        let reach = close(facts)
        closures[index] = reach
        return reach
    }

    /// What the global `name` depends on.
    func reach(global name: [UInt8]) -> Reach {
        var facts = Facts()
        facts.globals = [name]
        return close(facts)
    }

    // MARK: Parts

    private func collect(_ mentions: ArraySlice<Mention>, of source: ParsedSource, into facts: inout Facts) {
        for mention in mentions {
            switch mention.kind {
            case .global(let name), .assigned(let name):
                facts.globals.insert(source.names[name])
                if source.names[name].elementsEqual("handout".utf8) { facts.reach.inputs = true }
            case .method:
                facts.globals.insert(Array("string".utf8))
            case .computed, .escaped, .computedModule:
                facts.reach.bundle = true
            case .module(let token):
                guard let name = source.plainString(token) else {
                    facts.reach.bundle = true
                    continue
                }
                if name.elementsEqual("handout".utf8) {
                    facts.reach.inputs = true
                } else if let module = modules[name] {
                    facts.reach.sources.insert(module)
                } else {
                    facts.reach.bundle = true
                }
            case .constant:
                break
            }
        }
    }

    /// Whether a source may draw random numbers while it is loaded.
    private static func usesRandom(_ source: ParsedSource, _ globals: Set<[UInt8]>) -> Bool {
        guard globals.contains(Array("math".utf8)) else { return false }
        for mention in source.mentions {
            guard case .global(let name) = mention.kind, source.names[name].elementsEqual("math".utf8) else { continue }
            let next = mention.token + 1
            guard next + 1 < source.tokens.count, source.tokens[next].kind == .dot else { return true }
            if source.text(next + 1).starts(with: "random".utf8) { return true }
        }
        return false
    }

    private func close(_ start: Facts) -> Reach {
        var reach = Reach(inputs: start.reach.inputs, bundle: start.reach.bundle)
        var waiting: [Int] = []
        func follow(_ facts: Facts) {
            reach.inputs = reach.inputs || facts.reach.inputs
            reach.bundle = reach.bundle || facts.reach.bundle || (isEscaped && !facts.globals.isEmpty)
            waiting.append(contentsOf: facts.reach.sources)
            for global in facts.globals { waiting.append(contentsOf: assigners[global] ?? []) }
        }
        follow(start)
        while let source = waiting.popLast() {
            if reach.sources.insert(source).inserted { follow(facts[source]) }
        }
        return reach
    }
}
