import HandoutPlan
import LuaRuntime

/// Why a script was refused before anything of it ran: what `handout-lua check --json` lists.
public struct ScriptError: Error, Sendable, Hashable {
    /// One thing that is wrong with the script.
    public struct Problem: Sendable, Hashable, CustomStringConvertible {
        /// A word that programs may rely on: `syntax`, `script`, `id`, `duplicate`, `option`, `needs`, `parameter`, `target`,
        /// `resources`, `timeout`, `memory`, `source`, …
        public var code: String
        public var message: String
        /// The file as the script's own messages name it.
        public var file: String?
        public var line: Int?

        /// `nightly.lua:14: task 'train': …`
        public var description: String {
            PlanProblem(code: code, message: message, file: file, line: line).text
        }
    }

    /// Everything that was found, at most a hundred; never empty.
    public var problems: [Problem]
    /// Problems beyond those.
    public var leftOut = 0

    /// Of the first problem.
    public var code: String { problems[0].code }
    public var message: String { problems[0].message }
    public var file: String? { problems[0].file }
    public var line: Int? { problems[0].line }

    init(_ refusal: PlanRefusal) {
        problems = refusal.problems.map { Problem(code: $0.code, message: $0.message, file: $0.file, line: $0.line) }
        leftOut = refusal.leftOut
    }

    init(code: String, message: String) { problems = [Problem(code: code, message: message)] }
}

extension ScriptError: CustomStringConvertible {
    /// A problem a line.
    public var description: String {
        let more = leftOut > 0 ? ["and \(leftOut) more"] : []
        return (problems.map(\.description) + more).joined(separator: "\n")
    }
}

/// A run could not be started, or not be ended, for reasons that are not the script's.
public struct RunError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Code: String, Sendable, Hashable {
        /// The system has no more threads.
        case threads
        /// `RunOptions.directory` cannot be reached.
        case directory
        /// Another deadline signal is in use in this process already.
        case signal
    }

    public var code: Code
    public var message: String
    public var description: String { message }
}

extension RunError {
    init(noThread error: ThreadError) {
        self.init(code: .threads, message: "no thread could be started (errno \(error.code))")
    }
}
