import ArgumentParser
import CLuaShim
import Glibc
import Handout
import HandoutCore
import HandoutPlan
import HandoutScheduler
import HandoutStrategy
import LuaRuntime

/// `handout-lua run`: plans a script, runs its graph on threads, prints the outputs as one JSON object.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration.verb(
        "run",
        abstract: "Run a script's graph and print its outputs.",
        discussion: """
            Standard output gets one JSON object with the outputs; everything else goes to standard error.
            Ctrl-C once ends the run after what is running; twice ends that too.
            SIGUSR1 pauses the run: nothing more is started, what runs goes on. SIGUSR2 lets it go on.
            """)

    @OptionGroup var options: ScriptOptions

    @OptionGroup var grants: GrantOptions

    @OptionGroup var trackers: TrackerOptions

    @Argument(help: "Output names, else ids of tasks: only they and what they need run. Default: all outputs.")
    var targets: [String] = []

    @Flag(help: "After a failure go on with what does not depend on it.")
    var keepGoing = false

    @Option(
        help: ArgumentHelp("Memory of an attempt whose task sets none.", valueName: "size"))
    var taskMemory: Size = Size(bytes: 256 << 20)

    @Option(help: ArgumentHelp("Time for the whole run.", valueName: "duration"))
    var timeout: Duration?

    @Option(help: ArgumentHelp("How to show progress: auto, full, plain or none.", valueName: "how"))
    var progress: ProgressStyle = .auto

    @Option(
        help: ArgumentHelp("Write the run's events to this file, a JSON object a line.", valueName: "file"),
        completion: .file())
    var events: String?

    @Option(
        help: ArgumentHelp(
            "Who decides what runs where: a name or a file of Lua. Default: what the graph says, else load-balanced.",
            valueName: "name|file[,key=value]"))
    var allocator: String?

    @Option(
        help: ArgumentHelp(
            "Where tasks run: thread, or process, which the system confines and can kill. Default: thread, and process "
                + "where a task asks for it.",
            valueName: "where"))
    var isolation: Isolation = .thread

    @Flag(
        help:
            "Run every task twice, the second time in a fresh state, and list those whose results differ: exit status 1."
    )
    var verify = false

    @Flag(help: "Print one JSON object about the run instead of its outputs only.")
    var json = false

    func run() throws {
        handout_watch_interrupts(1)  // nothing runs yet that could be waited for
        let directory = try options.directory()
        let worker = try options.machine.worker()
        let trackers = try startTrackers(directory, worker)
        defer { trackers?.stop() }
        let (plan, parameters) = try plan(trackers)
        var runOptions = LocalRunOptions()
        runOptions.slots = options.machine.slots
        runOptions.worker = worker
        runOptions.trackers = trackers
        runOptions.warn = { Terminal.standard.line("warning: " + TextEscape.shown($0)) }
        runOptions.coresFlag = "-j"
        runOptions.targets = targets
        runOptions.keepGoing = keepGoing
        runOptions.taskMemory = taskMemory.bytes
        runOptions.directory = directory
        runOptions.planTime = options.planTime.nanoseconds
        runOptions.isProcess = isolation == .process
        runOptions.runner = Isolation.runner
        runOptions.verify = verify
        runOptions.secrets = try grants.secrets()
        var strategy: LuaStrategy?
        if let choice = try allocator.map({ text throws(CommandFailure) in try AllocatorChoice(text) })
            ?? AllocatorChoice(plan)
        {
            strategy = try choice.strategy(
                plan, parameters, budget: .ownInstructions, slot: LeaseSlot())
        }
        var allowance = try grants.allowance(directory: directory, keeping: plan.program.paths)
        do { try grants.settle(plan, &allowance, secrets: runOptions.secrets) } catch {
            throw options.refused(error, json: json)
        }
        runOptions.allowance = allowance
        runOptions.log = TaskLog.write
        let taskProgress = TaskProgress()
        runOptions.progress = taskProgress.report
        let eventFile = try events.map { path throws(CommandFailure) in try EventFile(path) }
        if let eventFile { runOptions.eventLines = { eventFile.write($0) } }
        let run: LocalRun
        do { run = try LocalRun(plan: plan, parameters: parameters, options: runOptions, strategy: strategy) } catch {
            throw options.refused(error, json: json)
        }
        let outcome = try perform(run, taskProgress)
        let reported = Result { try report(outcome, run) }
        do { try eventFile?.close() } catch {
            // The results are printed all the same; a failed task weighs more than a lost line.
            if case .success = reported { throw error }
            Terminal.standard.line(error.message)
        }
        try reported.get()
    }

    private func startTrackers(_ directory: String, _ worker: WorkerOffer) throws -> RunTrackers? {
        do { return try trackers.start(grants, directory: directory, worker: worker) } catch let refusal as PlanRefusal
        {
            throw options.refused(refusal, json: json)
        }
    }

    /// Plans for what trackers found; what was wrong with them may be why the plan is refused.
    private func plan(_ trackers: RunTrackers?) throws(CommandFailure) -> (Plan, [GivenParameter]) {
        guard let trackers else { return try options.plan(json: json) }
        let capacity = Capacity(workers: [trackers.capacity], coresFlag: "-j")
        do { return try options.plan(json: json, capacity: capacity) } catch {
            for problem in trackers.warnings { Terminal.standard.line("warning: " + TextEscape.shown(problem.text)) }
            throw error
        }
    }

    private func perform(_ run: LocalRun, _ taskProgress: TaskProgress) throws -> RunOutcome {
        handout_watch_interrupts(3)
        let display = ProgressDisplay(progress, taskProgress, name: { run.name(of: $0) })
        var interrupts: Int32 = 0
        var isPaused = false
        let begun = monotonicSeconds()
        var isLate = false
        do {
            var outcome = try run.run { snapshot, notes in
                display.show(snapshot, notes)
                let now = handout_interrupts()
                if now > interrupts {
                    if now == 1 {
                        run.cancel()
                        display.say("interrupted: waiting for what is running (Ctrl-C again ends it)")
                    } else {
                        run.stop()
                    }
                    interrupts = now
                }
                if (handout_is_paused() != 0) != isPaused {
                    isPaused.toggle()
                    if isPaused { run.pause() } else { run.resume() }
                    display.say(isPaused ? "paused: nothing more is started (SIGUSR2 lets it go on)" : "going on")
                }
                if let timeout, !isLate, monotonicSeconds() - begun > Double(timeout.nanoseconds) / 1e9 {
                    isLate = true
                    display.say("--timeout reached: the run is ended")
                    run.stop()
                }
            }
            outcome.isCancelled = outcome.isCancelled || isLate
            display.finish(outcome)
            return outcome
        } catch {
            throw CommandFailure(.environment, "no thread could be started (errno \(error.code))")
        }
    }

    private func report(_ outcome: RunOutcome, _ run: LocalRun) throws {
        let printer = OutcomePrinter(outcome, run: run.id)
        let interrupted = handout_interrupts() > 0
        for problem in printer.problems { Terminal.standard.line(problem) }
        for found in outcome.unrepeatable {
            let place = found.file.map { "\($0):\(found.line): " } ?? ""
            Terminal.standard.line(
                TextEscape.shown("\(place)task '\(found.task)' is not repeatable: \(found.message)"))
        }
        var status: ExitStatus = printer.ok ? .success : .failed
        if interrupted && !outcome.ok { status = .interrupted }
        if json {
            try StandardOutput.write(printer.wholeObject(verified: verify))
        } else if outcome.ok && printer.problems.isEmpty || keepGoing && !interrupted {
            try StandardOutput.write(printer.outputsObject)
        }
        if outcome.isAbandoned {
            // A thread is still in code that cannot be stopped: nothing of it is waited for.
            handout_end_children()
            _exit(status.rawValue)
        }
        if status != .success { throw CommandFailure(status) }
    }
}

/// Seconds of the monotonic clock.
func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
