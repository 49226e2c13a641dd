import HandoutCore
import HandoutPlan

/// Exit status of the program (a contract: scripts rely on it).
enum ExitStatus: Int32 {
    case success = 0
    /// A task failed.
    case failed = 1
    /// Usage, or a script or graph that was refused before anything ran.
    case usage = 2
    /// The environment: a file, store or worker that cannot be reached.
    case environment = 3
    case interrupted = 130
}

/// Ends the command with a status; `message` goes to standard error, unless empty.
struct CommandFailure: Error {
    var status: ExitStatus
    var message: String

    init(_ status: ExitStatus, _ message: String = "") {
        self.status = status
        self.message = message
    }
}

/// `{"code","message","file","line"}` of a problem, as `check --json` prints it.
enum ProblemJSON {
    static func text(_ problem: PlanProblem) -> String {
        let file = problem.file.map { TextEscape.json($0) } ?? "null"
        let line = problem.line.map { String($0) } ?? "null"
        return "{\"code\":\(TextEscape.json(problem.code)),\"message\":\(TextEscape.json(problem.message)),"
            + "\"file\":\(file),\"line\":\(line)}"
    }

    /// The shape of `check --json` for a script that was refused.
    static func refusal(_ refusal: PlanRefusal) -> String {
        let errors = refusal.problems.map(text).joined(separator: ",")
        return "{\"ok\":false,\"tasks\":0,\"edges\":0,\"depth\":0,\"errors\":[\(errors)]}"
    }
}
