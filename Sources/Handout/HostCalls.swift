import Glibc
import HandoutPlan
import LuaRuntime

/// Answers the calls that the tasks of one run make of the program's functions.
final class HostCalls: Sendable {
    private struct State {
        var isStopped = false
        var number = 0
        var running: [Int: Task<Void, Never>] = [:]
    }
    private let functions: [String: HostFunctions.Function]
    private let state = Locked(State())

    init(_ host: HostFunctions) { functions = host.functions }

    /// Calls a function for a task, on the task's thread.
    func call(_ name: String, _ arguments: UnsafeBufferPointer<UInt8>) -> HostReply {
        guard let function = functions[name] else {
            let names = functions.keys.sorted().joined(separator: ", ")
            let known = functions.isEmpty ? "exposes none" : "exposes: \(names)"
            return .refused("host: no function '\(name)' (the program \(known))")
        }
        guard let values = Value.sequence(arguments) else { return .threw("the arguments cannot be read") }
        do {
            switch function {
            case .immediate(let body): return .value(try body(values).encoded().bytes)
            case .asynchronous(let body): return .value(try wait { try await body(values) }.encoded().bytes)
            }
        } catch let error as ValueError {
            return .threw("the result cannot be handed to Lua: \(error.message)")
        } catch {
            return .threw("\(error)")
        }
    }

    /// Cancels the functions that wait, and those that will be called.
    func stop() {
        let running = state.withLock { state in
            state.isStopped = true
            return state.running.values.map { $0 }
        }
        for task in running { task.cancel() }
    }

    /// Runs `body` in a Swift task and blocks the calling thread until it has ended.
    ///
    /// Safe because the thread is one of a run's own pool, never one of the few that all Swift tasks share: `body` and
    /// whatever it awaits go on. The task ends with `body`, and is cancelled by `stop`.
    private func wait(_ body: @escaping @Sendable () async throws -> Value) throws -> Value {
        let answer = Answer()
        let task = Task.detached { answer.set(await Result { () async throws in try await body() }) }
        let number = state.withLock { state in
            state.number += 1
            state.running[state.number] = task
            if state.isStopped { task.cancel() }
            return state.number
        }
        let result = answer.wait()
        state.withLock { _ = $0.running.removeValue(forKey: number) }
        return try result.get()
    }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}

/// A result that one thread waits for and a Swift task gives.
private final class Answer: Sendable {
    private let result = Locked<Result<Value, any Error>?>(nil)
    private let semaphore = Semaphore()

    func set(_ value: Result<Value, any Error>) {
        result.withLock { $0 = value }
        semaphore.post()
    }

    func wait() -> Result<Value, any Error> {
        semaphore.wait()
        return result.withLock { $0 } ?? .failure(HostError("no result"))
    }
}

private final class Semaphore: @unchecked Sendable {
    // @unchecked: the memory is the system's semaphore, which is made to be shared.
    private let native = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(native, 0, 0) }

    deinit {
        sem_destroy(native)
        native.deallocate()
    }

    func post() { sem_post(native) }
    func wait() { while sem_wait(native) != 0 {} }
}
