internal import HandoutCore

/// A program as it is shipped: its sources, parameters, seed and what planning read, in one canonical form.
package struct Bundle: Sendable {
    /// A parameter's name, and its value as encoded plain data.
    package struct Parameter: Sendable, Equatable {
        package var name: String
        package var value: [UInt8]

        package init(name: String, value: [UInt8]) {
            self.name = name
            self.value = value
        }
    }

    /// Something that planning read: a call (`read`, `glob`), its argument, and what it gave.
    package struct Recording: Sendable, Equatable {
        package var call: String
        package var argument: String
        package var result: [UInt8]

        package init(call: String, argument: String, result: [UInt8]) {
            self.call = call
            self.argument = argument
            self.result = result
        }
    }

    package let entry: ProgramSource
    /// Sorted by name.
    package let modules: [ProgramSource]
    package let parameters: [Parameter]
    package let recordings: [Recording]
    package let seed: UInt64
    /// The canonical bytes.
    package let bytes: [UInt8]
    /// The hash of `bytes`; in hexadecimal, the bundle's name.
    package let hash: Fingerprint
    /// The hash of all but the sources.
    package let inputs: Fingerprint

    private static let magic = Array("handout bundle 1\n".utf8)

    package init(sources: [ProgramSource], parameters: [Parameter], recordings: [Recording] = [], seed: UInt64) {
        precondition(!sources.isEmpty, "a program has an entry script")
        entry = sources[0]
        modules = sources.dropFirst().sorted { $0.name < $1.name }
        self.parameters = parameters.sorted { $0.name < $1.name }
        self.recordings = recordings.sorted { ($0.call, $0.argument) < ($1.call, $1.argument) }
        self.seed = seed

        var inputs: [UInt8] = []
        for half in [seed & 0xFFFF_FFFF, seed >> 32] { inputs.append(number: Int(half)) }
        inputs.append(number: self.parameters.count)
        for parameter in self.parameters {
            inputs.append(counted: parameter.name.utf8)
            inputs.append(counted: parameter.value)
        }
        inputs.append(number: self.recordings.count)
        for recording in self.recordings {
            inputs.append(counted: recording.call.utf8)
            inputs.append(counted: recording.argument.utf8)
            inputs.append(counted: recording.result)
        }
        var bytes = Bundle.magic
        bytes.append(number: sources.count)
        for source in [entry] + modules {
            bytes.append(counted: source.name.utf8)
            bytes.append(counted: source.file.utf8)
            bytes.append(counted: source.text.buffer)
        }
        bytes += inputs
        self.inputs = Fingerprint(hashing: inputs)
        self.bytes = bytes
        hash = Fingerprint(hashing: bytes)
    }

    /// The bundle whose canonical bytes these are; nil for any others.
    package init?(bytes: [UInt8]) {
        var reader = Reader(rest: bytes[...])
        guard reader.take(Bundle.magic.count).map({ $0.elementsEqual(Bundle.magic) }) == true,
            let count = reader.number(), count >= 1, count <= ProgramSources.countLimit
        else { return nil }
        var sources: [ProgramSource] = []
        for _ in 0..<count {
            guard let name = reader.text(), let file = reader.text(), let text = reader.counted(),
                let source = try? ProgramSource(name: name, file: file, bytes: [UInt8](text))
            else { return nil }
            sources.append(source)
        }
        guard let low = reader.number(), let high = reader.number(), let parameterCount = reader.number() else {
            return nil
        }
        var parameters: [Parameter] = [], recordings: [Recording] = []
        for _ in 0..<parameterCount {
            guard let name = reader.text(), let value = reader.counted() else { return nil }
            parameters.append(Parameter(name: name, value: [UInt8](value)))
        }
        guard let recordingCount = reader.number() else { return nil }
        for _ in 0..<recordingCount {
            guard let call = reader.text(), let argument = reader.text(), let result = reader.counted() else {
                return nil
            }
            recordings.append(Recording(call: call, argument: argument, result: [UInt8](result)))
        }
        self.init(
            sources: sources, parameters: parameters, recordings: recordings, seed: UInt64(high) << 32 | UInt64(low))
        guard self.bytes == bytes else { return nil }
    }

    /// The program's sources, in which modules are found by name only.
    package func program() -> ProgramSources { ProgramSources(entry: entry, modules: modules) }
}

extension FingerprintSources {
    /// The sources of `program` in the order of their indices; `bundle` holds the same.
    package init(_ program: ProgramSources, bundle: Bundle) {
        self.init(
            sources: program.sources.map { ($0.name, ParsedSource($0.bytes)) }, inputs: bundle.inputs,
            bundle: bundle.hash)
    }
}

/// Reads length-prefixed bytes, giving nil where there are too few.
private struct Reader {
    var rest: ArraySlice<UInt8>

    mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard count <= rest.count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    mutating func number() -> Int? {
        take(4).map { $0.reversed().reduce(0) { $0 << 8 | Int($1) } }
    }

    mutating func counted() -> ArraySlice<UInt8>? {
        guard let count = number() else { return nil }
        return take(count)
    }

    mutating func text() -> String? {
        guard let bytes = counted() else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }
}
