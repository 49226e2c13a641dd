import ArgumentParser
import Handout
import HandoutCore
import HandoutPlan
import HandoutScheduler
import HandoutStrategy

/// What says, while a run goes on, how much there is.
struct TrackerOptions: ParsableArguments {
    @Option(
        name: .customLong("tracker"),
        help: ArgumentHelp(
            "A file of trackers, which say what this machine has while the run goes on; may be given again.",
            valueName: "file"),
        completion: .file(extensions: ["lua"]))
    var files: [String] = []

    @Flag(help: "Watch the memory of this machine: a task with a memory of its own waits while so much is not free.")
    var monitor = false

    /// The trackers, asked once; nil: there are none.
    ///
    /// - Throws: `PlanRefusal` with what is wrong with a file; `CommandFailure` when one cannot be read.
    func start(_ grants: GrantOptions, directory: String, worker: WorkerOffer) throws -> RunTrackers? {
        guard monitor || !files.isEmpty else { return nil }
        let sources = try files.map { path throws(CommandFailure) in
            do throws(ProgramError) { return try ProgramSources(path: path) } catch {
                throw CommandFailure(.environment, "--tracker: \(TextEscape.shown(error.message))")
            }
        }
        let allowance = try grants.allowance(directory: directory, keeping: sources.flatMap(\.paths))
        return try RunTrackers(
            files: sources, monitor: monitor ? SystemMonitor() : nil, allowance: allowance, directory: directory,
            worker: worker, log: { _, text in Terminal.standard.line("tracker: " + TextEscape.shown(text)) })
    }
}
