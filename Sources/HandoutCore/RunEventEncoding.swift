/// The one encoding of run events: journal, wire, `--events` and the simulator's log.
///
/// A stream is a row of segments, each complete in itself: 12 bytes of header (`HE`, version, zero, length and CRC-32
/// as little-endian words; the sum covers version, length and payload), then the events. An event is a tag byte and
/// what the tag does not say:
///
/// ```
/// bits 0-2 kind   bit 3 attempt is 1   bit 4 slot as before   bits 5-6 task: 0 written, 1 as before, 2 one more
/// time: zigzag of the difference to the event before; then task, attempt, slot, and the kind's own fields as varints
/// ```
package enum RunEventEncoding {
    package static let version: UInt8 = 1
    package static let headerBytes = 12
    /// No segment is longer; a reader refuses a longer one before it reads on.
    package static let segmentLimit = 1 << 24
    static let magic: (UInt8, UInt8) = (0x48, 0x45)

    enum Tag {
        static let runStarted: UInt8 = 0
        static let mapExpanded: UInt8 = 1
        static let taskStarted: UInt8 = 2
        static let taskFinished: UInt8 = 3
        static let taskFailed: UInt8 = 4
        static let taskSkipped: UInt8 = 5
        static let runFinished: UInt8 = 6
        /// One of `Rare` follows.
        static let rare: UInt8 = 7
        static let kindMask: UInt8 = 0x07
        static let firstAttempt: UInt8 = 0x08
        static let sameSlot: UInt8 = 0x10
        static let sameTask: UInt8 = 0x20
        static let nextTask: UInt8 = 0x40
        static let taskMask: UInt8 = 0x60
        static let unused: UInt8 = 0x80
    }

    enum Rare {
        static let runPaused: UInt64 = 0
        static let runResumed: UInt64 = 1
        static let taskReady: UInt64 = 2
        /// As `Tag.taskStarted`, and the variant.
        static let variantStarted: UInt64 = 3
    }

    /// What the differences refer to; fresh at the start of each segment.
    struct Context: BitwiseCopyable {
        var time: UInt64 = 0
        var task: UInt32 = 0
        var slot: UInt16 = 0
    }

    /// All events of a stream of whole segments.
    package static func decode(_ bytes: [UInt8]) throws(RunEventError) -> [RunEvent] {
        var events: [RunEvent] = []
        var offset = 0
        while offset < bytes.count { offset = try decodeSegment(bytes, at: offset, into: &events) }
        return events
    }

    /// Appends the events of the segment that begins at `offset` and returns where the next one begins.
    ///
    /// Nothing is appended when the segment is refused, so that a journal's last, torn segment costs only itself.
    package static func decodeSegment(
        _ bytes: [UInt8], at offset: Int, into events: inout [RunEvent]
    ) throws(RunEventError) -> Int {
        guard offset >= 0, offset <= bytes.count, bytes.count - offset >= headerBytes else {
            throw RunEventError(.truncated, offset, "segment header needs \(headerBytes) bytes")
        }
        guard bytes[offset] == magic.0, bytes[offset + 1] == magic.1 else {
            throw RunEventError(.notEvents, offset, "expected a segment of run events")
        }
        guard bytes[offset + 2] == version, bytes[offset + 3] == 0 else {
            throw RunEventError(
                .version, offset, "version \(bytes[offset + 2]).\(bytes[offset + 3]), this program reads \(version).0")
        }
        let length = Int(word(bytes, offset + 4))
        guard length <= segmentLimit else {
            throw RunEventError(.tooLong, offset, "segment of \(length) bytes, at most \(segmentLimit) are read")
        }
        let start = offset + headerBytes
        guard bytes.count - start >= length else {
            throw RunEventError(.truncated, offset, "segment of \(length) bytes, \(bytes.count - start) are there")
        }
        let sum = bytes.withUnsafeBytes {
            checksum(version: version, payload: UnsafeRawBufferPointer(rebasing: $0[start..<start + length]))
        }
        guard sum == word(bytes, offset + 8) else {
            throw RunEventError(.checksum, offset, "checksum does not match")
        }
        var reader = RunEventReader(bytes: bytes, offset: start, end: start + length)
        let before = events.count
        do {
            while reader.offset < reader.end { events.append(try reader.event()) }
        } catch {
            events.removeSubrange(before...)
            throw error
        }
        return start + length
    }

    /// A segment around a payload that may be anything: for tests of readers.
    package static func segment(payload: [UInt8]) -> [UInt8] {
        let sum = payload.withUnsafeBytes { checksum(version: version, payload: $0) }
        let words = [UInt32(payload.count), sum].flatMap { word in
            (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) }
        }
        return [magic.0, magic.1, version, 0] + words + payload
    }

    static func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        UInt32(bytes[offset]) | UInt32(bytes[offset + 1]) << 8 | UInt32(bytes[offset + 2]) << 16
            | UInt32(bytes[offset + 3]) << 24
    }

    static func checksum(version: UInt8, payload: UnsafeRawBufferPointer) -> UInt32 {
        // Version and length are mixed in without copying the payload behind them.
        CRC32.checksum(payload) ^ UInt32(truncatingIfNeeded: payload.count) &* 0x9E37_79B1 ^ UInt32(version) << 24
    }
}

/// Why bytes were refused as run events.
package struct RunEventError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: String, Sendable {
        case truncated, notEvents, version, tooLong, checksum, malformed
    }

    package let code: Code
    /// Byte at which the segment or the event begins.
    package let offset: Int
    package let message: String

    init(_ code: Code, _ offset: Int, _ message: String) {
        self.code = code
        self.offset = offset
        self.message = message
    }

    package var description: String { "run events, byte \(offset): \(message)" }
}
