package import CLuaShim
package import HandoutCore

/// What came of a task's call of a function of the embedding program.
package enum HostReply: Sendable {
    /// One encoded value.
    case value([UInt8])
    /// The function's own error.
    case threw(String)
    /// There is no such function.
    case refused(String)
}

/// Calls a function of the embedding program; `arguments` are encoded values one after the other. On the task's thread,
/// which it may block.
package typealias HostCall =
    @Sendable (
        _ task: UInt32, _ name: String, _ arguments: UnsafeBufferPointer<UInt8>
    ) -> HostReply

/// What a state may ask of Swift while Lua runs: sources of modules, names of tasks, and where logs go.
///
/// The callbacks hand plain bytes over and return before anything is raised.
package final class PlanHost: @unchecked Sendable {
    // @unchecked: everything is set in `init`; the memory of `native` is freed with the host.
    private let sources: ProgramSources
    private let onLog: @Sendable (_ task: UInt32, _ level: Int, _ text: UnsafeBufferPointer<UInt8>) -> Void
    private let onProgress: @Sendable (_ task: UInt32, _ fraction: Double, _ text: String) -> Void
    private let nameOfTask: @Sendable (_ task: UInt32) -> [UInt8]
    private let onCall: HostCall?
    private let capacity: Capacity
    private let table = UnsafeMutablePointer<handout_host>.allocate(capacity: 1)

    /// What C code is given; valid while the host lives.
    package var native: UnsafePointer<handout_host> { UnsafePointer(table) }

    package init(
        sources: ProgramSources,
        log: @escaping @Sendable (_ task: UInt32, _ level: Int, _ text: UnsafeBufferPointer<UInt8>) -> Void,
        progress: @escaping @Sendable (_ task: UInt32, _ fraction: Double, _ text: String) -> Void = { _, _, _ in },
        nameOfTask: @escaping @Sendable (_ task: UInt32) -> [UInt8] = { _ in [] }, call: HostCall? = nil,
        capacity: Capacity = Capacity()
    ) {
        self.sources = sources
        onLog = log
        onProgress = progress
        self.nameOfTask = nameOfTask
        onCall = call
        self.capacity = capacity
        table.initialize(
            to: handout_host(
                context: Unmanaged.passUnretained(self).toOpaque(),
                log: { context, task, level, text, length in
                    guard let host = PlanHost.from(context) else { return }
                    host.onLog(task, Int(level), bytes(text, length))
                },
                progress: { context, task, fraction, text, length in
                    guard let host = PlanHost.from(context) else { return }
                    host.onProgress(task, fraction, String(decoding: bytes(text, length), as: UTF8.self))
                },
                module: { context, name, length, source, size, chunkName, index, error, errorSize in
                    guard let host = PlanHost.from(context) else { return -1 }
                    return host.module(
                        String(decoding: bytes(name, length), as: UTF8.self), source, size, chunkName, index, error,
                        errorSize)
                },
                task_name: { context, task, text, size in
                    guard let host = PlanHost.from(context) else { return 0 }
                    let name = host.nameOfTask(task)
                    if let text {
                        for position in 0..<min(size, name.count) { text[position] = CChar(bitPattern: name[position]) }
                    }
                    return name.count
                },
                call: call == nil
                    ? nil
                    : { context, task, name, length, arguments, size, result, error, errorSize in
                        guard let host = PlanHost.from(context) else { return Int32(HANDOUT_CALL_REFUSED.rawValue) }
                        return host.call(
                            task, String(decoding: bytes(name, length), as: UTF8.self),
                            UnsafeBufferPointer(start: arguments, count: size), result, error, errorSize)
                    },
                check: capacity.workers.isEmpty
                    ? nil
                    : { context, request, error, errorSize in
                        guard let host = PlanHost.from(context), let request else { return 0 }
                        return host.check(request.pointee, error, errorSize)
                    }))
    }

    deinit { table.deallocate() }

    private static func from(_ context: UnsafeMutableRawPointer?) -> PlanHost? {
        context.map { Unmanaged<PlanHost>.fromOpaque($0).takeUnretainedValue() }
    }

    private func check(
        _ request: handout_request, _ errorText: UnsafeMutablePointer<CChar>?, _ errorSize: Int
    ) -> Int32 {
        let limits = RequestReading.amounts(RequestReading.value(request.limits, request.limits_length))
        let graph = request.graph.map { String(cString: $0) } ?? ""
        guard let problem = capacity.problem(of: RequestReading.request(request), limits: limits, graph: graph) else {
            return 0
        }
        write(problem, to: errorText, size: errorSize)
        return -1
    }

    private func call(
        _ task: UInt32, _ name: String, _ arguments: UnsafeBufferPointer<UInt8>,
        _ result: UnsafeMutablePointer<handout_buffer>?, _ errorText: UnsafeMutablePointer<CChar>?, _ errorSize: Int
    ) -> Int32 {
        guard let onCall, let result else { return Int32(HANDOUT_CALL_REFUSED.rawValue) }
        switch onCall(task, name, arguments) {
        case .value(let bytes):
            if handout_buffer_append(result, bytes, bytes.count) == 0 { return Int32(HANDOUT_CALL_DONE.rawValue) }
            write("the result of \(bytes.count) bytes is more than the task's memory", to: errorText, size: errorSize)
            return Int32(HANDOUT_CALL_THREW.rawValue)
        case .threw(let message):
            write(message, to: errorText, size: errorSize)
            return Int32(HANDOUT_CALL_THREW.rawValue)
        case .refused(let message):
            write(message, to: errorText, size: errorSize)
            return Int32(HANDOUT_CALL_REFUSED.rawValue)
        }
    }

    private func module(
        _ name: String, _ source: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ size: UnsafeMutablePointer<Int>?,
        _ chunkName: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ index: UnsafeMutablePointer<UInt32>?,
        _ errorText: UnsafeMutablePointer<CChar>?, _ errorSize: Int
    ) -> Int32 {
        do throws(ProgramError) {
            let number = try sources.module(name)
            let found = sources[number]
            source?.pointee = UnsafeRawPointer(found.text.base).assumingMemoryBound(to: CChar.self)
            size?.pointee = found.text.count
            chunkName?.pointee = found.chunkName.base
            index?.pointee = UInt32(number)
            return 0
        } catch {
            write(error.message, to: errorText, size: errorSize)
            return -1
        }
    }
}

private func bytes(_ text: UnsafePointer<CChar>?, _ length: Int) -> UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(start: UnsafeRawPointer(text)?.assumingMemoryBound(to: UInt8.self), count: length)
}

/// Writes a NUL-terminated text, cut to what fits.
private func write(_ text: String, to destination: UnsafeMutablePointer<CChar>?, size: Int) {
    guard let destination, size > 0 else { return }
    var length = 0
    for byte in text.utf8.prefix(size - 1) {
        destination[length] = CChar(bitPattern: byte)
        length += 1
    }
    destination[length] = 0
}
