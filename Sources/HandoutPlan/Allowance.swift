import CLuaShim
import Glibc
import HandoutCore
import LuaRuntime

/// Kinds of things that a task may ask for beyond computing; the raw value is the key in its `grant`.
package enum GrantKind: String, Sendable, CaseIterable {
    case exec, read, write, env, host

    var isPath: Bool { self == .read || self == .write }
}

/// What a run allows its tasks (`lua-api.md`, section 9): a task gets what it asks for and the run allows.
package struct Allowance: Sendable {
    /// Whatever tasks ask for.
    package var all = false
    /// Reading beneath the run directory, not asked for either; hidden names left out.
    package var readsRunDirectory = true
    /// Writing beneath the run directory what tasks ask for; hidden names left out.
    package var writesRunDirectory = true
    /// Absolute paths that are never written: the store, the program's sources.
    package var kept: [String] = []
    /// The run directory: absolute, without links.
    package let directory: String
    /// Names, or absolute paths.
    private var entries: [GrantKind: [String]] = [:]

    /// What a local run allows by itself.
    package init(directory: String) { self.directory = directory }

    package func entries(_ kind: GrantKind) -> [String] { entries[kind] ?? [] }

    package mutating func allow(_ kind: GrantKind, _ name: String) {
        entries[kind, default: []].append(kind.isPath ? Allowance.normal(name, in: directory) : name)
    }

    /// Adds `all`, or `exec=a,b` and the like; several of them after commas.
    ///
    /// - Throws: `AllowanceError` with what was expected and what came.
    package mutating func allow(text: String) throws(AllowanceError) {
        var kind: GrantKind?
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            var name = word
            if let equals = word.firstIndex(of: "="), let found = GrantKind(rawValue: String(word[..<equals])) {
                kind = found
                name = word[word.index(after: equals)...]
            } else if kind == nil, word == "all" {
                all = true
                continue
            }
            guard let kind else { throw AllowanceError(message: Allowance.unknown(String(word))) }
            guard !name.isEmpty else {
                throw AllowanceError(
                    message: "expected a name after '\(kind.rawValue)=', got '\(TextEscape.shown(text))'")
            }
            allow(kind, String(name))
        }
    }

    private static func unknown(_ word: String) -> String {
        let kind = String(word.prefix { $0 != "=" })
        let near = NearestName.find(kind, among: GrantKind.allCases.map(\.rawValue) + ["all"])
        let hint = near.map { " (did you mean '\($0)'?)" } ?? ""
        return "expected all, or exec=, read=, write=, env= or host= and names, got '\(TextEscape.shown(word))'\(hint)"
    }

    /// Whether a task that asks for this gets it. A folder covers what is beneath.
    package func allows(_ kind: GrantKind, _ name: String) -> Bool {
        if all { return true }
        guard kind.isPath else { return entries(kind).contains { $0.utf8.elementsEqual(name.utf8) } }
        let path = Allowance.normal(name, in: directory)
        let byDefault = kind == .read ? readsRunDirectory : writesRunDirectory
        if byDefault, let rest = Allowance.rest(of: path, beneath: directory), !Allowance.hasHiddenPart(rest) {
            return true
        }
        return entries(kind).contains { Allowance.rest(of: path, beneath: $0) != nil }
    }

    /// The part of `path` beneath the folder, which may be the path itself; nil: it is elsewhere.
    static func rest(of path: String, beneath folder: String) -> Substring.UTF8View? {
        guard folder != "/" else { return path.utf8.dropFirst() }
        guard path.utf8.starts(with: folder.utf8) else { return nil }
        let rest = path.utf8.dropFirst(folder.utf8.count)
        return rest.isEmpty || rest.first == UInt8(ascii: "/") ? rest : nil
    }

    private static func hasHiddenPart(_ path: Substring.UTF8View) -> Bool {
        path.split(separator: UInt8(ascii: "/")).contains { $0.first == UInt8(ascii: ".") }
    }

    /// Absolute, without empty parts, `.` and `..`; as C code has it.
    static func normal(_ path: String, in directory: String) -> String {
        var parts: [Substring.UTF8View] = []
        let whole = path.utf8.first == UInt8(ascii: "/") ? path : directory + "/" + path
        for part in whole.utf8.split(separator: UInt8(ascii: "/")) where !part.elementsEqual(".".utf8) {
            if part.elementsEqual("..".utf8) { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.map { String(Substring($0)) }.joined(separator: "/")
    }
}

/// Text that allows nothing.
package struct AllowanceError: Error, Sendable, Equatable {
    package var message: String
}

/// A value that `handout.env` gives instead of the environment's.
package struct Secret: Sendable {
    package var name: String
    package var value: [UInt8]

    package init(name: String, value: [UInt8]) {
        self.name = name
        self.value = value
    }
}
