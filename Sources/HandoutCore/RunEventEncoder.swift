/// Writes run events into segments; a segment ends when it is full or when the caller says so.
package struct RunEventEncoder: Sendable {
    /// Whole segments, the open one, whose header is not yet valid, and room.
    private var storage: [UInt8] = []
    private var used = 0
    /// Where the open segment begins; nil: none is open.
    private var open: Int?
    private var context = RunEventEncoding.Context()
    private let segmentBytes: Int

    /// `segmentBytes`: the payload at which a segment ends by itself.
    package init(segmentBytes: Int = 64 << 10) {
        precondition(segmentBytes > 0 && segmentBytes <= RunEventEncoding.segmentLimit / 2)
        self.segmentBytes = segmentBytes
    }

    /// Bytes not yet taken, the open segment included.
    package var byteCount: Int { used }

    package mutating func append(_ event: RunEvent) {
        begin()
        makeRoom(RunEventWriter.longest)
        storage.withUnsafeMutableBytes { used = RunEventWriter.write(event, $0, at: used, &context) }
        endIfFull()
    }

    /// Appends events in their order, faster than one by one.
    package mutating func append(contentsOf events: [RunEvent]) {
        var next = 0
        while next < events.count {
            begin()
            makeRoom(RunEventWriter.longest)
            let limit = min(segmentEnd, storage.count - RunEventWriter.longest + 1)
            storage.withUnsafeMutableBytes { bytes in
                var place = used
                while next < events.count && place < limit {
                    place = RunEventWriter.write(events[next], bytes, at: place, &context)
                    next += 1
                }
                used = place
            }
            endIfFull()
        }
    }

    /// Closes the open segment, if there is one. O(its bytes).
    package mutating func endSegment() {
        guard let start = open else { return }
        let payload = start + RunEventEncoding.headerBytes
        let length = UInt32(truncatingIfNeeded: used - payload)
        let sum = storage.withUnsafeBytes {
            RunEventEncoding.checksum(
                version: RunEventEncoding.version, payload: UnsafeRawBufferPointer(rebasing: $0[payload..<used]))
        }
        for byte in 0..<4 {
            storage[start + 4 + byte] = UInt8(truncatingIfNeeded: length >> (8 * UInt32(byte)))
            storage[start + 8 + byte] = UInt8(truncatingIfNeeded: sum >> (8 * UInt32(byte)))
        }
        open = nil
    }

    /// Closes the open segment and hands over all bytes. O(bytes).
    package mutating func takeBytes() -> [UInt8] {
        endSegment()
        defer { used = 0 }
        return Array(storage[..<used])
    }

    /// Where the open segment is full.
    private var segmentEnd: Int { (open ?? used) + RunEventEncoding.headerBytes + segmentBytes }

    private mutating func endIfFull() {
        if used >= segmentEnd { endSegment() }
    }

    /// Opens a segment where none is open.
    @inline(__always) private mutating func begin() {
        if open == nil { beginSegment() }
    }

    /// Makes room for `more` bytes behind those in use.
    @inline(__always) private mutating func makeRoom(_ more: Int) {
        if storage.count - used < more { grow(to: used + more) }
    }

    private mutating func grow(to needed: Int) {
        let larger = max(needed, 2 * storage.count, 1_024)
        storage = [UInt8](unsafeUninitializedCapacity: larger) { bytes, count in
            let raw = UnsafeMutableRawBufferPointer(bytes)
            storage.withUnsafeBytes { raw.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<used])) }
            UnsafeMutableRawBufferPointer(rebasing: raw[used...]).initializeMemory(as: UInt8.self, repeating: 0)
            count = larger
        }
    }

    private mutating func beginSegment() {
        makeRoom(RunEventEncoding.headerBytes)
        open = used
        context = RunEventEncoding.Context()
        storage[used] = RunEventEncoding.magic.0
        storage[used + 1] = RunEventEncoding.magic.1
        storage[used + 2] = RunEventEncoding.version
        storage[used + 3] = 0
        used += RunEventEncoding.headerBytes
    }
}

/// Writes single events into memory that has room for the longest.
struct RunEventWriter {
    /// A tag and six varints of at most ten bytes.
    static let longest = 64

    private typealias Tag = RunEventEncoding.Tag
    private let bytes: UnsafeMutableRawPointer
    private var count = 1

    /// Writes one event and returns where the next one goes. Requires `longest` bytes of room.
    @inline(__always)
    static func write(
        _ event: RunEvent, _ buffer: UnsafeMutableRawBufferPointer, at offset: Int,
        _ context: inout RunEventEncoding.Context
    ) -> Int {
        guard let base = buffer.baseAddress, buffer.count - offset >= longest else {
            preconditionFailure("no room for a run event")
        }
        var writer = RunEventWriter(bytes: base + offset)
        writer.write(event, &context)
        return offset + writer.count
    }

    private init(bytes: UnsafeMutableRawPointer) { self.bytes = bytes }

    @inline(__always)
    private mutating func write(_ event: RunEvent, _ context: inout RunEventEncoding.Context) {
        let difference = Int64(bitPattern: event.time &- context.time)
        context.time = event.time
        varint(UInt64(bitPattern: (difference << 1) ^ (difference >> 63)))
        var tag: UInt8
        switch event.kind {
        case .runStarted(let seed):
            tag = Tag.runStarted
            varint(seed)
        case .mapExpanded(let task, let elements):
            tag = Tag.mapExpanded | self.task(task, &context)
            varint(UInt64(elements))
        case .taskReady(let task, let attempt):
            varint(RunEventEncoding.Rare.taskReady)
            tag = Tag.rare | self.task(task, &context) | self.attempt(attempt)
        case .taskStarted(let task, let attempt, let slot, let variant) where variant > 0:
            varint(RunEventEncoding.Rare.variantStarted)
            tag = Tag.rare | self.task(task, &context) | self.attempt(attempt) | self.slot(slot, &context)
            varint(UInt64(variant))
        case .taskStarted(let task, let attempt, let slot, _):
            tag = Tag.taskStarted | self.task(task, &context) | self.attempt(attempt) | self.slot(slot, &context)
        case .taskFinished(let task, let attempt, let slot, let nanoseconds, let size):
            tag = Tag.taskFinished | self.task(task, &context) | self.attempt(attempt) | self.slot(slot, &context)
            varint(nanoseconds)
            varint(size)
        case .taskFailed(let task, let attempt, let ended, let final, let retryAfter):
            tag = Tag.taskFailed | self.task(task, &context) | self.attempt(attempt)
            varint(UInt64(ended.rawValue) << 1 | (final ? 1 : 0))
            varint(retryAfter)
        case .taskSkipped(let task, let reason):
            tag = Tag.taskSkipped | self.task(task, &context)
            varint(UInt64(reason.rawValue))
        case .runPaused:
            tag = Tag.rare
            varint(RunEventEncoding.Rare.runPaused)
        case .runResumed:
            tag = Tag.rare
            varint(RunEventEncoding.Rare.runResumed)
        case .runFinished(let ok):
            tag = Tag.runFinished
            varint(ok ? 1 : 0)
        }
        bytes.storeBytes(of: tag, as: UInt8.self)
    }

    @inline(__always) private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: count, as: UInt8.self)
            count += 1
            rest >>= 7
        }
        bytes.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: count, as: UInt8.self)
        count += 1
    }

    @inline(__always)
    private mutating func task(_ task: TaskID, _ context: inout RunEventEncoding.Context) -> UInt8 {
        let before = context.task
        context.task = task.rawValue
        if task.rawValue == before { return Tag.sameTask }
        if task.rawValue == before &+ 1 { return Tag.nextTask }
        let difference = Int64(task.rawValue) - Int64(before)
        varint(UInt64(bitPattern: (difference << 1) ^ (difference >> 63)))
        return 0
    }

    @inline(__always) private mutating func attempt(_ attempt: UInt16) -> UInt8 {
        if attempt == 1 { return Tag.firstAttempt }
        varint(UInt64(attempt))
        return 0
    }

    @inline(__always)
    private mutating func slot(_ slot: UInt16, _ context: inout RunEventEncoding.Context) -> UInt8 {
        if slot == context.slot { return Tag.sameSlot }
        context.slot = slot
        varint(UInt64(slot))
        return 0
    }
}
