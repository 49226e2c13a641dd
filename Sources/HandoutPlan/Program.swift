package import HandoutCore
import Synchronization

/// Why a program's source could not be had; `message` is a sentence for the user.
package struct ProgramError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: String, Sendable {
        case unreadable, notFound, badName, outside, tooLarge, encoding
    }
    package var code: Code
    package var message: String
    package var description: String { message }
}

/// One source of a program: the entry script or a module, as Lua is given it.
package final class ProgramSource: Sendable {
    /// Of a module the name it is required by; empty for the entry script.
    package let name: String
    /// The path as messages show it, relative to the directory of the script.
    package let file: String
    /// The text: without byte order mark, the first line empty if it began with `#`. Stays in place.
    package let text: Column<UInt8>
    /// What Lua calls it, `@` and the file, ended by a NUL.
    package let chunkName: Column<CChar>

    package init(name: String, file: String, bytes: [UInt8]) throws(ProgramError) {
        if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
            throw ProgramError(code: .encoding, message: "\(file): UTF-16 source, expected UTF-8 or plain bytes")
        }
        guard bytes.count <= ProgramSources.sourceLimit else {
            throw ProgramError(code: .tooLarge, message: "\(file): \(bytes.count) bytes, a source has at most 1 MiB")
        }
        self.name = name
        self.file = file
        let prefix = bytes.withUnsafeBufferPointer { SourceLexer.prefixLength($0) }
        text = Column(bytes.dropFirst(prefix))
        chunkName = Column("@\(file)\0".utf8.map { CChar(bitPattern: $0) })
    }

    package var bytes: [UInt8] { Array(text.buffer) }
}

/// The sources of a program: the entry script, and the modules in the order in which they were first required.
///
/// Modules are found beside the script and in `lua_modules` there, nowhere else, or among those that the host or a
/// bundle gives. Thread-safe; loads while planning, and only looks up once it is sealed.
package final class ProgramSources: Sendable {
    package static let sourceLimit = 1 << 20
    package static let programLimit = 64 << 20
    /// Source indices have 8 bits in `GraphColumns.lines`.
    package static let countLimit = 256

    private struct State {
        var sources: [ProgramSource]
        var indices: [String: Int] = [:]
        var size: Int
        var isSealed = false
    }
    private let state: Mutex<State>
    /// The script's directory, without links; nil when modules are only those given.
    private let directory: String?
    private let given: [String: ProgramSource]

    /// Reads the entry script at `path`; `modules` are found before files.
    package convenience init(path: String, modules: [ProgramSource] = []) throws(ProgramError) {
        let cut = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let file = cut.map { String(path[path.utf8.index(after: $0)...]) } ?? path
        let parent = cut.map { $0 == path.utf8.startIndex ? "/" : String(path[..<$0]) } ?? "."
        do {
            let bytes = try FileReading.bytes(of: path, limit: ProgramSources.sourceLimit)
            let directory = try FileReading.canonical(parent)
            let entry = try ProgramSource(name: "", file: file, bytes: bytes)
            self.init(entry: entry, modules: modules, directory: directory)
        } catch let failure as FileReading.Failure {
            throw ProgramSources.error(failure, file: path)
        } catch let failure as ProgramError {
            throw failure
        } catch {
            throw ProgramError(code: .unreadable, message: "\(path): \(error)")
        }
    }

    /// A program in memory; with a `directory` (without links) modules are looked for there too.
    package init(entry: ProgramSource, modules: [ProgramSource] = [], directory: String? = nil) {
        state = Mutex(State(sources: [entry], size: entry.text.count))
        self.directory = directory
        given = Dictionary(modules.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// The same program before anything was required.
    package func renewed() -> ProgramSources {
        ProgramSources(entry: entry, modules: Array(given.values), directory: directory)
    }

    /// The sources so far; those indices stay.
    package var sources: [ProgramSource] { state.withLock { $0.sources } }
    package subscript(index: Int) -> ProgramSource { state.withLock { $0.sources[index] } }
    package var entry: ProgramSource { self[0] }

    /// Where the sources lie, as far as they are files: absolute paths.
    package var paths: [String] {
        directory.map { directory in sources.map { Allowance.normal($0.file, in: directory) } } ?? []
    }

    /// The index of the source that messages call `file`.
    package func index(ofFile file: String) -> Int? { sources.firstIndex { $0.file == file } }

    /// From now on no further module is loaded.
    package func seal() { state.withLock { $0.isSealed = true } }

    /// The index of module `name`, which is loaded when it is required for the first time.
    package func module(_ name: String) throws(ProgramError) -> Int {
        try state.withLock { state throws(ProgramError) in
            if let index = state.indices[name] { return index }
            let source: ProgramSource
            if let known = given[name] { source = known } else { source = try load(name, state) }
            guard state.sources.count < ProgramSources.countLimit else {
                throw ProgramError(
                    code: .tooLarge, message: "module '\(name)': a program has at most 255 modules")
            }
            guard state.size + source.text.count <= ProgramSources.programLimit else {
                throw ProgramError(code: .tooLarge, message: "module '\(name)': the program is larger than 64 MiB")
            }
            state.sources.append(source)
            state.size += source.text.count
            state.indices[name] = state.sources.count - 1
            return state.sources.count - 1
        }
    }

    // MARK: Finding modules

    private func load(_ name: String, _ state: borrowing State) throws(ProgramError) -> ProgramSource {
        guard ProgramSources.isModuleName(name) else {
            throw ProgramError(
                code: .badName,
                message:
                    "module '\(ProgramSources.printable(name))': a module name is letters, digits, '_' and '-' in "
                    + "parts joined by '.'")
        }
        let script = state.sources[0].file
        let path = name.split(separator: ".").joined(separator: "/")
        let files = ["\(path).lua", "\(path)/init.lua", "lua_modules/\(path).lua", "lua_modules/\(path)/init.lua"]
        if let directory, !state.isSealed {
            for file in files {
                if let source = try load(name, file, in: directory, script) { return source }
            }
        }
        throw ProgramError(
            code: .notFound,
            message: "module '\(name)' not found: looked for \(files.joined(separator: ", ")) beside \(script)")
    }

    /// The module in `file`; nil when there is no such file.
    private func load(
        _ name: String, _ file: String, in directory: String, _ script: String
    ) throws(ProgramError) -> ProgramSource? {
        let root = directory == "/" ? "/" : directory + "/"
        let bytes: [UInt8]
        do {
            let path = try FileReading.canonical(root + file)
            guard path.utf8.starts(with: root.utf8) else {
                throw ProgramError(
                    code: .outside, message: "module '\(name)': \(file) leads outside the directory of \(script)")
            }
            bytes = try FileReading.bytes(of: path, limit: ProgramSources.sourceLimit)
        } catch let failure as FileReading.Failure {
            if failure.isMissing { return nil }
            if case .notRegular = failure { return nil }
            throw ProgramSources.error(failure, file: file)
        } catch let failure as ProgramError {
            throw failure
        } catch {
            throw ProgramError(code: .unreadable, message: "\(file): \(error)")
        }
        return try ProgramSource(name: name, file: file, bytes: bytes)
    }

    private static func isModuleName(_ name: String) -> Bool {
        guard name.utf8.count <= 200 else { return false }
        return name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { part in
            !part.isEmpty
                && part.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
                        true
                    default: false
                    }
                }
        }
    }

    /// A name from a script, cut and without control characters.
    private static func printable(_ name: String) -> String {
        let shown = name.unicodeScalars.prefix(80).map { scalar -> String in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned: "?"
            default: String(scalar)
            }
        }
        return shown.joined() + (name.unicodeScalars.count > 80 ? "…" : "")
    }

    private static func error(_ failure: FileReading.Failure, file: String) -> ProgramError {
        switch failure {
        case .system(let code):
            ProgramError(
                code: failure.isMissing ? .notFound : .unreadable,
                message: "\(file): cannot be read: \(FileReading.text(of: code))")
        case .notRegular:
            ProgramError(code: .unreadable, message: "\(file): cannot be read: not a regular file")
        case .tooLarge(let size):
            ProgramError(code: .tooLarge, message: "\(file): \(size) bytes, a source has at most 1 MiB")
        }
    }
}
