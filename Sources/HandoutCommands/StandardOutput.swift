import Glibc

/// Standard output: results only, written whole or not at all said to be.
enum StandardOutput {
    /// - Throws: `CommandFailure` (environment) when not everything could be written.
    static func write(_ bytes: [UInt8]) throws(CommandFailure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else {
                throw CommandFailure(.environment, "standard output: \(String(cString: strerror(errno)))")
            }
            rest = rest.dropFirst(written)
        }
    }

    static func line(_ text: String) throws(CommandFailure) { try write(Array((text + "\n").utf8)) }
}
