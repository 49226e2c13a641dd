import Handout
import Synchronization

/// A program of which only the body is given: `handout` and the graph `g` are there.
func program(
    _ body: String, parameters: [String: Value] = [:], inputs: [String: Value] = [:], modules: [String: String] = [:]
) throws -> Program {
    try Program(
        source: "local handout = require \"handout\"\nlocal g = handout.graph \"x\"\n\(body)\nreturn g\n",
        name: "t.lua",
        parameters: parameters, inputs: inputs, modules: modules)
}

func options(threads: Int = 2, allow: Set<RunOptions.Permission> = []) -> RunOptions {
    var options = RunOptions()
    options.workers = .local(threads: threads)
    options.allow = allow
    return options
}

/// A door that Swift tasks wait at until it is opened.
final class Door: Sendable {
    private struct State {
        var isOpen = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting.removeAll() }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func pass() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }

    /// Waits until it is opened, or the task is cancelled.
    func passOrThrow() async throws {
        await withTaskCancellationHandler {
            await pass()
        } onCancel: {
            open()
        }
        try Task.checkCancellation()
    }
}

/// Lines from several threads.
final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    func append(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
}
