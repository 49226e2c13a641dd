import Crypto

/// A SHA-256.
package struct Fingerprint: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// The hash of `bytes`.
    package init(hashing bytes: [UInt8]) {
        self = bytes.withUnsafeBytes { Fingerprint(hashing: $0) }
    }

    /// The hash of `bytes`.
    package init(hashing bytes: UnsafeRawBufferPointer) {
        var hash = SHA256()
        hash.update(bufferPointer: bytes)
        hash.finalize().withUnsafeBytes { digest in
            withUnsafeMutableBytes(of: &words) { $0.copyMemory(from: digest) }
        }
    }

    /// The hash whose 32 bytes these are; nil when they are not 32.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 32 else { return nil }
        withUnsafeMutableBytes(of: &words) { $0.copyBytes(from: bytes) }
    }

    package var bytes: [UInt8] { withUnsafeBytes { [UInt8]($0) } }

    package func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        Swift.withUnsafeBytes(of: words, body)
    }

    /// 64 hexadecimal digits.
    package var description: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(64)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    package static func == (left: Fingerprint, right: Fingerprint) -> Bool { left.words == right.words }
    package func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
}

extension [UInt8] {
    /// Appends the 32 bytes of `fingerprint`.
    mutating func append(_ fingerprint: Fingerprint) {
        fingerprint.withUnsafeBytes { append(contentsOf: $0) }
    }

    /// Appends `number` as four bytes, the lowest first.
    mutating func append(number: Int) {
        Swift.withUnsafeBytes(of: UInt32(truncatingIfNeeded: number).littleEndian) { append(contentsOf: $0) }
    }

    /// Appends `bytes` after their number.
    mutating func append(counted bytes: some Collection<UInt8>) {
        append(number: bytes.count)
        append(contentsOf: bytes)
    }
}
