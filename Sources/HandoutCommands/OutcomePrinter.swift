import Handout
import HandoutCore
import HandoutScheduler
import LuaRuntime

/// What `run` prints on standard output.
struct OutcomePrinter {
    private let outcome: RunOutcome
    private let run: String

    init(_ outcome: RunOutcome, run: String) {
        self.outcome = outcome
        self.run = run
    }

    /// `{output name: value}`, an output a line; absent ones are null.
    var outputsObject: Result<[UInt8], CommandFailure> {
        var bytes = Array("{".utf8)
        for (index, output) in outcome.outputs.enumerated() {
            bytes += Array((index == 0 ? "\n  " : ",\n  ").utf8)
            TextEscape.appendJSON(Array(output.name.utf8), to: &bytes)
            bytes += Array(": ".utf8)
            switch json(output) {
            case .success(let value): bytes += value
            case .failure(let failure): return .failure(failure)
            }
        }
        bytes += Array((outcome.outputs.isEmpty ? "}\n" : "\n}\n").utf8)
        return .success(bytes)
    }

    private func json(_ output: (name: String, value: EncodedValue?)) -> Result<[UInt8], CommandFailure> {
        guard let value = output.value else { return .success(Array("null".utf8)) }
        do { return .success(try value.json()) } catch {
            let name = TextEscape.shown(output.name)
            return .failure(CommandFailure(.failed, "output '\(name)': result: \(TextEscape.shown(error.message))"))
        }
    }

    /// The object of `run --json` (design contract: keys and their meaning are relied on).
    var wholeObject: [UInt8] {
        var failures = outcome.failures.map { failure in
            let report = failure.report
            return failureJSON(
                failure.name, "\(report.attempt)", "\(report.ended)", report.message, report.file, report.line,
                report.worker)
        }
        var outputs: [UInt8] = []
        for output in outcome.outputs {
            outputs += outputs.isEmpty ? [] : Array(",".utf8)
            TextEscape.appendJSON(Array(output.name.utf8), to: &outputs)
            outputs += Array(":".utf8)
            switch json(output) {
            case .success(let value): outputs += value
            case .failure(let failure):
                outputs += Array("null".utf8)
                failures.append(failureJSON(output.name, "1", "result", failure.message, nil, nil, "local"))
            }
        }
        let counts = outcome.counts
        let head =
            "{\"ok\":\(outcome.ok && failures.isEmpty),\"run\":\(TextEscape.json(run)),\"outputs\":{"
        let tail =
            "},\"failures\":[\(failures.joined(separator: ","))],\"tasks\":{\"done\":\(counts.done),"
            + "\"failed\":\(counts.failed),\"skipped\":\(counts.skipped),\"cached\":0},"
            + "\"seconds\":\(rounded(outcome.seconds))}\n"
        return Array(head.utf8) + outputs + Array(tail.utf8)
    }

    private func failureJSON(
        _ task: String, _ attempt: String, _ kind: String, _ message: String, _ file: String?, _ line: Int?,
        _ worker: String
    ) -> String {
        "{\"task\":\(TextEscape.json(task)),\"attempt\":\(attempt),\"kind\":\"\(kind)\","
            + "\"message\":\(TextEscape.json(message)),\"file\":\(file.map { TextEscape.json($0) } ?? "null"),"
            + "\"line\":\(line.map { String($0) } ?? "null"),\"worker\":\(TextEscape.json(worker))}"
    }

    private func rounded(_ seconds: Double) -> String { String((seconds * 1_000_000).rounded() / 1_000_000) }
}
