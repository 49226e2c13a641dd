/// Reads the events of one segment's payload. Never traps, whatever the bytes are.
struct RunEventReader {
    private typealias Tag = RunEventEncoding.Tag
    private let bytes: [UInt8]
    private(set) var offset: Int
    let end: Int
    private var start = 0
    private var context = RunEventEncoding.Context()

    /// Requires `offset ..< end` to lie within `bytes`.
    init(bytes: [UInt8], offset: Int, end: Int) {
        precondition(offset >= 0 && offset <= end && end <= bytes.count)
        self.bytes = bytes
        self.offset = offset
        self.end = end
    }

    mutating func event() throws(RunEventError) -> RunEvent {
        start = offset
        let tag = try byte()
        guard tag & Tag.unused == 0 else { throw malformed("unknown flag") }
        context.time &+= UInt64(bitPattern: try signed())
        switch tag & Tag.kindMask {
        case Tag.runStarted:
            try refuseFlags(tag, allowed: 0)
            return made(.runStarted(seed: try varint()))
        case Tag.mapExpanded:
            try refuseFlags(tag, allowed: Tag.taskMask)
            return made(.mapExpanded(try task(tag), elements: try number("element count")))
        case Tag.taskStarted:
            return made(.taskStarted(try task(tag), attempt: try attempt(tag), slot: try slot(tag)))
        case Tag.taskFinished:
            let task = try task(tag), attempt = try attempt(tag), slot = try slot(tag)
            return made(
                .taskFinished(task, attempt: attempt, slot: slot, nanoseconds: try varint(), bytes: try varint()))
        case Tag.taskFailed:
            try refuseFlags(tag, allowed: Tag.taskMask | Tag.firstAttempt)
            let task = try task(tag), attempt = try attempt(tag)
            let word: UInt8 = try number("end of an attempt")
            guard let ended = Ended(rawValue: word >> 1) else { throw malformed("unknown end of an attempt") }
            return made(
                .taskFailed(task, attempt: attempt, ended: ended, final: word & 1 == 1, retryAfter: try varint()))
        case Tag.taskSkipped:
            try refuseFlags(tag, allowed: Tag.taskMask)
            let task = try task(tag)
            guard let reason = SkipReason(rawValue: try number("reason")) else { throw malformed("unknown reason") }
            return made(.taskSkipped(task, reason))
        case Tag.runFinished:
            try refuseFlags(tag, allowed: 0)
            let ok = try varint()
            guard ok <= 1 else { throw malformed("expected 0 or 1") }
            return made(.runFinished(ok: ok == 1))
        default: return try rare(tag)
        }
    }

    private mutating func rare(_ tag: UInt8) throws(RunEventError) -> RunEvent {
        switch try varint() {
        case RunEventEncoding.Rare.runPaused:
            try refuseFlags(tag, allowed: 0)
            return made(.runPaused)
        case RunEventEncoding.Rare.runResumed:
            try refuseFlags(tag, allowed: 0)
            return made(.runResumed)
        case RunEventEncoding.Rare.taskReady:
            try refuseFlags(tag, allowed: Tag.taskMask | Tag.firstAttempt)
            return made(.taskReady(try task(tag), attempt: try attempt(tag)))
        case RunEventEncoding.Rare.variantStarted:
            let task = try task(tag), attempt = try attempt(tag), slot = try slot(tag)
            let variant: UInt8 = try number("variant")
            guard variant > 0 else { throw malformed("variant out of range") }
            return made(.taskStarted(task, attempt: attempt, slot: slot, variant: variant))
        default: throw malformed("unknown kind of event")
        }
    }

    private func made(_ kind: RunEvent.Kind) -> RunEvent { RunEvent(time: context.time, kind: kind) }

    private func malformed(_ message: String) -> RunEventError { RunEventError(.malformed, start, message) }

    private func refuseFlags(_ tag: UInt8, allowed: UInt8) throws(RunEventError) {
        guard tag & ~(Tag.kindMask | allowed) == 0 else { throw malformed("unknown flag") }
    }

    private mutating func byte() throws(RunEventError) -> UInt8 {
        guard offset < end else { throw RunEventError(.truncated, start, "event ends early") }
        defer { offset += 1 }
        return bytes[offset]
    }

    private mutating func varint() throws(RunEventError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let next = try byte()
            // The tenth byte holds the last bit of 64.
            guard shift < 63 || next <= 1 else { throw malformed("number above 64 bits") }
            value |= UInt64(next & 0x7F) << shift
            if next & 0x80 == 0 { return value }
            shift += 7
        }
    }

    private mutating func signed() throws(RunEventError) -> Int64 {
        let value = try varint()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    private mutating func number<Number: FixedWidthInteger>(_ what: String) throws(RunEventError) -> Number {
        guard let value = Number(exactly: try varint()) else { throw malformed("\(what) out of range") }
        return value
    }

    private mutating func task(_ tag: UInt8) throws(RunEventError) -> TaskID {
        switch tag & Tag.taskMask {
        case Tag.sameTask: break
        case Tag.nextTask: context.task &+= 1
        case 0:
            let (sum, overflow) = Int64(context.task).addingReportingOverflow(try signed())
            guard !overflow, let task = UInt32(exactly: sum) else { throw malformed("task out of range") }
            context.task = task
        default: throw malformed("unknown flag")
        }
        return TaskID(rawValue: context.task)
    }

    private mutating func attempt(_ tag: UInt8) throws(RunEventError) -> UInt16 {
        tag & Tag.firstAttempt != 0 ? 1 : try number("attempt")
    }

    private mutating func slot(_ tag: UInt8) throws(RunEventError) -> UInt16 {
        if tag & Tag.sameSlot == 0 { context.slot = try number("slot") }
        return context.slot
    }
}
