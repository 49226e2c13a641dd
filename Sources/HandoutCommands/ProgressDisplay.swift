import ArgumentParser
import Handout
import HandoutCore
import HandoutExecutor
import HandoutScheduler

/// What `--progress` may be.
enum ProgressStyle: String, ExpressibleByArgument, CaseIterable {
    case auto, full, plain, none
}

/// Shows how a run goes on standard error: one line that is drawn again on a terminal, else a line now and then.
final class ProgressDisplay {
    private let style: ProgressStyle
    private let taskProgress: TaskProgress
    private let name: (TaskID) -> String
    private let terminal = Terminal.standard
    private let begun = monotonicSeconds()
    private var lastLine: Double
    private var isLive: Bool { (style == .auto || style == .full) && terminal.isTerminal }

    /// Seconds between two plain lines.
    private static let pause = 5.0

    init(_ style: ProgressStyle, _ taskProgress: TaskProgress, name: @escaping (TaskID) -> String) {
        self.style = style
        self.taskProgress = taskProgress
        self.name = name
        lastLine = begun
    }

    /// Shows what happened, and the state.
    func show(_ snapshot: RunSnapshot, _ notes: [RunNote]) {
        for note in notes { show(note) }
        guard style != .none, !snapshot.isFinished else { return }
        let now = monotonicSeconds()
        if isLive {
            if now - begun > 0.25 { terminal.draw(line(snapshot.counts, now)) }
        } else if now - lastLine >= ProgressDisplay.pause {
            lastLine = now
            terminal.line(line(snapshot.counts, now))
        }
    }

    /// A line of our own.
    func say(_ text: String) { terminal.line(text) }

    /// Removes the live line and says how the run ended, unless it was short and went well.
    func finish(_ outcome: RunOutcome) {
        terminal.draw("")
        let seconds = monotonicSeconds() - begun
        guard style != .none, !outcome.ok || seconds >= 1 || style == .plain else { return }
        let counts = outcome.counts
        var parts = ["\(counts.done) done"]
        if counts.failed > 0 { parts.append("\(counts.failed) failed") }
        if counts.skipped > 0 { parts.append("\(counts.skipped) skipped") }
        terminal.line("\(outcome.ok ? "finished" : "ended"): \(parts.joined(separator: ", ")) in \(time(seconds))")
    }

    private func line(_ counts: Counts, _ now: Double) -> String {
        let ended = counts.done + counts.failed + counts.skipped
        var text = "\(ended)/\(counts.total) · \(counts.running) running"
        if counts.failed > 0 { text += " · \(counts.failed) failed" }
        let rate = Double(ended) / max(0.001, now - begun)
        if ended > 0 { text += " · \(short(rate))/s" }
        if ended > 0 { text += " · \(time(Double(counts.total - ended) / rate)) left" }
        return text + taskProgress.suffix
    }

    private func show(_ note: RunNote) {
        switch note {
        case .retrying(let report, let after):
            guard style != .none else { return }
            let pause = after == 0 ? "" : " in \(time(Double(after) / 1e9))"
            terminal.line(headline(report) + "; trying again\(pause)")
        case .failed(let report):
            var text = headline(report)
            for frame in report.traceback.split(separator: "\n") {
                text += "\n    " + TextEscape.shown(String(frame))
            }
            terminal.line(text)
        }
    }

    /// `deploy.lua:14: task 'train' failed in attempt 2 (timeout): message`, the place once.
    private func headline(_ report: FailureReport) -> String {
        let place = report.file.map { file in "\(file):\(report.line ?? 0): " } ?? ""
        let message = report.message.hasPrefix(place) ? String(report.message.dropFirst(place.count)) : report.message
        let attempt = report.attempt > 1 ? " in attempt \(report.attempt)" : ""
        let kind = report.ended == .error ? "" : " (\(report.ended))"
        return TextEscape.shown(
            "\(place)task '\(name(report.task))' failed\(attempt)\(kind): \(message)", keepLines: true)
    }

    private func short(_ number: Double) -> String {
        if number >= 1_000_000 { return "\(oneDecimal(number / 1_000_000))M" }
        if number >= 10_000 { return "\(Int(number / 1000))k" }
        return number >= 10 ? "\(Int(number))" : oneDecimal(number)
    }

    private func oneDecimal(_ number: Double) -> String { "\((number * 10).rounded() / 10)" }

    private func time(_ seconds: Double) -> String {
        if seconds < 0.1 { return "\(Int((seconds * 1000).rounded())) ms" }
        if seconds < 10 { return "\(oneDecimal(seconds)) s" }
        if seconds < 120 { return "\(Int(seconds)) s" }
        if seconds < 7200 { return "\(Int(seconds / 60)) min" }
        return seconds < 360_000 ? "\(Int(seconds / 3600)) h" : "long"
    }
}

/// Lines that tasks log, on standard error.
enum TaskLog {
    @Sendable static func write(_ task: String, _ level: Int, _ text: String) {
        let mark = ["debug: ", "", "warning: ", "error: "][max(0, min(3, level))]
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            Terminal.standard.line(TextEscape.shown("\(task): \(mark)\(line)"))
        }
    }
}
