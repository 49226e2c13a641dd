/// Functions of the embedding program that tasks may call as `handout.host.NAME(…)`.
///
/// A task calls one only when it asks for it (`grant = { host = { "resize" } }`) and the run allows it
/// (`RunOptions.allow`). Arguments and result are plain data.
///
/// ```swift
/// var host = HostFunctions()
/// host.expose("resize") { arguments in
///     guard let width = arguments.first?.integerValue else { throw HostError("expected a width") }
///     return .integer(try await images.resize(to: width))
/// }
/// ```
public struct HostFunctions: Sendable {
    enum Function: Sendable {
        case immediate(@Sendable ([Value]) throws -> Value)
        case asynchronous(@Sendable ([Value]) async throws -> Value)
    }

    var functions: [String: Function] = [:]

    public init() {}

    /// The names of what is exposed, in order.
    public var names: [String] { functions.keys.sorted() }

    /// Exposes a function that returns at once. It runs on the thread of the task that calls it, several at a time; that
    /// thread has most signals blocked, and so have child processes that it starts.
    ///
    /// - Parameters:
    ///   - name: how scripts call it; of letters, digits and `_`. One exposed before under that name is replaced.
    ///   - function: an error that it throws becomes an error of the task, with the function's name; tasks with retries
    ///     are tried again.
    public mutating func expose(_ name: String, _ function: @escaping @Sendable ([Value]) throws -> Value) {
        functions[name] = .immediate(function)
    }

    /// Exposes a function that may wait. The task that calls it, and the thread that this runs on, wait for it, without
    /// taking a thread of Swift's. The Swift task that it runs in is cancelled when the run is stopped; a `timeout` of the
    /// Lua task that passes meanwhile ends the attempt when the function has returned.
    public mutating func expose(_ name: String, _ function: @escaping @Sendable ([Value]) async throws -> Value) {
        functions[name] = .asynchronous(function)
    }
}

/// An error of a function that a program exposes to its scripts, in words for their authors.
public struct HostError: Error, Sendable, Hashable, CustomStringConvertible {
    public var message: String
    public var description: String { message }

    public init(_ message: String) { self.message = message }
}
