import CLuaShim

/// Where functions of a program run for one slot: a Lua state of this process, or a runner process.
enum TaskState {
    case local(OpaquePointer)
    case process(OpaquePointer)

    /// As `handout_task_state_value`.
    func value(_ task: UInt32, _ out: inout handout_buffer, _ text: inout [CChar]) -> Int32 {
        let size = text.count
        switch self {
        case .local(let state): return handout_task_state_value(state, task, &out, &text, size)
        case .process(let supervisor): return handout_supervisor_value(supervisor, task, &out, &text, size)
        }
    }

    /// As `handout_task_state_select`.
    func select(
        _ task: UInt32, _ group: UInt32, _ elements: UInt32, _ selection: inout handout_selection,
        _ text: inout [CChar]
    ) -> Int32 {
        let size = text.count
        switch self {
        case .local(let state):
            return handout_task_state_select(state, task, group, elements, &selection, &text, size)
        case .process(let supervisor):
            return handout_supervisor_select(supervisor, task, group, elements, &selection, &text, size)
        }
    }

    /// As `handout_task_state_measure`.
    func measure(
        _ task: UInt32, _ attempt: UnsafePointer<handout_attempt>, _ out: inout handout_buffer,
        _ failure: inout UnsafeMutablePointer<handout_failure>?
    ) -> Int32 {
        switch self {
        case .local(let state): return handout_task_state_measure(state, task, attempt, &out, &failure)
        case .process(let supervisor): return handout_supervisor_measure(supervisor, task, attempt, &out, &failure)
        }
    }

    func free() {
        switch self {
        case .local(let state): handout_task_state_free(state)
        case .process(let supervisor): handout_supervisor_free(supervisor)
        }
    }

    /// Makes it run the slot's lease until nothing is left. False: a limit was hit, and another has to go on.
    func run() -> Bool {
        switch self {
        case .local(let state): return handout_task_state_run(state) == 0
        case .process(let supervisor):
            handout_supervisor_run(supervisor)
            return true
        }
    }
}
