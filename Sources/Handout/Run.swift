import HandoutExecutor
import HandoutPlan
import HandoutScheduler
import LuaRuntime

/// A program that runs. It goes on when nobody holds it any more, until it has ended or was cancelled.
public final class Run: Sendable {
    /// Names the run in logs and reports.
    public let id: String
    /// The name of the graph that the script returned.
    public let name: String
    private let local: LocalRun
    private let calls: HostCalls
    private let channel: EventChannel
    private let ended = Promise<Result<RunResult, any Error>>()
    private let wasCancelled = Locked(false)

    /// How a run is to be cancelled.
    public enum Cancellation: Sendable, Hashable {
        /// Nothing more is started; the attempts that run may end.
        case drain
        /// The attempts that run are ended too, as `cancelled`: Lua code within milliseconds, a function of the embedding
        /// program when it returns.
        case now
    }

    init(_ local: LocalRun, name: String, calls: HostCalls, channel: EventChannel) {
        self.local = local
        self.name = name
        self.calls = calls
        self.channel = channel
        id = local.id
    }

    /// The events of the run from its start, in order, in steps of at most 100 ms. Empty unless
    /// `RunOptions.recordsEvents`.
    public var events: Events { Events(channel: channel) }

    /// Ends the run early. From any thread; may be called again.
    public func cancel(_ how: Cancellation) {
        wasCancelled.withLock { $0 = true }
        switch how {
        case .drain: local.cancel()
        case .now:
            local.stop()
            calls.stop()
        }
    }

    /// Starts nothing more until `resume`: the attempts that run go on, and a run of which nothing runs any more waits. From
    /// any thread; may be called again, and does nothing when the run is over. Time limits of the program's own go on.
    public func pause() { local.pause() }

    /// Goes on after `pause`.
    public func resume() { local.resume() }

    /// Waits for the end of the run. When the task that waits is cancelled, so is the run, and its end is still waited for.
    ///
    /// A task that fails is no error here: see `RunResult.ok` and `failures`.
    ///
    /// - Throws: `RunError` when the system has no threads for the run; `CancellationError` when the waiting task was
    ///   cancelled.
    public var result: RunResult {
        get async throws {
            let result = await withTaskCancellationHandler {
                await ended.value
            } onCancel: {
                cancel(.now)
            }
            try Task.checkCancellation()
            return try result.get()
        }
    }

    /// Runs to the end, on the calling thread, which is the run's own.
    func perform() {
        let result: Result<RunResult, any Error>
        do {
            let outcome = try local.run { snapshot, _ in
                // Fail-fast has ended what runs: functions that wait are told.
                if snapshot.isStopping { calls.stop() }
            }
            var value = RunResult(outcome, run: id)
            if !value.ok && wasCancelled.withLock({ $0 }) { value.isCancelled = true }
            result = .success(value)
        } catch {
            result = .failure(RunError(noThread: error))
        }
        channel.finish()
        ended.keep(result)
    }
}
