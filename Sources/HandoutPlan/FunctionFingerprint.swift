/// A function's place in the source, and the names of its captured variables.
package struct FunctionClass: Sendable, Hashable {
    /// Index in the program's sources; code in none of them (from `load`) has an index beyond, each text its own.
    package var source: Int
    package var line: UInt32
    package var lastLine: UInt32
    /// From 0; tells functions on the same lines apart, in the order in which they were met.
    package var variant: Int
    package var captureNames: [String]

    package init(source: Int, line: UInt32, lastLine: UInt32, variant: Int = 0, captureNames: [String] = []) {
        self.source = source
        self.line = line
        self.lastLine = lastLine
        self.variant = variant
        self.captureNames = captureNames
    }
}

/// What a captured variable holds.
package enum CapturedValue {
    /// Encoded plain data; the memory belongs to the pool.
    case data(UnsafeRawBufferPointer)
    case integer(Int64)
    /// A function: its class, and the pool index of each variable that it captures.
    case function(class: Int, captures: [Int])
    /// A function or table of the library, by its dotted name.
    case library(String)
    /// What `require` gives for this name.
    case module(String)
    /// `_ENV`.
    case globals
}

/// The captured values of a plan, each stored once, known by its index.
package protocol CapturePool {
    var count: Int { get }
    func value(_ index: Int) -> CapturedValue
}

/// The sources of a program as fingerprints see them.
package struct FingerprintSources {
    /// Name (empty for the entry script) and text, in the order of the source indices of classes.
    package var sources: [(name: String, source: ParsedSource)]
    /// Hash of the parameters, the seed, and what planning read.
    package var inputs: Fingerprint
    /// Hash of the whole program.
    package var bundle: Fingerprint

    package init(sources: [(name: String, source: ParsedSource)], inputs: Fingerprint, bundle: Fingerprint) {
        self.sources = sources
        self.inputs = inputs
        self.bundle = bundle
    }
}

/// Fingerprints of functions: equal when their code and all that it depends on is equal, comments and layout aside.
///
/// Over the tokens of the function; over the value of each captured variable, functions recursively; over the sources
/// that its modules and globals come from; over the whole program where that cannot be told. Not thread-safe.
package struct FunctionFingerprints<Pool: CapturePool> {
    private let program: FingerprintSources
    private let classes: [FunctionClass]
    private let pool: Pool
    private var reach: SourceReach
    /// How many classes look alike from the source.
    private var alike: [FunctionClass: Int] = [:]
    private var classHashes: [Fingerprint?]
    private var sourceHashes: [Fingerprint?]
    private var valueHashes: [Int: Fingerprint] = [:]
    private var lastResults: [Int: (captures: [UInt32], result: Fingerprint)] = [:]
    private var modules: [String: Int] = [:]

    /// Data up to this size is hashed in place.
    private static var inlineLimit: Int { 64 }
    /// Cycles of more functions than this are told apart by the whole program.
    private static var cycleLimit: Int { 64 }

    package init(program: FingerprintSources, classes: [FunctionClass], pool: Pool) {
        self.program = program
        self.classes = classes
        self.pool = pool
        for (index, source) in program.sources.enumerated() where !source.name.isEmpty {
            modules[source.name] = index
        }
        let byBytes = [[UInt8]: Int](uniqueKeysWithValues: modules.map { (Array($0.key.utf8), $0.value) })
        reach = SourceReach(program.sources.map(\.source), modules: byBytes)
        classHashes = Array(repeating: nil, count: classes.count)
        sourceHashes = Array(repeating: nil, count: program.sources.count)
        for entry in classes { alike[FunctionFingerprints.withoutVariant(entry), default: 0] += 1 }
    }

    /// The fingerprint of a function of class `index` whose captured variables hold these pool entries.
    package mutating func fingerprint(class index: Int, captures: UnsafeBufferPointer<UInt32>) -> Fingerprint {
        if let last = lastResults[index], last.captures.elementsEqual(captures) { return last.result }
        let result = hash(class: index, captures: captures.map { Int($0) })
        lastResults[index] = (Array(captures), result)
        return result
    }

    /// The fingerprint of a function of class `index` whose captured variables hold these pool entries.
    package mutating func fingerprint(class index: Int, captures: [Int]) -> Fingerprint {
        captures.map { UInt32(truncatingIfNeeded: $0) }.withUnsafeBufferPointer {
            fingerprint(class: index, captures: $0)
        }
    }

    // MARK: Values

    private mutating func hash(class index: Int, captures: [Int]) -> Fingerprint {
        var output: [UInt8] = []
        appendFunction(class: index, captures: captures, to: &output) { fingerprints, entry, output in
            output.append(fingerprints.hashOfFunction(entry))
        }
        return Fingerprint(hashing: output)
    }

    /// Appends the class and the captured values; captured functions are left to `append`.
    private mutating func appendFunction(
        class index: Int, captures: [Int], to output: inout [UInt8],
        append: (inout FunctionFingerprints, Int, inout [UInt8]) -> Void
    ) {
        output.append(hash(class: index))
        output.append(number: captures.count)
        let names = classes[index].captureNames
        for (position, entry) in captures.enumerated() {
            let name = position < names.count ? names[position] : ""
            switch pool.value(entry) {
            case .data(let bytes) where bytes.count <= FunctionFingerprints.inlineLimit:
                output.append(UInt8(ascii: "d"))
                output.append(counted: bytes)
            case .data(let bytes):
                output.append(UInt8(ascii: "D"))
                output.append(known(entry) { _ in Fingerprint(hashing: bytes) })
            case .integer(let number):
                output.append(UInt8(ascii: "i"))
                withUnsafeBytes(of: number.littleEndian) { output.append(contentsOf: $0) }
            case .function:
                output.append(UInt8(ascii: "f"))
                append(&self, entry, &output)
            case .library(let library):
                output.append(UInt8(ascii: "l"))
                output.append(known(entry) { $0.hash(library: library) })
                // Under another name the tokens do not tell what it is used for.
                if ["require", "load"].contains(library), library != name || library == "load" {
                    output.append(program.bundle)
                }
            case .module(let module):
                output.append(UInt8(ascii: "m"))
                output.append(known(entry) { $0.hash(module: module) })
            case .globals:
                output.append(UInt8(ascii: "g"))
                if name != "_ENV" { output.append(program.bundle) }
            }
        }
    }

    private mutating func known(_ entry: Int, _ make: (inout FunctionFingerprints) -> Fingerprint) -> Fingerprint {
        if let known = valueHashes[entry] { return known }
        let hash = make(&self)
        valueHashes[entry] = hash
        return hash
    }

    private mutating func hash(library name: String) -> Fingerprint {
        var output = Array("library\0\(name)\0".utf8)
        let root = name.utf8.prefix { $0 != UInt8(ascii: ".") }
        append(reach.reach(global: [UInt8](root)), to: &output)
        return Fingerprint(hashing: output)
    }

    private mutating func hash(module name: String) -> Fingerprint {
        var output = Array("module\0\(name)\0".utf8)
        let found = modules[name].map { reach.reach(source: $0) } ?? Reach(bundle: name != "handout")
        append(found, to: &output)
        return Fingerprint(hashing: output)
    }

    // MARK: Captured functions

    /// The fingerprint of the function in pool entry `root`.
    ///
    /// Functions that capture each other form cycles. The members of a cycle are found (Tarjan's algorithm, without
    /// recursion: a script can chain a million functions), and each is hashed as the cycle seen from it.
    private mutating func hashOfFunction(_ root: Int) -> Fingerprint {
        if let known = valueHashes[root] { return known }
        var search = CycleSearch()
        search.enter(root, capturedFunctions(root))
        while let step = search.next() {
            switch step {
            case .visit(let entry):
                if valueHashes[entry] == nil {
                    search.enter(entry, capturedFunctions(entry))
                }
            case .finished(let members):
                hash(cycle: members)
            }
        }
        return valueHashes[root] ?? program.bundle
    }

    private func capturedFunctions(_ entry: Int) -> [Int] {
        guard case .function(_, let captures) = pool.value(entry) else { return [] }
        return captures.filter { if case .function = pool.value($0) { true } else { false } }
    }

    /// Hashes functions that reach each other, all that they capture outside being hashed already.
    private mutating func hash(cycle members: [Int]) {
        if let only = members.first, members.count == 1, !capturedFunctions(only).contains(only) {
            guard case .function(let index, let captures) = pool.value(only) else { return }
            valueHashes[only] = hash(class: index, captures: captures)
            return
        }
        guard members.count <= FunctionFingerprints.cycleLimit else {
            for member in members {
                var output = Array("cycle\0".utf8)
                output.append(program.bundle)
                output.append(number: member)
                valueHashes[member] = Fingerprint(hashing: output)
            }
            return
        }
        let hashes = members.map { hash(from: $0, within: Set(members)) }
        for (member, hash) in zip(members, hashes) { valueHashes[member] = hash }
    }

    /// The cycle `members` as met from `start`: a member is hashed where it is first met, and by its number after that.
    private mutating func hash(from start: Int, within members: Set<Int>) -> Fingerprint {
        var ordinals = [start: 0]
        var order = [start]
        var output = Array("cycle\0".utf8)
        var next = 0
        while next < order.count {
            if case .function(let index, let captures) = pool.value(order[next]) {
                appendFunction(class: index, captures: captures, to: &output) { fingerprints, entry, output in
                    guard members.contains(entry) else {
                        output.append(fingerprints.valueHashes[entry] ?? fingerprints.program.bundle)
                        return
                    }
                    if ordinals[entry] == nil {
                        ordinals[entry] = order.count
                        order.append(entry)
                    }
                    output.append(UInt8(ascii: "#"))
                    output.append(number: ordinals[entry] ?? 0)
                }
            }
            next += 1
        }
        return Fingerprint(hashing: output)
    }

    // MARK: Classes

    /// The hash of what all functions of a class share.
    private mutating func hash(class index: Int) -> Fingerprint {
        if let known = classHashes[index] { return known }
        let entry = classes[index]
        var output = Array("function\u{1}".utf8)
        for name in entry.captureNames { output.append(counted: name.utf8) }
        if program.sources.indices.contains(entry.source) {
            append(code: entry, to: &output)
        } else {
            append(variant: entry, to: &output)
        }
        let hash = Fingerprint(hashing: output)
        classHashes[index] = hash
        return hash
    }

    private mutating func append(code entry: FunctionClass, to output: inout [UInt8]) {
        let source = program.sources[entry.source].source
        let candidates = FunctionFingerprints.candidates(entry, in: source)
        let isExact = candidates.count == 1 && alike[FunctionFingerprints.withoutVariant(entry)] == 1
        var ranges = candidates.map(\.tokens)
        if ranges.isEmpty { ranges = [source.tokens(line: entry.line, lastLine: entry.lastLine)] }
        for range in ranges {
            source.appendCanonical(range, to: &output)
            let mentions = source.mentions(in: range)
            append(constants: mentions, of: source, to: &output)
            append(reach.reach(mentions, in: entry.source), to: &output)
        }
        if !isExact || !source.isComplete { append(variant: entry, to: &output) }
    }

    /// What identifies a function that the source alone does not: the whole program, and its place there.
    private func append(variant entry: FunctionClass, to output: inout [UInt8]) {
        output.append(program.bundle)
        for number in [entry.source, Int(entry.line), Int(entry.lastLine), entry.variant] {
            output.append(number: number)
        }
    }

    /// Functions on the lines of the class, and of those the ones that capture the same variables where there are some.
    private static func candidates(_ entry: FunctionClass, in source: ParsedSource) -> [FunctionSource] {
        let found = source.functions(line: entry.line, lastLine: entry.lastLine)
        let matching = found.filter { function in
            let names = function.captures.map { String(decoding: source.names[$0], as: UTF8.self) }
            if names == entry.captureNames { return true }
            // Lua captures constants that it does not fold.
            return source.mentions(in: function.tokens).contains {
                if case .constant = $0.kind { true } else { false }
            } && names.allSatisfy(entry.captureNames.contains)
        }
        return matching.count == 1 ? matching : found.count == 1 ? [] : found
    }

    private static func withoutVariant(_ entry: FunctionClass) -> FunctionClass {
        var entry = entry
        entry.variant = 0
        return entry
    }

    /// Appends the initialisers of the constants in `mentions`, and those that they mention.
    private func append(constants mentions: ArraySlice<Mention>, of source: ParsedSource, to output: inout [UInt8]) {
        var seen: Set<Int> = [], order: [Int] = []
        func note(_ mentions: ArraySlice<Mention>) {
            for mention in mentions {
                if case .constant(let number) = mention.kind, seen.insert(number).inserted { order.append(number) }
            }
        }
        note(mentions)
        var next = 0
        while next < order.count {
            output.append(UInt8(ascii: "c"))
            source.appendCanonical(source.constants[order[next]], to: &output)
            note(source.mentions(in: source.constants[order[next]]))
            next += 1
        }
    }

    private mutating func append(_ reach: Reach, to output: inout [UInt8]) {
        if reach.bundle {
            output.append(UInt8(ascii: "B"))
            output.append(program.bundle)
            return
        }
        let names = reach.sources.map { (name: program.sources[$0].name, index: $0) }.sorted { $0.name < $1.name }
        output.append(number: names.count)
        for (name, index) in names {
            output.append(counted: name.utf8)
            output.append(hash(source: index))
        }
        if reach.inputs { output.append(program.inputs) }
    }

    private mutating func hash(source index: Int) -> Fingerprint {
        if let known = sourceHashes[index] { return known }
        let source = program.sources[index].source
        var output: [UInt8] = []
        source.appendCanonical(0..<source.tokens.count, to: &output)
        let hash = Fingerprint(hashing: output)
        sourceHashes[index] = hash
        return hash
    }
}
