import ArgumentParser
import Glibc
import HandoutCore
import LuaRuntime

/// `handout-lua test`: runs files of tests, each in a Lua state of its own, under the pure-Lua edition.
struct TestCommand: ParsableCommand {
    static let configuration = CommandConfiguration.verb(
        "test", abstract: "Run the tests of scripts: Lua files that return a table of functions.",
        discussion: "A test file is not confined: it has all of Lua's libraries and the rights of who starts it.")

    @Argument(
        help: "Files of tests; without any: *_test.lua and tests/*_test.lua.",
        completion: .file(extensions: ["lua"]))
    var files: [String] = []

    @Flag(help: "Print {\"ok\",\"passed\",\"failed\",\"tests\"} as JSON.")
    var json = false

    func run() throws {
        signal(SIGPIPE, SIG_DFL)  // programs that tests start inherit it
        let paths = try files.isEmpty ? found() : named()
        var passed = 0, failed = 0
        var entries: [Substring] = []
        for path in paths {
            let report = try TestReport(of: path, json: json)
            passed += report.passed
            failed += report.failed
            if !report.entries.isEmpty { entries.append(report.entries) }
        }
        if json {
            try StandardOutput.line(
                "{\"ok\":\(failed == 0),\"passed\":\(passed),\"failed\":\(failed),"
                    + "\"tests\":[\(entries.joined(separator: ","))]}")
        } else {
            let all = passed + failed == 1 ? "1 test" : "\(passed + failed) tests"
            try StandardOutput.line(failed == 0 ? "\(all) passed" : "\(failed) of \(all) failed")
        }
        if failed > 0 { throw CommandFailure(.failed) }
    }

    /// The files that were named.
    private func named() throws(CommandFailure) -> [String] {
        for path in files where access(path, R_OK) != 0 {
            throw CommandFailure(
                .environment, "test: '\(TextEscape.shown(path))': \(String(cString: strerror(errno)))")
        }
        return files
    }

    /// The files of tests in this folder and in `tests`, by name.
    private func found() throws(CommandFailure) -> [String] {
        let paths = TestCommand.tests(in: ".", "") + TestCommand.tests(in: "tests", "tests/")
        if paths.isEmpty {
            throw CommandFailure(.usage, "test: no file is named, and there is no *_test.lua or tests/*_test.lua here")
        }
        return paths
    }

    private static func tests(in folder: String, _ prefix: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasSuffix("_test.lua"), !name.hasPrefix(".") { names.append(prefix + name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
}

/// What came of the tests of one file.
private struct TestReport {
    var passed = 0
    var failed = 0
    /// JSON objects with commas between.
    var entries: Substring = ""

    private static let program = """
        local file, form = ...
        return require("handout.test").report(file, form == "json")
        """

    /// Runs them; without `json` their lines are printed.
    init(of path: String, json: Bool) throws(CommandFailure) {
        let program = LuaSource(name: "", file: "test", text: Array(TestReport.program.utf8))
        let text: String
        do throws(StockLua.Failure) {
            text = try StockLua.run(
                program, arguments: [path, json ? "json" : "lines"], modules: EmbeddedFiles.modules)
        } catch {
            throw CommandFailure(.failed, "test: '\(TextEscape.shown(path))': \(TextEscape.shown(error.message))")
        }
        let parts = text.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, let passed = Int(parts[0]), let failed = Int(parts[1]) else {
            throw CommandFailure(.failed, "test: '\(TextEscape.shown(path))': the tests gave no report")
        }
        self.passed = passed
        self.failed = failed
        entries = parts[2]
    }
}
