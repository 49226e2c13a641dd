package import CLuaShim
import Glibc
package import HandoutCore
package import LuaRuntime

/// Why a script was refused: one entry of `check --json`.
package struct PlanProblem: Error, Sendable, Equatable {
    /// A word that scripts may rely on: `syntax`, `script`, `id`, `duplicate`, `option`, `needs`, …
    package var code: String
    package var message: String
    package var file: String?
    package var line: Int?

    package init(code: String, message: String, file: String? = nil, line: Int? = nil) {
        self.code = code
        self.message = message
        self.file = file
        self.line = line
    }

    /// `deploy.lua:14: task 'train': …`
    package var text: String {
        switch (file, line) {
        case (let file?, let line?): "\(file):\(line): \(message)"
        case (let file?, nil): "\(file): \(message)"
        default: message
        }
    }
}

/// A parameter that the script asked for, with the value it got.
package struct PlanParameter: Sendable {
    package var name: String
    package var help: String?
    package var value: EncodedValue
    package var line: Int
}

/// A script's graph, with everything that its tasks need to run: nothing of it refers to a Lua state.
package final class Plan: Sendable {
    package let graph: GraphColumns
    package let program: ProgramSources
    package let functions: FunctionColumns
    package let parameters: [PlanParameter]
    /// What the graph chose; nil: nothing.
    package let strategy: PlannedStrategy?
    /// What planning read, in order of the calls.
    package let recordings: [Bundle.Recording]
    /// The script left globals of its own, so a task state has to run it to its end.
    package let hasUserGlobals: Bool
    package let seed: UInt64
    /// Names of source files by index; those beyond the program's own were made by `load`.
    package let files: [String]
    /// CPU time of planning in nanoseconds, and most memory of its Lua state in bytes.
    package let cost: (cpu: UInt64, memory: UInt64)

    init(
        graph: GraphColumns, program: ProgramSources, functions: FunctionColumns, parameters: [PlanParameter],
        strategy: PlannedStrategy?, recordings: [Bundle.Recording], hasUserGlobals: Bool, seed: UInt64, files: [String],
        cost: (cpu: UInt64, memory: UInt64)
    ) {
        self.graph = graph
        self.program = program
        self.functions = functions
        self.parameters = parameters
        self.strategy = strategy
        self.recordings = recordings
        self.hasUserGlobals = hasUserGlobals
        self.seed = seed
        self.files = files
        self.cost = cost
    }

    /// Where a declared task stands.
    package func place(of task: TaskID) -> (file: String?, line: Int) {
        let word = graph.lines[task.index]
        let file = Int(word >> 24)
        return (file < files.count ? files[file] : nil, Int(word & 0xFF_FFFF))
    }

    /// The program as bytes with a name: what is shipped and cached.
    package var bundle: Bundle {
        Bundle(
            sources: program.sources,
            parameters: parameters.map { Bundle.Parameter(name: $0.name, value: $0.value.bytes) },
            recordings: recordings, seed: seed)
    }
}

/// Function classes, and the values that functions captured, each stored once.
package final class FunctionColumns: Sendable {
    /// Class of declared task `i`.
    package let classes: Column<UInt32>
    /// Captured variables of task `i`: pool indices `captures[captureOffsets[i] ..< captureOffsets[i + 1]]`.
    package let captureOffsets: Column<UInt32>
    package let captures: Column<UInt32>
    package let classList: Column<handout_class>
    /// Compiled forms of the classes, for states of this process: they are never sent anywhere.
    package let code: Column<UInt8>
    /// By class: the names of its captured variables.
    package let captureNames: [[String]]
    package let pool: Column<UInt64>
    package let poolBytes: Column<UInt8>

    init(_ plan: inout handout_plan) {
        let count = Int(plan.count)
        captureOffsets = Column(adopting: plan.capture_offsets, count: count + 1)
        classes = Column(adopting: plan.classes, count: count)
        captures = Column(adopting: plan.captures, count: Int(captureOffsets[count]))
        captureNames = (0..<Int(plan.class_count)).map { index in
            var names: [String] = []
            var text = plan.class_names[index]
            for _ in 0..<plan.class_list[index].upvalues {
                guard let name = text else { break }
                names.append(String(cString: name))
                text = name + strlen(name) + 1
            }
            return names
        }
        classList = Column(adopting: plan.class_list, count: Int(plan.class_count))
        code = Column(adopting: plan.code, count: Int(plan.code_length))
        plan.code = nil
        pool = Column(adopting: plan.pool, count: Int(plan.pool_count))
        poolBytes = Column(adopting: plan.pool_bytes, count: Int(plan.pool_bytes_length))
        plan.capture_offsets = nil
        plan.classes = nil
        plan.captures = nil
        plan.class_list = nil
        plan.pool = nil
        plan.pool_bytes = nil
    }

    /// Captured variables of a declared task, as pool indices.
    package func captures(of task: TaskID) -> UnsafeBufferPointer<UInt32> {
        let start = Int(captureOffsets[task.index]), end = Int(captureOffsets[task.index + 1])
        return UnsafeBufferPointer(rebasing: captures.buffer[start..<end])
    }
}
