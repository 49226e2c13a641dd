import ArgumentParser
import Glibc
import HandoutCore
import HandoutInstances
import HandoutPlacement
import HandoutPlan

/// `handout-lua simulate`: schedules an instance without running anything, by one allocator or several.
struct SimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Schedule a known graph on known workers, and say how long it takes and what it costs.",
        discussion: """
            The file is a scheduling instance (docs/instances.md) or a workflow trace in WfFormat 1.4 or later. Times are in the
            unit of the file. The same file, seed and --evaluations give the same schedule everywhere.
            """)

    @Argument(help: "The instance or trace: a JSON file.", completion: .file(extensions: ["json"]))
    var file: String

    @Option(
        help: ArgumentHelp(
            "\(SimulationAllocators.names.joined(separator: ", ")); again to compare. Default: time.",
            valueName: "name"))
    var allocator: [String] = []

    @Option(help: ArgumentHelp("When the last task must have ended, for cost.", valueName: "duration"))
    var deadline: TimeLimit?

    @Option(
        help: ArgumentHelp("Time for planning. Default: 2s, or no limit with --evaluations.", valueName: "duration"))
    var budget: TimeLimit?

    @Option(help: ArgumentHelp("Schedules that planning may try.", valueName: "n"))
    var evaluations: Int?

    @Option(help: "Seed of planning.")
    var seed: UInt64 = 1

    @Flag(
        help:
            "Print {\"allocator\",\"makespan\",\"cost\",\"utilisation\",\"bytes_moved\",\"schedule\"} as JSON; of several a list."
    )
    var json = false

    @Option(help: ArgumentHelp("Draw the schedule of the one allocator.", valueName: "file.svg"), completion: .file())
    var gantt: String?

    func validate() throws {
        if let evaluations, evaluations < 1 {
            throw ValidationError("--evaluations: expected 1 or more, got \(evaluations)")
        }
        if gantt != nil && allocator.count > 1 { throw ValidationError("--gantt: expected one allocator") }
    }

    func run() throws {
        let allocators = try chosen()
        let instance = try read()
        let request = SimulationRequest(
            deadline: deadline?.seconds, budget: evaluations == nil ? budget?.seconds ?? 2 : budget?.seconds,
            evaluations: evaluations ?? .max, seed: seed)
        var reports: [SimulationReport] = []
        for allocator in allocators {
            let schedule = try allocator.schedule(instance, request)
            reports.append(SimulationReport(allocator: allocator.name, instance: instance, schedule: schedule))
        }
        if let gantt, let report = reports.first {
            try write(GanttChart(instance, report.schedule, title: report.allocator).svg, to: gantt)
        }
        if json {
            let texts = reports.map(\.json)
            try StandardOutput.line(allocator.count > 1 ? "[\(texts.joined(separator: ","))]" : texts.joined())
        } else {
            try StandardOutput.line(SimulationReport.table(reports, deadline: deadline?.seconds))
        }
    }

    private func chosen() throws -> [any SimulationAllocator] {
        try (allocator.isEmpty ? ["time"] : allocator).map { name in
            guard let allocator = SimulationAllocators.named(name) else {
                throw CommandFailure(
                    .usage,
                    "--allocator: expected \(SimulationAllocators.names.joined(separator: ", ")), "
                        + "got '\(TextEscape.shown(name))'")
            }
            return allocator
        }
    }

    private func read() throws -> PlacementInstance {
        do {
            return try InstanceFile.read(try FileReading.bytes(of: file, limit: 1 << 30))
        } catch let failure as FileReading.Failure {
            throw CommandFailure(.environment, "\(TextEscape.shown(file)): \(failure)")
        } catch {
            throw CommandFailure(.usage, "\(TextEscape.shown(file)): \(TextEscape.shown("\(error)"))")
        }
    }

    private func write(_ text: String, to path: String) throws {
        func failure() -> CommandFailure {
            CommandFailure(.environment, "--gantt: '\(TextEscape.shown(path))': \(String(cString: strerror(errno)))")
        }
        guard let file = fopen(path, "we") else { throw failure() }
        let bytes = Array(text.utf8)
        let written = fwrite(bytes, 1, bytes.count, file)
        guard fclose(file) == 0 && written == bytes.count else { throw failure() }
    }
}

/// A duration, or a plain number in the unit of an instance's times.
struct TimeLimit: ExpressibleByArgument {
    var seconds: Double

    init?(argument: String) {
        if let number = Double(argument), number >= 0, number.isFinite {
            seconds = number
        } else if let duration = Duration(argument: argument) {
            seconds = Double(duration.nanoseconds) * 1e-9
        } else {
            return nil
        }
    }
}
