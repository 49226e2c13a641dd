package import HandoutCore

/// Decides what may run, in which order, what is tried again, and which results may go: event in, actions out.
///
/// Deterministic: no clock, no I/O, no threads. The same calls give the same answers. Per task it keeps 15 bytes and
/// 4 a reference, in columns; nothing is allocated a task. Not safe to enter from two threads at a time.
package struct SchedulerCore: ~Copyable {
    let graph: GraphColumns
    package let configuration: SchedulerConfiguration
    /// Someone wants to know what happens.
    let isWatched: Bool
    /// Rows of the graph; appended rows follow.
    let declared: Int

    // The graph's columns, without the reference counting of reaching through it.
    let kinds: UnsafePointer<UInt8>
    let optionIndices: UnsafePointer<UInt32>
    let referenceOffsets: UnsafePointer<UInt32>
    let references: UnsafePointer<UInt32>
    let blankEntry = LeaseEntry(task: TaskID(0), attempt: 0, retriesLeft: 0)

    // One entry a row.
    var status: Slab<UInt8>
    var remaining: Slab<UInt32>
    var attempts: Slab<UInt16>
    /// References by rows that have not ended for good; of instances and inner nodes 0.
    var consumers: Slab<UInt32>

    // One entry a declared row.
    var traits: Slab<UInt8>
    /// Inputs, and references, that a row made of this one begins with.
    var inputCounts: Slab<UInt32>
    var consumerCounts: Slab<UInt32>
    /// How often the row is an output of its graph; only where maps run over graphs.
    var outputCounts: Slab<UInt32>
    /// Rows on the longest path to an end, below this one.
    var height: Slab<UInt32>
    /// Rows that refer to row `i`: `successors[offsets[i] ..< offsets[i + 1]]`; `streamingEdge` is set where it is enough
    /// that the map has its instances.
    var successorOffsets: Slab<UInt32>
    var successors: Slab<UInt32>

    // One entry a set of options.
    let priorityKeys: Slab<UInt64>
    let retryCounts: Slab<UInt8>

    var blocks = Slab<Block>()
    var links = Slab<StreamLink>()
    var pickSets: [PickSet] = []
    /// Block of a map or reduce.
    var blockOfOwner: [UInt32: UInt32] = [:]
    /// The block found last: rows that end together are mostly of one block.
    var lastBlock = 0

    var queue = ReadyQueue()
    /// What a slot's own completions made ready.
    let local: Slab<ReadyRange>
    var localCount = 0

    /// Requests, workers and claims; nil where no set of tasks, one a slot, can claim more than there is, and there is only
    /// one worker: then nothing needs to be chosen.
    let placer: Placer?

    var timers = TimerHeap()
    var failures: [UInt32: FailureRecord] = [:]
    /// Rows that end without a lease, and how: not yet marked.
    var endings = Slab<UInt64>()
    /// Rows with `always` are told what is missing, also of rows that failed.
    var hasAlways = false
    /// Some task failed that is not optional.
    package internal(set) var hasFailed = false

    package internal(set) var counts = Counts()
    /// Rows, maps included, that have not ended.
    var openRows = 0
    var isStarted = false
    /// Nothing more is started.
    package internal(set) var isDraining = false
    /// Nothing is started until the run goes on.
    package internal(set) var isPaused = false
    /// Of the event that is being handled, where someone wants to know what happens.
    var moment: UInt64 = 0
    var hasFinished = false

    static let streamingEdge: UInt32 = 1 << 31
    /// However the row ends, the edge is as good as any.
    static let anywayEdge: UInt32 = 1 << 30
    static let rowMask: UInt32 = (1 << 28) - 1
    static let sourceKey: UInt64 = 1 << 31

    /// Requires at least one slot, and targets and outputs within the graph. O(rows and references).
    package init(graph: GraphColumns, configuration: SchedulerConfiguration) {
        precondition(configuration.slots > 0 && configuration.slots <= Int(Int16.max), "1 to 32 767 slots")
        Word.check()
        let rows = graph.count
        self.graph = graph
        self.configuration = configuration
        isWatched = configuration.recordsEvents || configuration.tellsStrategy
        declared = rows
        kinds = graph.kinds.base
        optionIndices = graph.optionIndices.base
        referenceOffsets = graph.referenceOffsets.base
        references = graph.references.base

        let wantsAll = configuration.targets.isEmpty
        status = Slab(repeating: RowState.excluded, count: rows)
        remaining = Slab(repeating: 0, count: rows)
        attempts = Slab(repeating: 0, count: rows)
        consumers = Slab(repeating: 0, count: rows)
        traits = Slab(repeating: 0, count: rows)
        inputCounts = Slab(repeating: 0, count: rows)
        consumerCounts = Slab(repeating: 0, count: rows)
        outputCounts = Slab(repeating: 0, count: graph.templates.count > 1 ? rows : 0)
        height = Slab(repeating: 0, count: rows)
        successorOffsets = Slab(repeating: 0, count: rows + 1)
        successors = Slab()

        let options = graph.options.isEmpty ? [TaskOptions()] : graph.options
        priorityKeys = Slab(repeating: 0, count: options.count)
        retryCounts = Slab(repeating: 0, count: options.count)
        for (index, option) in options.enumerated() {
            priorityKeys[index] = SchedulerCore.priorityKey(option.priority)
            retryCounts[index] = option.retries
        }
        placer = SchedulerCore.placer(graph, configuration)
        local = Slab(repeating: ReadyRange(key: 0, first: 0, count: 0), count: configuration.slots)

        if wantsAll { for row in 0..<graph.ownCount { status[row] = RowState.waiting } }
        for task in configuration.targets {
            precondition(task.index < graph.ownCount, "a target is not a row of the graph")
            status[task.index] = RowState.waiting
        }
        for task in configuration.outputs {
            precondition(task.index < graph.ownCount, "an output is not a row of the graph")
            status[task.index] |= RowFlags.output
        }
        connect()
    }

    /// The high half of a row's rank.
    static func priorityKey(_ priority: Int32) -> UInt64 {
        UInt64(~(UInt32(bitPattern: priority) ^ 0x8000_0000)) << 32
    }

    /// Every task has ended.
    package var isFinished: Bool { isStarted && openRows == 0 }

    /// Rows so far, appended ones included.
    package var rowCount: Int { status.count }

    /// Bytes held for the rows, beside the graph's own.
    package var stateBytes: Int {
        let columns = status.bytes + remaining.bytes + attempts.bytes + consumers.bytes + height.bytes
        return columns + successorOffsets.bytes + successors.bytes + blocks.bytes + endings.bytes + queue.bytes
    }

    /// When `advance` has something to do next.
    package var nextTimer: UInt64? {
        guard let held = placer?.held.next else { return timers.first?.time }
        return min(held, timers.first?.time ?? held)
    }

    /// The state bits of a row.
    @inline(__always) func state(_ row: Int) -> UInt8 { status[row] & RowState.mask }

    /// Changes the state bits and leaves the flags.
    @inline(__always) func setState(_ row: Int, _ state: UInt8) {
        status[row] = status[row] & ~RowState.mask | state
    }

    @inline(__always) func kind(_ row: Int) -> UInt8 { kinds[row] }

    @inline(__always) func referenceWords(_ row: Int) -> UnsafeBufferPointer<UInt32> {
        let start = Int(referenceOffsets[row])
        return UnsafeBufferPointer(start: references + start, count: Int(referenceOffsets[row + 1]) - start)
    }

    /// The declared row that a declared map or reduce runs over; nil: a literal, or no map or reduce.
    func overRow(_ declared: Int) -> Int? {
        guard let word = referenceWords(declared).first, Word.operation(word) == Word.over else { return nil }
        return Word.payload(word)
    }

    @inline(__always) func hasTrait(_ declared: Int, _ trait: UInt8) -> Bool { traits[declared] & trait != 0 }

    /// An input or a select with conditions: an output of an included graph, which is absent where that graph is.
    func isGated(_ declared: Int) -> Bool {
        let kind = kinds[declared]
        guard kind == Word.inputKind || kind == Word.selectKind else { return false }
        return referenceWords(declared).contains { Word.endsData($0) }
    }

    /// The row that an input or select stands for, or is a part of.
    func base(of declared: Int) -> Int? {
        for word in referenceWords(declared) {
            if Word.operation(word) == 0 { return Word.payload(word) }
            if Word.endsData(word) { break }
        }
        return nil
    }

    private func picksByFunction(_ selector: Int) -> Bool {
        for word in referenceWords(selector) where Word.operation(word) == Word.pick {
            return Word.payload(word) != Reference.pickOwn && Word.payload(word) & Reference.pickFunction != 0
        }
        return false
    }

    /// It is enough for `row` that the row of the word, a map, has its instances: what follows is instance by instance.
    @inline(__always) func isStreamingEdge(_ row: Int, _ word: UInt32) -> Bool {
        let kind = kinds[row]
        if kind == Word.taskKind || kind == Word.whenKind { return false }
        switch Word.operation(word) {
        case Word.over:
            guard kinds[Word.payload(word)] == Word.mapKind else { return false }
            // What a function picks is known when all elements are.
            return kind != Word.selectorKind || !picksByFunction(row)
        // Whether it is true what is picked from an element is known when all those elements are.
        case Word.own: return kind != Word.selectorKind || !hasTrait(row, RowTraits.needsTruth)
        case 0:
            guard kinds[Word.payload(word)] == Word.mapKind else { return false }
            return kind == Word.selectorKind || kind == Word.selectKind && !isGated(row)
        default: return false
        }
    }
}
