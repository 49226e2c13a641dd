/// The dense number of a task in its run: declared tasks first, in order of declaration, then the instances of maps
/// and the inner nodes of reduces, in order of expansion.
package struct TaskID: RawRepresentable, Hashable, Comparable, Sendable, BitwiseCopyable, CustomStringConvertible {
    package var rawValue: UInt32
    @inline(__always) package init(rawValue: UInt32) { self.rawValue = rawValue }
    @inline(__always) package init(_ index: Int) { rawValue = UInt32(truncatingIfNeeded: index) }
    @inline(__always) package var index: Int { Int(rawValue) }
    @inline(__always) package static func < (left: TaskID, right: TaskID) -> Bool { left.rawValue < right.rawValue }
    package var description: String { "#\(rawValue)" }
}

/// The dense number of a worker in its run. A local thread pool is one worker with as many slots as threads.
package struct WorkerID: RawRepresentable, Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    package var rawValue: UInt16
    @inline(__always) package init(rawValue: UInt16) { self.rawValue = rawValue }
    package var description: String { "w\(rawValue)" }
}

/// How an attempt ended, when it did not succeed (`lua-api.md`, section 7).
package enum Ended: UInt8, Sendable, BitwiseCopyable, CaseIterable, CustomStringConvertible {
    case error = 1
    case result, timeout, memory, crash, lost, cancelled

    package var description: String {
        switch self {
        case .error: "error"
        case .result: "result"
        case .timeout: "timeout"
        case .memory: "memory"
        case .crash: "crash"
        case .lost: "lost"
        case .cancelled: "cancelled"
        }
    }
}
