import Glibc
import HandoutCore

/// The pure-Lua edition, run as a child on many scripts at once.
enum Oracle {
    /// What came of a script.
    struct Outcome: Equatable {
        var text: String
        /// The object of outputs as `run --json` prints it.
        var outputs: String
        var failures: [String]
        var ok: Bool
        /// It was refused, or the pure edition itself broke.
        var refused: String
    }

    static let source = String(decoding: contents(of: packageFolder + "/lua/handout.lua") ?? [], as: UTF8.self)

    static let lua: String? = {
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        return path.split(separator: ":").map { $0 + "/lua5.4" }.first { access($0, X_OK) == 0 }
    }()

    /// Prints an object a script, a line each.
    private static let driver = """
        local handout = dofile(arg[1])
        -- Text as the program shows it: U+FFFD in place of bytes that are not UTF-8.
        local function shown(text)
          local good, bad = utf8.len(text)
          return good and text or text:sub(1, bad - 1) .. "\u{FFFD}" .. shown(text:sub(bad + 1))
        end
        for _, job in ipairs(dofile(arg[2])) do
          for name, text in pairs(job.inputs) do job.inputs[name] = handout.json.decode(text) end
          local good, result = pcall(handout.pure.run, job)
          if not good then result = { refused = tostring(result) } end
          result.values = nil -- an output may be as deep as JSON can be
          for _, failure in ipairs(result.failures or {}) do
            failure.task, failure.message, failure.traceback = shown(failure.task), shown(failure.message), nil
          end
          print((handout.json.encode(result)))
        end
        """

    /// Runs pipelines in a folder; nil where the child gave no line for one.
    static func run(_ pipelines: [RandomPipeline], in folder: Folder, source: String = Oracle.source) -> [Outcome?] {
        write(pipelines, to: folder)
        folder.write("oracle.lua", source)
        folder.write("driver.lua", driver)
        let jobs = pipelines.map { pipeline in
            let given = pipeline.parameters.map { "\($0.name) = { text = [==[\($0.text)]==] }" }
            let inputs = pipeline.inputs.map { "\($0.name) = [==[\($0.text)]==]" }
            let targets = pipeline.targets.map { "\"\($0)\"" }
            return "{ script = \"\(pipeline.file)\", seed = \(pipeline.seed), keep_going = true, "
                + "inputs = { \(inputs.joined(separator: ", ")) }, "
                + "given = { \(given.joined(separator: ", ")) }, targets = { \(targets.joined(separator: ", ")) } }"
        }
        folder.write("jobs.lua", "return {\n" + jobs.joined(separator: ",\n") + "\n}\n")
        let lines = output(
            "cd '\(folder.path)' && exec '\(lua ?? "lua5.4")' driver.lua oracle.lua jobs.lua 2>/dev/null")
        let outcomes = lines.split(separator: UInt8(ascii: "\n")).map { outcome(Array($0)) }
        return outcomes + Array(repeating: nil, count: max(0, pipelines.count - outcomes.count))
    }

    static func write(_ pipelines: [RandomPipeline], to folder: Folder) {
        folder.write(
            "twice.lua",
            "local twice = { number = math.random(1000) }\nfunction twice.of(n) return n * 2 + twice.number end\nreturn twice\n"
        )
        for pipeline in pipelines { folder.write(pipeline.file, pipeline.text) }
    }

    private static func outcome(_ line: [UInt8]) -> Outcome? {
        guard let json = JSON(line) else { return nil }
        let outputs = json["outputs"]?.elements.map { "\"\($0["name"]?.string ?? "")\":\($0["json"]?.string ?? "")" }
        return Outcome(
            text: json["text"]?.string ?? "", outputs: "{" + (outputs ?? []).joined(separator: ",") + "}",
            failures: failures(json["failures"]), ok: json["ok"] == .bool(true), refused: json["refused"]?.string ?? "")
    }

    /// Failures as lines, sorted. Which nodes of a reduce had begun when one of them failed depends on timing: they are
    /// known by the reduce.
    static func failures(_ list: JSON?) -> [String] {
        var lines: Set<String> = []
        for failure in list?.elements ?? [] {
            var task = failure["task"]?.string ?? "?"
            let last = task.lastIndex(of: "/").map { task.index(after: $0) } ?? task.startIndex
            if task[last...].hasPrefix("r"), let bracket = task[last...].firstIndex(of: "[") {
                task = String(task[..<bracket])
            }
            lines.insert(
                "\(task) \(failure["attempt"]?.integer ?? -1) \(failure["kind"]?.string ?? "?"): "
                    + (failure["message"]?.string ?? "?")
                    + (failure["optional"] == .bool(true) ? " (optional)" : ""))
        }
        return lines.sorted()
    }

    /// Failures that come from the pure edition's own code.
    static func internalErrors(in outcome: Outcome) -> [String] {
        outcome.failures.filter { $0.contains("oracle.lua:") }
    }

    /// The standard output of a shell command.
    static func output(_ command: String) -> [UInt8] {
        guard let pipe = popen(command, "re") else { return [] }
        defer { pclose(pipe) }
        var bytes: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = fread(&buffer, 1, buffer.count, pipe)
            if count == 0 { return bytes }
            bytes += buffer.prefix(count)
        }
    }
}
