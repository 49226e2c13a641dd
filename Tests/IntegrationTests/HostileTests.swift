import Glibc
import Testing

/// A hostile script, and what may come of it.
struct HostileCase: CustomTestStringConvertible, Sendable {
    enum Kind: String, Sendable {
        /// The body of a task's function.
        case body
        /// An expression that a task returns.
        case value
        /// A whole script; its task `out` gives the result.
        case script
    }

    var id: String
    var kind: Kind
    var text: [UInt8]
    /// `ok:LITERAL`, `ok`, `error`, `timeout`, `memory`, `reject`: any of them is sound.
    var accepted: [String]
    var memory: Int
    var time: Double
    var grace: Double
    /// An expression over the value `v`, which must be true.
    var check: String?
    /// The body of the next task on the same worker, and the outcome it must have.
    var then: (body: String, accepted: String)?
    var forbidden: [String]

    var testDescription: String { id }
    var family: String { String(id.prefix { $0 != "-" }) }

    /// Limits of the case are most; a case that only ends at its timeout does so earlier here, unless
    /// `HANDOUT_HOSTILE_WHOLE` is set.
    var timeout: Double {
        if accepted.first == "timeout", getenv("HANDOUT_HOSTILE_WHOLE") == nil, kind != .script {
            return min(0.4, time)
        }
        return Tool.isSanitized ? time * 4 : time  // what ends by itself, or by its memory, takes longer there
    }

    /// The case as a script for the program.
    var script: [UInt8] {
        guard kind != .script else { return text }
        var bytes = Array(
            "local handout = require \"handout\"\nlocal g = handout.graph(\"hostile\")\n".utf8)
        bytes += Array(
            "local h = g:task(\"out\", { timeout = \(timeout), memory = \(memory)\(grant) }, function()\n".utf8)
        bytes += Array(prelude.utf8)
        if kind == .value { bytes += Array("return ".utf8) + withoutComments } else { bytes += text }
        bytes += Array("\nend)\n".utf8)
        if let check { bytes += task("check", "return \(check)") }
        for (index, accepted) in accepted.enumerated() where accepted.hasPrefix("ok:") {
            bytes += task("is\(index)", "return v == \(accepted.dropFirst(3))")
        }
        bytes += Array("g:task(\"probe\", function() return 42 end)\n".utf8)
        if let then {
            bytes += Array("g:task(\"then\", function() \(then.body) end)\n".utf8)
        }
        return bytes + Array("return g\n".utf8)
    }

    /// `-- grants: exec:yes` or `-- grants: fs:.` of the text, as an option of the task.
    private var grant: String {
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") where line.hasPrefix("-- grants: ") {
            let parts = line.dropFirst(11).split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            return ", grant = { \(parts[0] == "fs" ? "read" : "exec") = { \"\(parts[1])\" } }"
        }
        return ""
    }

    /// What the cases of grants call, in terms of ours.
    private var prelude: String {
        guard family == "cap" else { return "" }
        return
            "local fs, exec = handout.fs, { run = function(name, words) return handout.exec{ name, table.unpack(words) } end } "
    }

    private func task(_ id: String, _ body: String) -> [UInt8] {
        Array("g:task(\"\(id)\", { needs = { h } }, function(v) \(body) end)\n".utf8)
    }

    private var withoutComments: [UInt8] {
        let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        return Array(lines.filter { !$0.starts(with: "--".utf8) }.joined(separator: [UInt8(ascii: "\n")]))
    }

    /// Writes a script, repeating the text of lines `--@@EXPAND n text`, `@` in it becoming 1 to n. In pieces: a child
    /// begins with what its parent has resident.
    static func write(_ bytes: [UInt8], to path: String) {
        guard let file = fopen(path, "w") else { return }
        defer { fclose(file) }
        for (index, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            if index > 0 { put([UInt8(ascii: "\n")], file) }
            guard line.starts(with: "--@@EXPAND ".utf8) else {
                put(Array(line), file)
                continue
            }
            let rest = line.dropFirst(11)
            let cut = rest.firstIndex(of: UInt8(ascii: " ")) ?? rest.endIndex
            let count = Int(String(decoding: rest[..<cut], as: UTF8.self)) ?? 0
            let pieces = rest[cut...].dropFirst().split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
            for start in stride(from: 1, through: count, by: 100_000) {
                let numbers = start...min(count, start + 99_999)
                if pieces.count == 1, pieces[0].count == 1, let byte = pieces[0].first {
                    put([UInt8](repeating: byte, count: numbers.count), file)
                } else if pieces.count == 1 {
                    put(Array(repeatElement(pieces[0], count: numbers.count).joined()), file)
                } else {
                    let texts = pieces.map { String(decoding: $0, as: UTF8.self) }
                    put(Array(numbers.map { texts.joined(separator: "\($0)") }.joined().utf8), file)
                }
            }
        }
    }

    private static func put(_ bytes: [UInt8], _ file: UnsafeMutablePointer<FILE>) {
        fwrite(bytes, 1, bytes.count, file)
    }
}

/// Runs hostile scripts with the whole program, in `thread` and in `process` isolation.
@Suite struct HostileTests {
    /// Cases that `thread` isolation cannot stop: a deadline that passes inside a C function ends the run. A runner process is
    /// killed, and the run goes on.
    static let needsProcess = Set([
        "cl-find-lazy-multi", "cl-match-captures", "cl-gmatch-lazy", "cl-find-balance", "cl-find-frontier",
        "own-cl-pattern-backtracking", "own-sc-pattern-backtracking",
    ])

    @Test(
        .enabled(if: !shared.isEmpty, "no hostile cases: set HANDOUT_HOSTILE to their folder"), arguments: shared,
        ["thread", "process"])
    func `a shared hostile case has a sound outcome`(_ hostile: HostileCase, _ isolation: String) {
        judge(hostile, isolation)
    }

    @Test(arguments: own, ["thread", "process"])
    func `a hostile script of ours has a sound outcome`(_ hostile: HostileCase, _ isolation: String) {
        judge(hostile, isolation)
    }

    @Test func `our hostile scripts were found`() { #expect(own.count >= 30) }

    private func judge(_ hostile: HostileCase, _ isolation: String) {
        let folder = Folder()
        HostileCase.write(hostile.script, to: folder.path + "/h.lua")
        var arguments = ["run", "h.lua", "--json", "--keep-going", "-j", hostile.kind == .script ? "2" : "1"]
        arguments += [
            "--task-memory", "\(hostile.memory)", "--plan-time", "\(hostile.time)s", "--plan-memory",
            "\(hostile.memory)", "-A", "--isolation", isolation,
        ]
        let most = hostile.timeout + hostile.grace
        let result = Tool.run(arguments, in: folder, limit: most + 8)
        let json = result.json
        let outcome = outcome(of: hostile, result)
        let isStuck = (json?["failures"]?.elements ?? []).contains {
            $0["message"]?.string
                == "the deadline passed in a library function, which cannot be stopped in thread isolation"
        }
        report(
            "\(isolation) \(hostile.id): \(outcome)\(isStuck ? ", stuck: needs a process" : "") (\(Int(result.seconds * 1000)) ms)"
        )

        #expect(!result.isKilled && result.signal == 0)
        #expect(
            isSound(outcome, hostile, json?["outputs"]),
            "\(hostile.id): \(outcome), accepted: \(hostile.accepted) \(result.errorText.prefix(500))")
        #expect(result.seconds < most + slack)
        if isStuck {
            #expect(isolation == "thread")
            #expect(HostileTests.needsProcess.contains(hostile.id), "\(hostile.id) cannot be stopped")
        } else if hostile.kind != .script, outcome != "reject" {
            #expect(json?["outputs"]?["probe"] == .integer(42), "the next task of the same worker")
            if let then = hostile.then {
                let value = json?["outputs"]?["then"]
                #expect(then.accepted.hasPrefix("ok:") && value == literal(then.accepted.dropFirst(3)))
            }
        }
        let shown = result.out + result.errors
        for text in hostile.forbidden { #expect(!shown.contains(Array(text.utf8)), "shown: \(text)") }
        #expect(!shown.contains([0x1B]))
        // The program's own base is below 64 MiB; a child begins with what its parent has resident.
        let parent = peakMemory()
        #expect(memoryIsPadded || result.peakMemory <= max(parent, 64 << 20 + hostile.memory + 64 << 20))
        #expect(residue(folder) == ["h.lua"])
    }

    private var slack: Double {
        if let text = getenv("HANDOUT_TEST_SLACK"), let seconds = Double(String(cString: text)) { return seconds }
        return 4  // the tests run beside each other
    }

    /// What came of the hostile task or script.
    private func outcome(of hostile: HostileCase, _ result: Tool.Result) -> String {
        if result.isKilled { return "hang" }
        if result.status == 2 { return "reject" }
        guard let json = result.json else { return "status \(result.status) signal \(result.signal)" }
        for failure in json["failures"]?.elements ?? []
        where failure["task"]?.string == "out" || hostile.kind == .script {
            return failure["kind"]?.string ?? "?"
        }
        return "ok"
    }

    private func isSound(_ outcome: String, _ hostile: HostileCase, _ outputs: JSON?) -> Bool {
        switch outcome {
        case "ok": return hostile.accepted.enumerated().contains { isValue($1, at: $0, hostile, outputs) }
        case "result": return hostile.accepted.contains("reject") || hostile.accepted.contains("error")
        // A runner process that ends costs its attempt: an ordinary failure.
        case "crash": return hostile.accepted.contains { $0 == "error" || $0 == "memory" || $0 == "timeout" }
        default: return hostile.accepted.contains(outcome)
        }
    }

    /// Whether the value is the one that this accepted outcome names.
    private func isValue(_ accepted: String, at index: Int, _ hostile: HostileCase, _ outputs: JSON?) -> Bool {
        if accepted == "ok" { return true }
        guard accepted.hasPrefix("ok:") else { return false }
        if hostile.check != nil { return outputs?["check"] == .bool(true) }
        if hostile.kind == .script { return outputs?["out"] == literal(accepted.dropFirst(3)) }
        return outputs?["is\(index)"] == .bool(true)
    }

    private func literal(_ text: Substring) -> JSON? { text == "nil" ? .null : JSON(String(text)) }

    private func residue(_ folder: Folder) -> [String] { names(in: folder.path) }

    private func report(_ line: String) {
        guard getenv("HANDOUT_TEST_REPORT") != nil else { return }
        let bytes = Array("hostile \(line)\n".utf8)
        _ = write(STDERR_FILENO, bytes, bytes.count)
    }
}

/// Names in a folder, sorted.
private func names(in path: String) -> [String] {
    guard let stream = opendir(path) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
}

// MARK: - Where cases come from

/// The cases of a manifest, without those of parts that are not built yet.
private let shared: [HostileCase] = {
    guard let folder = getenv("HANDOUT_HOSTILE").map({ String(cString: $0) }),
        let bytes = contents(of: folder + "/manifest.json"),
        let manifest = JSON(bytes)
    else { return [] }
    return manifest.elements.compactMap { entry in
        guard let id = entry["id"]?.string, let file = entry["file"]?.string,
            let kind = entry["kind"]?.string.flatMap({ HostileCase.Kind(rawValue: $0) }),
            let text = contents(of: folder + "/" + file), !id.hasPrefix("al-")
        else { return nil }
        let limits = entry["limits"]
        let accepted = [entry["expect"]?.string ?? "error"] + (entry["accept"]?.elements.compactMap(\.string) ?? [])
        return HostileCase(
            id: id, kind: kind, text: text, accepted: accepted, memory: limits?["memory_bytes"]?.integer ?? 64 << 20,
            time: limits?["time_s"]?.double ?? 2, grace: limits?["grace_s"]?.double ?? 1,
            check: entry["check"]?.string,
            then: entry["then"].flatMap { then in
                then["body"]?.string.map { ($0, then["expect"]?.string ?? "ok") }
            },
            forbidden: entry["forbid_output"]?.elements.compactMap(\.string) ?? [])
    }
}()

/// Our own scripts in `Tests/Hostile`: their head is lines `-- key: value`.
private let own: [HostileCase] = {
    let folder = packageFolder + "/Tests/Hostile"
    return names(in: folder).filter { $0.hasSuffix(".lua") }.compactMap { name in
        guard let text = contents(of: folder + "/" + name) else { return nil }
        var head: [String: String] = [:]
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
            guard line.hasPrefix("-- "), let colon = line.firstIndex(of: ":") else { break }
            head[String(line.dropFirst(3)[..<colon])] = line[line.index(after: colon)...].drop { $0 == " " }.description
        }
        let then = head["then"].flatMap { text -> (String, String)? in
            guard let arrow = text.range(of: " => ") else { return nil }
            return (String(text[..<arrow.lowerBound]), String(text[arrow.upperBound...]))
        }
        return HostileCase(
            id: "own-" + name.dropLast(4), kind: HostileCase.Kind(rawValue: head["kind"] ?? "body") ?? .body,
            text: text,
            accepted: (head["expect"] ?? "error").split(separator: "|").map { $0.trimmed },
            memory: (Int(head["memory"] ?? "") ?? 64) << 20, time: Double(head["time"] ?? "") ?? 2, grace: 1,
            check: head["check"], then: then, forbidden: head["forbid"].map { [$0] } ?? [])
    }
}()

extension Substring {
    fileprivate var trimmed: String {
        String(self.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}

extension String {
    /// Where `text` first stands; without Foundation.
    fileprivate func range(of text: String) -> Range<Index>? {
        var at = startIndex
        while at < endIndex {
            if self[at...].hasPrefix(text) { return at..<index(at, offsetBy: text.count) }
            at = index(after: at)
        }
        return nil
    }
}

extension [UInt8] {
    fileprivate func contains(_ bytes: [UInt8]) -> Bool {
        guard !bytes.isEmpty, count >= bytes.count else { return bytes.isEmpty }
        return (0...count - bytes.count).contains { start in
            self[start] == bytes[0] && self[start..<start + bytes.count].elementsEqual(bytes)
        }
    }
}
