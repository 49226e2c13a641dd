/// What a declared row of a graph is.
package enum TaskKind: UInt8, Sendable, BitwiseCopyable {
    case task = 0
    /// One instance an element of `over`; the row itself gathers them and is never run.
    case map
    /// A tree reduction; the row itself is the root of the tree and is run last.
    case reduce
    /// A task whose value is made boolean.
    case when
    /// An input of a graph: its default, or what the graph was instantiated with.
    case input
    /// Hidden: an element of another row's value.
    case select
    /// Hidden: for each instance of a map the elements that it picks of another row's value.
    case selector
    /// Hidden: takes the name of an included graph.
    case mark

    /// Made by the system: no task of the user's.
    package var isHidden: Bool { rawValue >= TaskKind.select.rawValue }
    /// Runs a function of the user's, by itself or in its instances.
    package var isTask: Bool { rawValue <= TaskKind.when.rawValue }
}

/// A graph among the rows of a plan. Number 0 is the one that the script returned; the others are instantiated by maps
/// over them, and their own rows never run.
package struct GraphTemplate: Sendable {
    /// Its rows.
    package var rows: Range<Int>
    /// Its rows of kind `input`, in order of declaration.
    package var inputs: [TaskID]
    /// By name in bytewise order; the name is also in the plan's `nameBytes`, at that position. Of graph 0 empty.
    package var outputs: [(name: String, nameOffset: Int, task: TaskID)]

    package init(
        rows: Range<Int>, inputs: [TaskID] = [], outputs: [(name: String, nameOffset: Int, task: TaskID)] = []
    ) {
        self.rows = rows
        self.inputs = inputs
        self.outputs = outputs
    }
}

/// The options that many tasks share, each distinct set of them stored once.
package struct TaskOptions: Sendable, Hashable {
    /// Higher first.
    package var priority: Int32 = 0
    /// Attempts after the first, 0...100.
    package var retries: UInt8 = 0
    /// The group size of a reduce, at least 2.
    package var arity: UInt32 = 8
    /// Run time of one attempt in nanoseconds; 0: no limit.
    package var timeout: UInt64 = 0
    /// Pause before the first retry, in nanoseconds.
    package var backoffFirst: UInt64 = 0
    /// Factor from one pause to the next.
    package var backoffFactor: Double = 2
    /// Longest pause, in nanoseconds.
    package var backoffMax: UInt64 = 0
    /// Cores in 1/10 000.
    package var cpu: UInt64 = 10_000
    /// Bytes claimed, and the attempt's limit; 0: none claimed.
    package var memory: UInt64 = 0
    /// Expected run time in nanoseconds on a worker of speed 1; 0: not known.
    package var estimate: UInt64 = 0
    /// Runs when its inputs have ended in any way.
    package var always = false
    /// Its failure makes it absent and not the run failed.
    package var optional = false
    /// Computed in each consumer.
    package var isInline = false
    /// After its last failure a function of its own may give a substitute result.
    package var recovers = false
    /// Functions are asked before each attempt for some of its amounts, its timeout or priority.
    package var isMeasured = false
    /// So is one for its memory.
    package var measuresMemory = false
    /// And for its priority.
    package var measuresPriority = false
    /// Has to run in a process that can be killed.
    package var isProcess = false
    /// Index in the value pool of what it asks to be granted; `UInt32.max`: nothing.
    package var grant = UInt32.max

    package init() {}
}

/// A planned graph as columns: one row a declared task, map or reduce, in order of declaration; after the rows of the
/// graph itself those of the graphs that its maps instantiate.
///
/// Values only; nothing in it refers to a Lua state. Rows refer to earlier rows of their own graph only, so a graph has
/// no cycle.
package final class GraphColumns: Sendable {
    package let name: String
    /// Rows declared, of all templates.
    package let count: Int
    /// `TaskKind` a row.
    package let kinds: Column<UInt8>
    /// Index in `options` a row.
    package let optionIndices: Column<UInt32>
    /// References of row `i`: words `referenceOffsets[i] ..< referenceOffsets[i + 1]`.
    package let referenceOffsets: Column<UInt32>
    package let references: Column<UInt32>
    /// Identifier of row `i`: bytes `nameOffsets[i] ..< nameOffsets[i + 1]`. Compared as bytes.
    package let nameOffsets: Column<UInt32>
    package let nameBytes: Column<UInt8>
    /// Line of declaration in the low 24 bits, index of the source file in the high 8.
    package let lines: Column<UInt32>
    package let options: [TaskOptions]
    /// Outputs in order of declaration; empty: the rows that no other refers to.
    package let declaredOutputs: [(name: String, task: TaskID)]
    /// Number 0 is the graph itself.
    package let templates: [GraphTemplate]
    /// What the tasks ask for, and the pools of the run.
    package let requests: RequestTable
    /// Nanoseconds from the start, a target for strategies; 0: none.
    package let deadline: UInt64
    /// The run's part of a shared cluster, beside those of others.
    package let weight: Double

    package init(
        name: String, kinds: Column<UInt8>, optionIndices: Column<UInt32>, referenceOffsets: Column<UInt32>,
        references: Column<UInt32>, nameOffsets: Column<UInt32>, nameBytes: Column<UInt8>, lines: Column<UInt32>,
        options: [TaskOptions], declaredOutputs: [(name: String, task: TaskID)], templates: [GraphTemplate] = [],
        requests: RequestTable? = nil, deadline: UInt64 = 0, weight: Double = 1
    ) {
        precondition(referenceOffsets.count == kinds.count + 1 && nameOffsets.count == kinds.count + 1)
        self.name = name
        self.count = kinds.count
        self.kinds = kinds
        self.optionIndices = optionIndices
        self.referenceOffsets = referenceOffsets
        self.references = references
        self.nameOffsets = nameOffsets
        self.nameBytes = nameBytes
        self.lines = lines
        self.options = options
        self.declaredOutputs = declaredOutputs
        self.requests = requests ?? RequestTable(options: options)
        self.deadline = deadline
        self.weight = weight
        self.templates = templates.isEmpty ? [GraphTemplate(rows: 0..<kinds.count)] : templates
    }

    /// Rows of the graph itself: those of the templates follow.
    package var ownCount: Int { templates[0].rows.count }

    package func kind(_ task: TaskID) -> TaskKind {
        guard let kind = TaskKind(rawValue: kinds[task.index]) else { preconditionFailure("a row of no known kind") }
        return kind
    }
    package func options(of task: TaskID) -> TaskOptions { options[Int(optionIndices[task.index])] }

    /// The words that say what `task` needs.
    package func references(of task: TaskID) -> UnsafeBufferPointer<UInt32> {
        let start = Int(referenceOffsets[task.index]), end = Int(referenceOffsets[task.index + 1])
        return UnsafeBufferPointer(rebasing: references.buffer[start..<end])
    }

    /// The declared identifier, as its bytes.
    package func nameBuffer(_ task: TaskID) -> UnsafeBufferPointer<UInt8> {
        let start = Int(nameOffsets[task.index]), end = Int(nameOffsets[task.index + 1])
        return UnsafeBufferPointer(rebasing: nameBytes.buffer[start..<end])
    }

    package func name(_ task: TaskID) -> String { String(decoding: nameBuffer(task), as: UTF8.self) }
}
