/// The CRC-32 of zlib and gzip.
package enum CRC32 {
    /// Table `k` moves a byte `k` places further on, so that eight bytes are taken in a step.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for index in 0..<256 {
            var value = UInt32(index)
            for _ in 0..<8 { value = value & 1 == 1 ? (value >> 1) ^ 0xEDB8_8320 : value >> 1 }
            tables[index] = value
        }
        for index in 256..<8 * 256 {
            let value = tables[index - 256]
            tables[index] = (value >> 8) ^ tables[Int(value & 0xFF)]
        }
        return tables
    }()

    /// O(bytes).
    package static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        tables.withUnsafeBufferPointer { tables in
            var value: UInt32 = 0xFFFF_FFFF
            var offset = 0
            while bytes.count - offset >= 8 {
                let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                var rest = word ^ UInt64(value)
                value = 0
                for table in stride(from: 7, through: 0, by: -1) {
                    value ^= tables[table << 8 | Int(UInt8(truncatingIfNeeded: rest))]
                    rest >>= 8
                }
                offset += 8
            }
            for byte in bytes[offset...] { value = (value >> 8) ^ tables[Int(UInt8(truncatingIfNeeded: value) ^ byte)] }
            return ~value
        }
    }
}
