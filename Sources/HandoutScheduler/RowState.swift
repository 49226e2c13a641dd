import HandoutCore

/// Where a row stands, in the low half of its status byte; `RowFlags` are in the high half.
enum RowState {
    /// Something that it needs has not ended.
    static let waiting: UInt8 = 0
    /// A map with instances not all ended, an instance whose graph runs, or a reduce whose root waits for its tree.
    static let expanded: UInt8 = 1
    /// Asked for what only the values tell: how many elements, which ones are picked, whether something is true.
    static let expanding: UInt8 = 2
    /// Asked for what functions among its options say of its next attempt.
    static let measuring: UInt8 = 3
    static let ready: UInt8 = 4
    /// Waits for the moment of its next attempt.
    static let paused: UInt8 = 5
    static let running: UInt8 = 6
    static let done: UInt8 = 7
    static let failed: UInt8 = 8
    static let skipped: UInt8 = 9
    /// No target needs it, or it belongs to a graph that only instances are made of: it is no part of the run.
    static let excluded: UInt8 = 10
    /// Ended without a value, and well: a condition was not met, or it failed and is optional.
    static let absent: UInt8 = 11

    static let mask: UInt8 = 0x0F

    @inline(__always) static func hasEnded(_ state: UInt8) -> Bool { state >= done }
    /// What needs the row as data can run.
    @inline(__always) static func isGood(_ state: UInt8) -> Bool { state == done || state == absent }
}

enum RowFlags {
    /// Its result is in memory until it is released.
    static let holdsMemory: UInt8 = 0x10
    /// Its result is kept to the end.
    static let output: UInt8 = 0x20
    /// Its result was freed; of a row whose value is found by way of others: it refers to them no more.
    static let released: UInt8 = 0x40
    /// Its value is nil or false.
    static let falsy: UInt8 = 0x80
}

/// What is known of a declared row beside its kind.
enum RowTraits {
    /// Never leased: its value is found by way of other rows, or computed in each consumer.
    static let pseudo: UInt8 = 0x01
    /// A condition asks whether its value is true.
    static let needsTruth: UInt8 = 0x02
    /// A map whose instances are found by way of what it refers to, for as long as anyone needs them.
    static let lazy: UInt8 = 0x04
    /// Runs when its inputs have ended in any way.
    static let always: UInt8 = 0x08
    static let optional: UInt8 = 0x10
    static let recovers: UInt8 = 0x20
    /// It has conditions of its own.
    static let conditional: UInt8 = 0x40
    /// In a map: conditions that are another one for each instance.
    static let conditionalInstances: UInt8 = 0x80
}

/// `TaskKind` and `Reference` as plain numbers: the getters of another module are calls, and these are asked for with
/// every reference of every task.
enum Word {
    static let taskKind: UInt8 = 0
    static let mapKind: UInt8 = 1
    static let reduceKind: UInt8 = 2
    static let whenKind: UInt8 = 3
    static let inputKind: UInt8 = 4
    static let selectKind: UInt8 = 5
    static let selectorKind: UInt8 = 6
    static let markKind: UInt8 = 7

    static let over: UInt32 = 5
    static let after: UInt32 = 7
    static let own: UInt32 = 8
    static let when: UInt32 = 9
    static let unless: UInt32 = 10
    static let near: UInt32 = 11
    static let function: UInt32 = 12
    static let graph: UInt32 = 13
    static let pick: UInt32 = 14

    @inline(__always) static func operation(_ word: UInt32) -> UInt32 { word >> 28 }
    @inline(__always) static func payload(_ word: UInt32) -> Int { Int(word & 0x0FFF_FFFF) }
    /// The word is a task, what a map or reduce runs over, or a selector.
    @inline(__always) static func isInput(_ word: UInt32) -> Bool {
        word >> 28 == 0 || word >> 28 == over || word >> 28 == own
    }
    /// Words from here on are no data.
    @inline(__always) static func endsData(_ word: UInt32) -> Bool {
        word >> 28 == after || word >> 28 >= when && word >> 28 <= function
    }
    /// Words from here on are not waited for.
    @inline(__always) static func endsInputs(_ word: UInt32) -> Bool { word >> 28 == near || word >> 28 == function }

    /// The numbers above are those of the graph.
    static func check() {
        let kinds: [(UInt8, TaskKind)] = [
            (taskKind, .task), (mapKind, .map), (reduceKind, .reduce), (whenKind, .when), (inputKind, .input),
            (selectKind, .select), (selectorKind, .selector), (markKind, .mark),
        ]
        let operations: [(UInt32, Reference.Operation)] = [
            (0, .task), (over, .over), (after, .after), (own, .own), (when, .when), (unless, .unless), (near, .near),
            (function, .function), (graph, .graph), (pick, .pick),
        ]
        precondition(
            kinds.allSatisfy { $0.0 == $0.1.rawValue } && operations.allSatisfy { $0.0 == $0.1.rawValue }
                && Reference.payloadBits == 28)
    }
}

/// The rows that one map or reduce appended: instances or inner nodes, then for a map over a graph the rows of that
/// graph once an instance.
struct Block: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable {
        case map, reduce, selector
        /// A map over a graph: its instances gather what the rows of the graph give.
        case graphs
    }

    /// The row of the map or reduce, and the declared row that it is or is made of.
    var owner: UInt32
    var declared: UInt32
    /// First appended row.
    var first: UInt32
    /// Instances of a map, inner rows of a reduce.
    var count: UInt32
    /// Appended rows that have not ended, those of graphs included.
    var open: UInt32
    var kind: Kind
    /// Map: its instances are needed by one reduce or map only, so they are freed as that goes on.
    var releasesEarly = false
    /// Reduce: runs on the instances of a map as they end.
    var isStreaming = false
    /// Map or reduce that needs no other task: its first rows are sources.
    var isSource: Bool
    /// Map: an instance failed or was skipped for a failure.
    var isBad = false
    /// One of these failed itself.
    var hasFailed = false
    /// Map: first of the links to what follows it instance by instance.
    var firstLink: UInt32 = Block.none
    /// Reduce: block of the map that it streams from. Map over a map: block of that one.
    var mapBlock: UInt32 = Block.none
    /// Selector: number of its picks.
    var picks: UInt32 = Block.none
    /// Graphs: first row of the template, and its length.
    var templateFirst: UInt32 = 0
    var templateCount: UInt32 = 0
    /// Rows on the longest path to an end, below the owner.
    var height: UInt32 = 0
    var shape = ReduceShape(count: 0, arity: 2)

    static let none = UInt32.max

    var isMap: Bool { kind != .reduce }
    /// First row of the graphs.
    var framesFirst: Int { Int(first) + Int(count) }
    var rowCount: Int { Int(count) * (1 + Int(templateCount)) }
}

/// Something that follows a map instance by instance.
struct StreamLink: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable {
        /// Instance i of the block needs instance i.
        case identity
        /// The group of the reduce that takes element i.
        case reduce
        /// The instances of the selector that picked instance i.
        case picks
        /// The single row that picked an instance; `block` is its number.
        case select
    }
    var kind: Kind
    var block: UInt32
    var next: UInt32
    /// `select`: the picked row.
    var row: UInt32 = 0
}

/// Which rows each instance of a selector picked, and back.
struct PickSet {
    /// By instance.
    var offsets: [UInt32]
    var rows: [UInt32]
    /// By instance of the map that is picked from.
    var reverseOffsets: [UInt32]
    var reverse: [UInt32]
    var verdicts: [Verdict]
}

/// What the core remembers of a task whose attempts did not all succeed.
struct FailureRecord: BitwiseCopyable {
    var retriesUsed: UInt8 = 0
    var crashes: UInt8 = 0
    var lostInARow: UInt8 = 0
    /// The attempt that follows, or runs, is of the function that makes a substitute result.
    var isRecovering = false
}
