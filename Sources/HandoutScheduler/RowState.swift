import HandoutCore

/// Where a row stands, in the low half of its status byte; `RowFlags` are in the high half.
enum RowState {
    /// Something that it needs has not ended.
    static let waiting: UInt8 = 0
    /// A map with instances not all ended, or a reduce whose root waits for its tree.
    static let expanded: UInt8 = 1
    /// A map or reduce that was asked how many elements it runs over.
    static let expanding: UInt8 = 2
    static let ready: UInt8 = 3
    /// Waits for the moment of its next attempt.
    static let paused: UInt8 = 4
    static let running: UInt8 = 5
    static let done: UInt8 = 6
    static let failed: UInt8 = 7
    static let skipped: UInt8 = 8
    /// No target needs it: it is no part of the run.
    static let excluded: UInt8 = 9

    static let mask: UInt8 = 0x0F
}

enum RowFlags {
    /// Its result is in memory until it is released.
    static let holdsMemory: UInt8 = 0x10
    /// Its result is kept to the end.
    static let output: UInt8 = 0x20
    static let released: UInt8 = 0x40
}

/// `TaskKind` and `Reference` as plain numbers: the getters of another module are calls, and these are asked for with
/// every reference of every task.
enum Word {
    static let taskKind: UInt8 = 0
    static let mapKind: UInt8 = 1
    static let reduceKind: UInt8 = 2

    static let over: UInt32 = 5
    static let after: UInt32 = 7

    @inline(__always) static func operation(_ word: UInt32) -> UInt32 { word >> 28 }
    @inline(__always) static func payload(_ word: UInt32) -> Int { Int(word & 0x0FFF_FFFF) }
    /// The word is a task in `needs` or `after`, or what a map or reduce runs over.
    @inline(__always) static func isInput(_ word: UInt32) -> Bool { word >> 28 == 0 || word >> 28 == over }

    /// The numbers above are those of the graph.
    static func check() {
        precondition(
            taskKind == TaskKind.task.rawValue && mapKind == TaskKind.map.rawValue
                && reduceKind == TaskKind.reduce.rawValue && Reference(word: 0).isTask
                && over == Reference.Operation.over.rawValue && after == Reference.Operation.after.rawValue
                && Reference.payloadBits == 28)
    }
}

/// The rows that one map or reduce appended.
struct Block: BitwiseCopyable {
    /// The declared row of the map or reduce.
    var owner: UInt32
    /// First appended row.
    var first: UInt32
    /// Instances of a map, inner rows of a reduce.
    var count: UInt32
    /// Appended rows that have not ended.
    var open: UInt32
    var isMap: Bool
    /// Map: its instances are needed by one reduce only, so they are freed group by group.
    var releasesEarly = false
    /// Reduce: runs on the instances of a map as they end.
    var isStreaming = false
    /// Map or reduce that needs no other task: its first rows are sources.
    var isSource: Bool
    /// Map: first block of a reduce that streams from it. Reduce: the next such block.
    var nextReduce: UInt32 = Block.none
    /// Reduce: block of the map that it streams from.
    var mapBlock: UInt32 = Block.none
    var shape: ReduceShape

    static let none = UInt32.max
}

/// What the core remembers of a task whose attempts did not all succeed.
struct FailureRecord: BitwiseCopyable {
    var retriesUsed: UInt8 = 0
    var crashes: UInt8 = 0
    var memoryFailures: UInt8 = 0
    var lostInARow: UInt8 = 0
}
