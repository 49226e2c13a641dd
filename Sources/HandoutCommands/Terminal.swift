import Glibc
import HandoutCore
import Synchronization

/// Standard error: whole lines, and below them, on a terminal, one line that is drawn again and again.
final class Terminal: Sendable {
    static let standard = Terminal()

    private let status = Mutex("")
    let isTerminal: Bool = isatty(STDERR_FILENO) == 1

    /// Writes lines above the status line. What scripts can name must have been escaped.
    func line(_ text: String) {
        status.withLock { status in
            write((status.isEmpty ? "" : "\r\u{1B}[K") + text + "\n" + status)
        }
    }

    /// Writes text whose answer follows on the same line.
    func question(_ text: String) { status.withLock { _ in write(text) } }

    /// Draws the status line, cut to the width of the terminal; empty: removes it.
    func draw(_ text: String) {
        status.withLock { status in
            guard isTerminal, text != status else { return }
            status = String(text.prefix(max(20, width - 1)))
            write("\r\u{1B}[K" + status)
        }
    }

    private var width: Int {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    private func write(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if written < 0 && errno == EINTR { continue }
            if written <= 0 { return }
            bytes = bytes.dropFirst(written)
        }
    }
}
