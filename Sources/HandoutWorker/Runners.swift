import CLuaShim
import HandoutPlan

/// What the runner processes of one run have in common, as C reads it.
final class Runners: @unchecked Sendable {
    // @unchecked: set in `init`, and read.
    let native: UnsafeMutablePointer<handout_runners>
    /// Path of the program.
    let program: String
    private let path: UnsafeMutablePointer<CChar>
    private let kept: (ProgramStorage, RunTables, PlanHost)
    /// After a deadline, before a runner is killed: in nanoseconds.
    private static let grace: UInt64 = 100_000_000

    /// Nil: the tables are not in shared memory, or there is no room for the program.
    init?(path: String, program: ProgramStorage, tables: RunTables, host: PlanHost) {
        guard let shared = tables.shared, let copied = handout_shared_program(shared.native, program.native) else {
            return nil
        }
        kept = (program, tables, host)
        self.program = path
        let text = path.utf8CString
        self.path = UnsafeMutablePointer<CChar>.allocate(capacity: text.count)
        for (index, byte) in text.enumerated() { self.path[index] = byte }
        native = UnsafeMutablePointer<handout_runners>.allocate(capacity: 1)
        native.initialize(
            to: handout_runners(
                path: self.path, shared: shared.native, program: program.native, copied: copied, tables: tables.native,
                host: host.native, grace: Runners.grace))
    }

    deinit {
        native.deallocate()
        path.deallocate()
    }
}
