import HandoutCore
import Testing

@Suite struct RunEventEncodingTests {
    private func randomEvents(_ count: Int, seed: UInt64) -> [RunEvent] {
        var random = SplitMix64(seed: seed)
        var time: UInt64 = 0
        func wide(_ random: inout SplitMix64) -> UInt64 { random.next() >> UInt64(random.below(64)) }
        return (0..<count).map { _ in
            time = random.chance(0.02) ? wide(&random) : time &+ UInt64(random.below(100_000))
            let task = TaskID(rawValue: UInt32(truncatingIfNeeded: wide(&random)))
            let attempt = random.chance(0.5) ? 1 : UInt16(truncatingIfNeeded: wide(&random))
            let slot = UInt16(truncatingIfNeeded: wide(&random))
            let kind: RunEvent.Kind =
                switch random.below(11) {
                case 0: .runStarted(seed: wide(&random))
                case 1: .mapExpanded(task, elements: UInt32(truncatingIfNeeded: wide(&random)))
                case 2: .taskStarted(task, attempt: attempt, slot: slot)
                case 8: .taskReady(task, attempt: attempt)
                case 9:
                    .taskStarted(task, attempt: attempt, slot: slot, variant: UInt8(truncatingIfNeeded: wide(&random)))
                case 3:
                    .taskFinished(
                        task, attempt: attempt, slot: slot, nanoseconds: wide(&random), bytes: wide(&random))
                case 4:
                    .taskFailed(
                        task, attempt: attempt, ended: Ended.allCases[random.below(Ended.allCases.count)],
                        final: random.chance(0.5), retryAfter: wide(&random))
                case 5: .taskSkipped(task, SkipReason.allCases[random.below(2)])
                case 6: .runPaused
                case 7: .runResumed
                default: .runFinished(ok: random.chance(0.5))
                }
            return RunEvent(time: time, kind: kind)
        }
    }

    private func encoded(_ events: [RunEvent], segmentBytes: Int = 64 << 10) -> [UInt8] {
        var encoder = RunEventEncoder(segmentBytes: segmentBytes)
        for event in events { encoder.append(event) }
        return encoder.takeBytes()
    }

    @Test(arguments: [1, 100, 64 << 10])
    func `random events come back as they were, whatever the segment size`(segmentBytes: Int) throws {
        for seed in 0..<UInt64(20) {
            let events = randomEvents(300, seed: seed)
            #expect(try RunEventEncoding.decode(encoded(events, segmentBytes: segmentBytes)) == events)
        }
    }

    @Test func `events at once give the bytes of events one by one`() {
        let events = randomEvents(2_000, seed: 5)
        var encoder = RunEventEncoder(segmentBytes: 512)
        encoder.append(contentsOf: Array(events[..<700]))
        encoder.append(contentsOf: Array(events[700...]))
        #expect(encoder.takeBytes() == encoded(events, segmentBytes: 512))
    }

    @Test func `an encoder goes on after its bytes were taken`() throws {
        let events = randomEvents(20, seed: 3)
        var encoder = RunEventEncoder()
        var bytes: [UInt8] = []
        for event in events {
            encoder.append(event)
            bytes += encoder.takeBytes()
        }
        #expect(try RunEventEncoding.decode(bytes) == events)
        #expect(encoder.takeBytes().isEmpty)
    }

    @Test func `a stream cut at any byte is refused, but between segments`() throws {
        let events = randomEvents(60, seed: 1)
        let bytes = encoded(events, segmentBytes: 200)
        var whole = 0
        for length in 0..<bytes.count {
            do {
                let some = try RunEventEncoding.decode(Array(bytes[..<length]))
                #expect(some == Array(events[..<some.count]))
                whole += 1
            } catch {
                #expect(error.code == .truncated)
            }
        }
        #expect(whole > 1 && whole < 10)
    }

    @Test func `a stream with any one bit changed is refused`() {
        let bytes = encoded(randomEvents(40, seed: 2))
        for bit in 0..<bytes.count * 8 {
            var changed = bytes
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: RunEventError.self) { try RunEventEncoding.decode(changed) }
        }
    }

    @Test func `bytes with a right checksum and no sense are refused without a trap`() {
        var random = SplitMix64(seed: 9)
        for _ in 0..<3_000 {
            let payload = (0..<random.below(40)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            // Refused or read: it has to come back.
            _ = try? RunEventEncoding.decode(RunEventEncoding.segment(payload: payload))
        }
        #expect(throws: RunEventError.self) { try RunEventEncoding.decode(RunEventEncoding.segment(payload: [0x87])) }
        let endless: [UInt8] = [0] + Array(repeating: 0xFF, count: 30)
        #expect(throws: RunEventError.self) { try RunEventEncoding.decode(RunEventEncoding.segment(payload: endless)) }
    }

    @Test func `a torn last segment costs only itself`() throws {
        let events = randomEvents(60, seed: 1)
        let bytes = encoded(events, segmentBytes: 200)
        let torn = Array(bytes.dropLast(3))
        var read: [RunEvent] = []
        var offset = 0
        while let next = try? RunEventEncoding.decodeSegment(torn, at: offset, into: &read) { offset = next }
        #expect(!read.isEmpty && read == Array(events[..<read.count]))
    }

    @Test func `errors say what was expected and where`() {
        func message(_ bytes: [UInt8]) -> String? {
            do {
                _ = try RunEventEncoding.decode(bytes)
                return nil
            } catch {
                return error.description
            }
        }
        var bytes = encoded([RunEvent(time: 1, kind: .runStarted(seed: 1))])
        #expect(message(Array(bytes[..<5])) == "run events, byte 0: segment header needs 12 bytes")
        #expect(message(bytes + [0x50] + bytes) == "run events, byte 15: expected a segment of run events")
        bytes[2] = 9
        #expect(message(bytes) == "run events, byte 0: version 9.0, this program reads 1.0")
        bytes[2] = 1
        bytes[14] ^= 1
        #expect(message(bytes) == "run events, byte 0: checksum does not match")
    }

    @Test func `start and end of a trivial task take at most ten bytes`() {
        var encoder = RunEventEncoder()
        for task in 0..<1_000 {
            let time = UInt64(task) * 300
            encoder.append(
                RunEvent(time: time, kind: .taskStarted(TaskID(task), attempt: 1, slot: UInt16(task / 64 % 2))))
            encoder.append(
                RunEvent(
                    time: time + 200,
                    kind: .taskFinished(
                        TaskID(task), attempt: 1, slot: UInt16(task / 64 % 2), nanoseconds: 150, bytes: 9)))
        }
        #expect(encoder.takeBytes().count <= 10_000)
    }

    @Test func `the checksum is that of zlib`() {
        let text = Array("123456789".utf8)
        #expect(text.withUnsafeBytes { CRC32.checksum($0) } == 0xCBF4_3926)
        #expect(CRC32.checksum(UnsafeRawBufferPointer(start: nil, count: 0)) == 0)
    }
}
