import ArgumentParser
import Glibc

/// The program's entry: parses the arguments and turns what comes of the command into an exit status.
public enum CommandLineTool {
    public static func main() {
        // A reader that went away is an error to report, not a reason to die with attempts running.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try HandoutLua.parsed()
            try command.run()
        } catch let failure as CommandFailure {
            if !failure.message.isEmpty { Terminal.standard.line(failure.message) }
            exit(failure.status.rawValue)
        } catch {
            // Help and completions come this way too, with status 0 and on standard output.
            let status = HandoutLua.exitCode(for: error)
            if status == .success {
                try? StandardOutput.line(HandoutLua.fullMessage(for: error))
                exit(ExitStatus.success.rawValue)
            }
            Terminal.standard.line(HandoutLua.fullMessage(for: error))
            exit(ExitStatus.usage.rawValue)
        }
    }
}

/// The program: one subcommand a verb.
struct HandoutLua: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "handout-lua",
        abstract: "Runs task graphs written in Lua.",
        version: Version.text,
        subcommands: [
            RunCommand.self, CheckCommand.self, PlanCommand.self, GraphCommand.self, TestCommand.self, InitCommand.self,
            SimulateCommand.self, ExplainCommand.self, DoctorCommand.self,
            CompletionsCommand.self, BenchmarkStateCommand.self,
        ])

    /// A verb's own parser first: the tree of all verbs costs more than a run of one task. What a verb does not take, the
    /// tree says.
    static func parsed() throws -> any ParsableCommand {
        let arguments = CommandLine.arguments.dropFirst()
        let verb = configuration.subcommands.first { $0.configuration.commandName == arguments.first }
        if let verb, let command = try? verb.parse(Array(arguments.dropFirst())) { return command }
        return try parseAsRoot()
    }
}

extension CommandConfiguration {
    /// Of a subcommand of the program.
    static func verb(
        _ name: String, abstract: String, discussion: String = "", shouldDisplay: Bool = true
    ) -> CommandConfiguration {
        // The name before it keeps its parser from looking for requests of the whole program.
        CommandConfiguration(
            commandName: name, _superCommandName: "handout-lua", abstract: abstract, discussion: discussion,
            shouldDisplay: shouldDisplay)
    }
}
