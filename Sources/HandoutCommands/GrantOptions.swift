import ArgumentParser
import Glibc
import HandoutCore
import HandoutPlan

/// What a run allows the tasks of a script, and the secrets it gives them.
struct GrantOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Allow what tasks ask for: exec=names, read=paths, write=paths, env=names, host=names, or all; "
                + "HANDOUT_ALLOW holds more of them.", valueName: "what"))
    var allow: [String] = []

    @Flag(name: .customShort("A"), help: "Allow all that the script asks for.")
    var allowAsked = false

    @Option(
        help: ArgumentHelp(
            "A value for handout.env, from the environment or with name=@file from a file; shown as *** in logs.",
            valueName: "name"))
    var secret: [String] = []

    /// What a run in `directory` allows, of whose program the `sources` are, which are never written.
    func allowance(directory: String, keeping sources: [String]) throws(CommandFailure) -> Allowance {
        var allowance = Allowance(directory: directory)
        allowance.kept = sources + [directory == "/" ? "/.handout" : directory + "/.handout"]
        if let words = getenv("HANDOUT_ALLOW").map({ String(cString: $0) }) {
            for word in words.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == "\n" }) {
                try add(String(word), to: &allowance, from: "HANDOUT_ALLOW")
            }
        }
        for text in allow { try add(text, to: &allowance, from: "--allow") }
        allowance.all = allowance.all || allowAsked
        return allowance
    }

    private func add(_ text: String, to allowance: inout Allowance, from: String) throws(CommandFailure) {
        do { try allowance.allow(text: text) } catch { throw CommandFailure(.usage, "\(from): \(error.message)") }
    }

    /// The values of `--secret`.
    func secrets() throws(CommandFailure) -> [Secret] {
        var secrets: [Secret] = []
        for text in secret {
            let (name, value) = try read(text)
            secrets.removeAll { $0.name == name }
            secrets.append(Secret(name: name, value: value))
        }
        return secrets
    }

    private func read(_ text: String) throws(CommandFailure) -> (String, [UInt8]) {
        guard let equals = text.firstIndex(of: "=") else {
            guard let value = getenv(text) else {
                throw CommandFailure(.usage, "--secret: '\(TextEscape.shown(text))' is not set in the environment")
            }
            return (text, Array(UnsafeBufferPointer(start: value, count: strlen(value))).map { UInt8(bitPattern: $0) })
        }
        let name = String(text[..<equals]), path = text[text.index(after: equals)...]
        // A value on the command line could be seen by every user of the machine.
        guard !name.isEmpty, path.hasPrefix("@") else {
            throw CommandFailure(.usage, "--secret: expected NAME or NAME=@file, got a value on the command line")
        }
        do {
            var value = try FileReading.bytes(of: String(path.dropFirst()), limit: 1 << 20)
            if value.last == UInt8(ascii: "\n") { value.removeLast() }
            return (name, value)
        } catch {
            throw CommandFailure(
                .environment,
                "--secret \(TextEscape.shown(name)): '\(TextEscape.shown(String(path.dropFirst())))': \(error)")
        }
    }

    /// Makes sure that the script gets what it asks for: where the run does not allow it, the user is asked once, on a
    /// terminal.
    ///
    /// - Throws: `PlanRefusal` with a problem for each thing that is not allowed.
    func settle(_ plan: Plan, _ allowance: inout Allowance, secrets: [Secret]) throws(PlanRefusal) {
        let requests = plan.requests(beyond: allowance, secrets: secrets)
        guard !requests.isEmpty else { return }
        guard GrantOptions.ask(requests) else { throw PlanRefusal(problems: requests.map(\.problem)) }
        for request in requests { allowance.allow(request.kind, request.name) }
    }

    /// Asks on the terminal; false where there is none.
    private static func ask(_ requests: [GrantRequest]) -> Bool {
        guard isatty(STDIN_FILENO) == 1, Terminal.standard.isTerminal else { return false }
        for request in requests {
            let place = request.file.map { "\($0):\(request.line): " } ?? ""
            Terminal.standard.line(TextEscape.shown(place + request.message))
        }
        Terminal.standard.question("Allow this for the run? [y/N] ")
        let answer = readLine()?.lowercased() ?? ""
        return answer == "y" || answer == "yes"
    }
}
