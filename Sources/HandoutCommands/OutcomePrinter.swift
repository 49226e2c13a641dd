import Handout
import HandoutCore
import HandoutScheduler
import LuaRuntime

/// What `run` prints on standard output.
///
/// An output that has no JSON form (two keys with the same text) is a failure of its task, of kind `result`.
struct OutcomePrinter {
    private let outcome: RunOutcome
    private let run: String
    private var outputs: [(name: String, json: [UInt8])] = []
    private var failures: [String]
    /// Outputs without a JSON form, in words.
    private(set) var problems: [String] = []

    init(_ outcome: RunOutcome, run: String) {
        self.outcome = outcome
        self.run = run
        failures = outcome.failures.map { failure in
            let report = failure.report
            return OutcomePrinter.failureJSON(
                failure.name, Int(report.attempt), "\(report.ended)", report.message, report.file, report.line,
                report.worker, optional: report.optional)
        }
        for output in outcome.outputs { add(output) }
    }

    var ok: Bool { outcome.ok && problems.isEmpty && outcome.unrepeatable.isEmpty }

    private mutating func add(_ output: RunOutput) {
        let null = Array("null".utf8)
        guard let value = output.value else { return outputs.append((output.name, null)) }
        do { outputs.append((output.name, try value.json())) } catch {
            outputs.append((output.name, null))
            let place = output.file.map { "\($0):\(output.line): " } ?? ""
            problems.append(TextEscape.shown("\(place)task '\(output.task)' failed (result): \(error.message)"))
            failures.append(
                OutcomePrinter.failureJSON(output.task, 1, "result", error.message, output.file, output.line, "local"))
        }
    }

    /// `{output name: value}`, an output a line; absent ones are null.
    var outputsObject: [UInt8] {
        var bytes = Array("{".utf8)
        for (index, output) in outputs.enumerated() {
            bytes += Array((index == 0 ? "\n  " : ",\n  ").utf8)
            TextEscape.appendJSON(Array(output.name.utf8), to: &bytes)
            bytes += Array(": ".utf8) + output.json
        }
        return bytes + Array((outputs.isEmpty ? "}\n" : "\n}\n").utf8)
    }

    /// Tasks that are not repeatable, as a member of that object.
    private var unrepeatable: String {
        let entries = outcome.unrepeatable.map { found in
            "{\"task\":\(TextEscape.json(found.task)),\"message\":\(TextEscape.json(found.message)),"
                + "\"file\":\(found.file.map { TextEscape.json($0) } ?? "null"),\"line\":\(found.line)}"
        }
        return "\"unrepeatable\":[\(entries.joined(separator: ","))],"
    }

    /// The object of `run --json` (design contract: keys and their meaning are relied on); `verified`: with what is not
    /// repeatable.
    func wholeObject(verified: Bool) -> [UInt8] {
        var bytes = Array("{\"ok\":\(ok),\"run\":\(TextEscape.json(run)),\"outputs\":{".utf8)
        for (index, output) in outputs.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            TextEscape.appendJSON(Array(output.name.utf8), to: &bytes)
            bytes += Array(":".utf8) + output.json
        }
        let counts = outcome.counts
        let tail =
            "},\"failures\":[\(failures.joined(separator: ","))],\"tasks\":{\"done\":\(counts.done - problems.count),"
            + "\"failed\":\(counts.failed + problems.count),\"skipped\":\(counts.skipped),\"cached\":0},"
            + (verified ? unrepeatable : "")
            + "\"seconds\":\((outcome.seconds * 1_000_000).rounded() / 1_000_000)}\n"
        return bytes + Array(tail.utf8)
    }

    private static func failureJSON(
        _ task: String, _ attempt: Int, _ kind: String, _ message: String, _ file: String?, _ line: Int?,
        _ worker: String, optional: Bool = false
    ) -> String {
        "{\"task\":\(TextEscape.json(task)),\"attempt\":\(attempt),\"kind\":\"\(kind)\","
            + "\"message\":\(TextEscape.json(message)),\"file\":\(file.map { TextEscape.json($0) } ?? "null"),"
            + "\"line\":\(line.map { String($0) } ?? "null"),\"worker\":\(TextEscape.json(worker))\(optional ? ",\"optional\":true" : "")}"
    }
}
