import CLuaShim
import HandoutCore
package import HandoutPlan
import LuaRuntime

/// What every task state of a run is made from, in memory that stays in place.
package final class ProgramStorage: @unchecked Sendable {
    // @unchecked: written in `init` only.
    let native: UnsafeMutablePointer<handout_program>
    private let plan: Plan
    private let parameters: ParameterStorage
    private let texts: [UnsafeMutablePointer<CChar>]

    /// - Parameters:
    ///   - directory: the run directory, absolute and without links.
    ///   - readsFiles: tasks may read files beneath that directory.
    ///   - memory: the limit in bytes of an attempt without `memory`.
    package init(
        plan: Plan, parameters given: [GivenParameter], directory: String, run: String, worker: String, memory: UInt64,
        planTime: UInt64, readsFiles: Bool = true, verify: Bool = false
    ) {
        self.plan = plan
        parameters = ParameterStorage(given)
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
                plan_time: planTime, no_files: readsFiles ? 0 : 1, verify: verify ? 1 : 0))
    }

    deinit {
        native.deallocate()
        for text in texts { text.deallocate() }
    }
}
