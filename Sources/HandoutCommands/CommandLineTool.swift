import ArgumentParser
import Glibc

/// The program's entry: parses the arguments and turns what comes of the command into an exit status.
public enum CommandLineTool {
    public static func main() {
        setvbuf(stdout, nil, _IOFBF, 1 << 16)
        do {
            var command = try Handout.parseAsRoot()
            try command.run()
            fflush(stdout)
        } catch let failure as CommandFailure {
            fflush(stdout)
            if !failure.message.isEmpty { Terminal.standard.line(failure.message) }
            exit(failure.status.rawValue)
        } catch {
            // Help and completions come this way too, with status 0 and on standard output.
            let status = Handout.exitCode(for: error)
            if status == .success {
                print(Handout.fullMessage(for: error))
                fflush(stdout)
                exit(ExitStatus.success.rawValue)
            }
            Terminal.standard.line(Handout.fullMessage(for: error))
            exit(ExitStatus.usage.rawValue)
        }
    }
}

/// The program: one subcommand a verb.
struct Handout: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "handout-lua",
        abstract: "Runs task graphs written in Lua.",
        version: Version.text,
        subcommands: [RunCommand.self, CheckCommand.self, GraphCommand.self, DoctorCommand.self, CompletionsCommand.self])
}
