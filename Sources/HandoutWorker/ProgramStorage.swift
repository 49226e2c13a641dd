import CLuaShim
package import HandoutCore
package import HandoutPlan
import LuaRuntime

/// What every task state of a run is made from, in memory that stays in place.
package final class ProgramStorage: @unchecked Sendable {
    // @unchecked: written in `init` only.
    let native: UnsafeMutablePointer<handout_program>
    private let plan: Plan
    private let parameters: ParameterStorage
    private let allowed: AllowedStorage
    private let texts: [UnsafeMutablePointer<CChar>]
    /// What logs and messages of the tasks do not show.
    package let redaction: Redaction

    /// - Parameters:
    ///   - directory: the run directory, absolute and without links.
    ///   - memory: the limit in bytes of an attempt without `memory`.
    ///   - allowance: what tasks get of what they ask for; by default what a local run allows.
    ///   - secrets: values that `handout.env` gives.
    package init(
        plan: Plan, parameters given: [GivenParameter], directory: String, run: String, worker: String, memory: UInt64,
        planTime: UInt64, verify: Bool = false, allowance: Allowance? = nil, secrets: [Secret] = []
    ) {
        self.plan = plan
        parameters = ParameterStorage(given)
        let allowance = allowance ?? Allowance(directory: directory)
        allowed = AllowedStorage(allowance, secrets: secrets, recordings: plan.recordings)
        redaction = Redaction(secrets.map(\.value) + AllowedStorage.variables(of: plan, allowance))
        texts = [directory, run, worker].map { text in
            let bytes = text.utf8CString
            let memory = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
            for (index, byte) in bytes.enumerated() { memory[index] = byte }
            return memory
        }
        let entry = plan.program.entry
        native = UnsafeMutablePointer<handout_program>.allocate(capacity: 1)
        native.initialize(
            to: handout_program(
                source: UnsafeRawPointer(entry.text.base).assumingMemoryBound(to: CChar.self),
                source_length: entry.text.count, chunk_name: entry.chunkName.base, parameters: parameters.base,
                parameter_count: parameters.count, seed: plan.seed, user_globals: plan.hasUserGlobals ? 1 : 0,
                run_directory: texts[0], run_id: texts[1], worker: texts[2], default_memory: memory,
                plan_time: planTime, verify: verify ? 1 : 0,
                allowed: UnsafePointer(allowed.native), secrets: UnsafePointer(allowed.secrets),
                secret_count: allowed.secretCount, recordings: UnsafePointer(allowed.recordings),
                recording_count: allowed.recordingCount))
    }

    deinit {
        native.deallocate()
        for text in texts { text.deallocate() }
    }
}
