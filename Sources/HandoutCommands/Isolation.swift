import ArgumentParser
import Glibc
import LuaRuntime

/// `--isolation`: how far tasks are kept from the program that runs them.
enum Isolation: String, ExpressibleByArgument, CaseIterable {
    case thread, process

    /// The program of runner processes, which lies beside this one.
    static var runner: String? {
        ProcessFacts.executable.map { path in
            path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
                + "/handout-runner"
        }
    }
}
