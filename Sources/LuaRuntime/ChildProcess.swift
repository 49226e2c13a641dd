import CLuaShim
import Glibc

/// A program started with nothing of ours: empty signal mask, default dispositions, no descriptor but its three.
///
/// Pool threads, and threads made after a Swift `await`, have signals blocked that a child would inherit.
package struct ChildProcess: Sendable {
    package let pid: Int32

    /// Starts `arguments[0]`, a path, in a process group of its own.
    ///
    /// - Throws: `SpawnError` with the system's code.
    package init(
        _ arguments: [String], environment: [String] = [], standardInput: Int32, standardOutput: Int32,
        standardError: Int32
    ) throws(SpawnError) {
        var pid: pid_t = 0
        let status = ChildProcess.withStrings(arguments) { arguments in
            ChildProcess.withStrings(environment) { environment in
                handout_spawn(
                    &pid, arguments[0], arguments, environment, [standardInput, standardOutput, standardError])
            }
        }
        guard status == 0 else { throw SpawnError(code: status, program: arguments.first ?? "") }
        self.pid = pid
    }

    /// Waits for the end; the exit status, or minus the signal that ended it.
    package func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        let signal = status & 0x7F
        return signal == 0 ? status >> 8 & 0xFF : -signal
    }

    /// Calls `body` with a list of C strings that ends with NULL.
    private static func withStrings<Result>(
        _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        var pointers = strings.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers)
    }
}

/// A program could not be started.
package struct SpawnError: Error, Sendable {
    package var code: Int32
    package var program: String
}
