import Glibc
import HandoutCore
import Synchronization

/// The file of `--events`. A write that fails is said at the end: it does not stop the run.
final class EventFile: Sendable {
    private let path: String
    private let descriptor: Int32
    private let failure = Mutex<Int32?>(nil)

    /// Makes the file, or empties it.
    init(_ path: String) throws(CommandFailure) {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        if descriptor < 0 {
            throw CommandFailure(
                .environment, "--events: '\(TextEscape.shown(path))': \(String(cString: strerror(errno)))")
        }
    }

    func write(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else {
                failure.withLock { $0 = $0 ?? errno }
                return
            }
            rest = rest.dropFirst(written)
        }
    }

    /// - Throws: `CommandFailure` (environment) when not everything was written.
    func close() throws(CommandFailure) {
        Glibc.close(descriptor)
        if let code = failure.withLock({ $0 }) {
            throw CommandFailure(
                .environment, "--events: '\(TextEscape.shown(path))': \(String(cString: strerror(code)))")
        }
    }
}
