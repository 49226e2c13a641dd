import ArgumentParser
import CLuaShim
import Glibc
import Handout
import HandoutCore
import HandoutPlan
import LuaRuntime

/// What every command takes that plans a script.
struct ScriptOptions: ParsableArguments {
    @Argument(help: "The script: a Lua file that returns a graph.", completion: .file(extensions: ["lua"]))
    var script: String

    @Option(
        name: .customShort("p", allowingJoined: true),
        help: ArgumentHelp("A parameter; name=@file reads its value from a file.", valueName: "name=value"))
    var parameters: [String] = []

    @Option(help: ArgumentHelp("Parameters as one JSON object; -p wins.", valueName: "file"), completion: .file())
    var params: String?

    @Option(
        name: .customLong("input"),
        help: ArgumentHelp("The value of an input of the graph.", valueName: "name=json"))
    var inputs: [String] = []

    @Option(help: "Seed of math.random and of the spread of pauses.")
    var seed: UInt64 = 0

    @Option(
        help: ArgumentHelp("The run directory, which relative paths start from.", valueName: "folder"),
        completion: .directory)
    var dir: String = "."

    @Option(
        name: .customLong("plan-time"),
        help: ArgumentHelp("CPU time that planning may take.", valueName: "duration"))
    var planTime: Duration = Duration(nanoseconds: 10_000_000_000)

    @Option(
        name: .customLong("plan-memory"), help: ArgumentHelp("Memory that planning may use.", valueName: "size"))
    var planMemory: Size = Size(bytes: 1 << 30)

    @OptionGroup var machine: MachineOptions

    /// The run directory, absolute and without links.
    func directory() throws(CommandFailure) -> String {
        guard let path = realpath(dir, nil) else {
            throw CommandFailure(.environment, "--dir: '\(TextEscape.shown(dir))': \(String(cString: strerror(errno)))")
        }
        defer { free(path) }
        return String(cString: path)
    }

    /// The parameters of `--params` and `-p`, the latter winning.
    func given() throws(CommandFailure) -> [GivenParameter] {
        var given: [GivenParameter] = []
        if let params { given = try fromFile(params) }
        for text in parameters {
            let parameter = try fromArgument(text)
            given.removeAll { $0.name == parameter.name }
            given.append(parameter)
        }
        return given
    }

    private func fromArgument(_ text: String) throws(CommandFailure) -> GivenParameter {
        guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
            throw CommandFailure(.usage, "-p: expected name=value, got '\(TextEscape.shown(text))'")
        }
        let name = String(text[..<equals])
        let value = String(text[text.index(after: equals)...])
        if value.hasPrefix("@") {
            return GivenParameter(name: name, value: .text(try read(String(value.dropFirst()), for: "-p \(name)")))
        }
        return GivenParameter(name: name, value: .text(Array(value.utf8)))
    }

    private func fromFile(_ path: String) throws(CommandFailure) -> [GivenParameter] {
        let bytes = try read(path, for: "--params")
        let value: EncodedValue
        do { value = try EncodedValue(json: bytes) } catch {
            throw CommandFailure(.usage, "\(TextEscape.shown(path)): \(error.message)")
        }
        guard let members = value.members else {
            throw CommandFailure(.usage, "\(TextEscape.shown(path)): expected a JSON object of parameters")
        }
        return members.map { GivenParameter(name: $0.name, value: .value($0.value)) }
    }

    /// The values of `--input`; the last of a name counts.
    func givenInputs() throws(CommandFailure) -> [GivenParameter] {
        var given: [GivenParameter] = []
        for text in inputs {
            guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
                throw CommandFailure(.usage, "--input: expected name=JSON, got '\(TextEscape.shown(text))'")
            }
            let name = String(text[..<equals])
            do {
                let value = try EncodedValue(json: Array(text[text.index(after: equals)...].utf8))
                given.removeAll { $0.name == name }
                given.append(GivenParameter(name: name, value: .value(value)))
            } catch {
                throw CommandFailure(.usage, "--input \(TextEscape.shown(name)): \(error.message)")
            }
        }
        return given
    }

    private func read(_ path: String, for option: String) throws(CommandFailure) -> [UInt8] {
        do { return try FileReading.bytes(of: path, limit: 64 << 20) } catch {
            throw CommandFailure(
                .environment, "\(TextEscape.shown(option)): '\(TextEscape.shown(path))': \(error)")
        }
    }

    /// Plans the script. A refusal ends the command with status 2, said on standard error or, with `json`, as JSON on
    /// standard output. `capacity`: what there is to run tasks on; nil: this machine.
    func plan(json: Bool, capacity: Capacity? = nil) throws(CommandFailure) -> (
        plan: Plan, parameters: [GivenParameter]
    ) {
        let parameters = try given()
        let inputs = try givenInputs()
        let program: ProgramSources
        do { program = try ProgramSources(path: script) } catch {
            let status: ExitStatus = error.code == .unreadable || error.code == .notFound ? .environment : .usage
            if json {
                _ = refused(PlanRefusal(problems: [PlanProblem(code: "source", message: error.message)]), json: json)
                throw CommandFailure(status)
            }
            throw CommandFailure(status, TextEscape.shown(error.message))
        }
        var limits = PlanLimits()
        limits.time = planTime.nanoseconds
        limits.memory = planMemory.bytes
        if let capacity { limits.capacity = capacity } else { limits.capacity = try machine.capacity() }
        var planner = Planner(limits: limits, seed: seed) { text in
            for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
                Terminal.standard.line("plan: " + TextEscape.shown(String(line)))
            }
        }
        planner.directory = try directory()
        do { return (try planner.plan(program, parameters: parameters, inputs: inputs), parameters) } catch {
            throw refused(error, json: json)
        }
    }

    /// Says what was refused.
    func refused(_ refusal: PlanRefusal, json: Bool) -> CommandFailure {
        if json {
            do { try StandardOutput.line(ProblemJSON.refusal(refusal)) } catch { return error }
            return CommandFailure(.usage)
        }
        var lines = refusal.problems.map { TextEscape.shown($0.text, keepLines: true) }
        if refusal.leftOut > 0 { lines.append("and \(refusal.leftOut) more") }
        return CommandFailure(.usage, lines.joined(separator: "\n"))
    }
}

/// A duration on the command line, in the form of `lua-api.md`, section 1.
struct Duration: ExpressibleByArgument {
    var nanoseconds: UInt64
    init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    init?(argument: String) {
        var value: UInt64 = 0
        guard handout_duration_from_text(argument, &value) == 0 else { return nil }
        nanoseconds = value
    }
    var defaultValueDescription: String { "\(nanoseconds / 1_000_000_000)s" }
}

/// A size on the command line, in the form of `lua-api.md`, section 1.
struct Size: ExpressibleByArgument {
    var bytes: UInt64
    init(bytes: UInt64) { self.bytes = bytes }

    init?(argument: String) {
        var value: UInt64 = 0
        guard handout_size_from_text(argument, &value) == 0 else { return nil }
        bytes = value
    }
    var defaultValueDescription: String { "\(bytes >> 20)MiB" }
}
