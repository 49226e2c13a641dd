import CLuaShim
import HandoutCore
package import HandoutPlan
import LuaRuntime

/// What a file is run with that is no graph script, in memory that stays in place.
final class FileStorage: @unchecked Sendable {
    // @unchecked: written in `init` only; the host is thread-safe.
    let config: UnsafeMutablePointer<handout_file_config>
    let program: ProgramSources
    private let native: UnsafeMutablePointer<handout_program>
    private let parameters: ParameterStorage
    private let allowed: AllowedStorage
    private let host: PlanHost
    let slot: LeaseSlot?
    private let texts: [UnsafeMutablePointer<CChar>]

    /// - Parameters:
    ///   - slot: of the thread that makes the calls, so that deadlines hold.
    ///   - directory: what relative paths of trackers begin from.
    init(
        _ program: ProgramSources, slot: LeaseSlot?, limits: FileLimits, seed: UInt64 = 0,
        parameters given: [GivenParameter] = [], recordings: [Bundle.Recording] = [], allowance: Allowance? = nil,
        directory: String = "/", worker: String = "local",
        log: @escaping @Sendable (_ level: Int, _ text: String) -> Void = { _, _ in }
    ) {
        self.program = program
        self.slot = slot
        parameters = ParameterStorage(given)
        allowed = AllowedStorage(allowance ?? .nothing, secrets: [], recordings: recordings)
        host = PlanHost(sources: program) { _, level, text in log(level, String(decoding: text, as: UTF8.self)) }
        texts = [directory, "trackers", worker].map(FileStorage.copy)
        let entry = program.entry
        native = UnsafeMutablePointer<handout_program>.allocate(capacity: 1)
        var program = handout_program()
        program.source = UnsafeRawPointer(entry.text.base).assumingMemoryBound(to: CChar.self)
        program.source_length = entry.text.count
        program.chunk_name = entry.chunkName.base
        program.parameters = parameters.base
        program.parameter_count = parameters.count
        program.seed = seed
        program.run_directory = UnsafePointer(texts[0])
        program.run_id = UnsafePointer(texts[1])
        program.worker = UnsafePointer(texts[2])
        program.default_memory = limits.memory
        program.plan_time = limits.time
        program.allowed = UnsafePointer(allowed.native)
        program.recordings = UnsafePointer(allowed.recordings)
        program.recording_count = allowed.recordingCount
        native.initialize(to: program)
        config = UnsafeMutablePointer<handout_file_config>.allocate(capacity: 1)
        config.initialize(
            to: handout_file_config(
                program: UnsafePointer(native), host: host.native, slot: slot?.pointer, memory: limits.memory,
                time: limits.time))
    }

    deinit {
        config.deallocate()
        native.deallocate()
        for text in texts { text.deallocate() }
    }

    static func copy(_ text: String) -> UnsafeMutablePointer<CChar> {
        let bytes = text.utf8CString
        let memory = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
        for (index, byte) in bytes.enumerated() { memory[index] = byte }
        return memory
    }
}

/// What running a file may use.
package struct FileLimits: Sendable {
    /// Nanoseconds, by the clock of the slot.
    package var time: UInt64 = 10_000_000_000
    /// Bytes of the Lua state.
    package var memory: UInt64 = 256 << 20

    package init() {}
}

extension Allowance {
    /// Nothing beyond what is computed.
    static var nothing: Allowance {
        var none = Allowance(directory: "/")
        none.readsRunDirectory = false
        none.writesRunDirectory = false
        return none
    }
}

extension PlanRefusal {
    /// What C code refused.
    init(_ problems: handout_problems) {
        self.init(
            problems: (0..<Int(problems.count)).map { index in
                let error = problems.list[index]
                return PlanProblem(
                    code: String(cString: error.code), message: error.message.map { String(cString: $0) } ?? "",
                    file: error.file.map { String(cString: $0) }, line: error.line > 0 ? Int(error.line) : nil)
            }, leftOut: Int(problems.left_out))
    }

    /// A file that could not be read at all.
    package init(_ error: ProgramError) { self.init(problems: [PlanProblem(code: "file", message: error.message)]) }

    /// One problem that is no place's.
    init(code: String, _ message: String) { self.init(problems: [PlanProblem(code: code, message: message)]) }
}
