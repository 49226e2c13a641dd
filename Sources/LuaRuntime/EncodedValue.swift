package import CLuaShim

/// A value of Lua's in encoded form: MessagePack in canonical order, so that equal values have equal bytes.
package struct EncodedValue: Sendable, Hashable {
    package var bytes: [UInt8]

    package init(bytes: [UInt8]) { self.bytes = bytes }

    /// Takes over what a C function appended.
    package init(draining buffer: inout handout_buffer) {
        bytes = [UInt8](UnsafeBufferPointer(start: buffer.data, count: buffer.length))
        handout_buffer_free(&buffer)
    }

    /// Reads one JSON text (RFC 8259).
    ///
    /// - Throws: `ValueError` with the position, what was expected and what came.
    package init(json text: [UInt8]) throws(ValueError) {
        var out = handout_buffer()
        var message = [CChar](repeating: 0, count: 256)
        let status = text.withUnsafeBytes { raw in
            handout_json_read(
                raw.baseAddress?.assumingMemoryBound(to: CChar.self), raw.count, &out, &message, message.count)
        }
        guard status == 0 else {
            handout_buffer_free(&out)
            throw ValueError(message: status == -2 ? string(message) : "not enough memory")
        }
        self.init(draining: &out)
    }

    /// The value as JSON text (`lua-api.md`, section 11); `indent` spaces a level, 0: one line.
    ///
    /// - Throws: `ValueError` when two keys become the same text.
    package func json(indent: Int = 0) throws(ValueError) -> [UInt8] {
        var out = handout_buffer()
        defer { handout_buffer_free(&out) }
        var message = [CChar](repeating: 0, count: 512)
        let status = handout_json_write(bytes, bytes.count, Int32(indent), &out, &message, message.count)
        guard status == 0 else { throw ValueError(message: status == -2 ? string(message) : "not enough memory") }
        return [UInt8](UnsafeBufferPointer(start: out.data, count: out.length))
    }

    /// The members of a table with string keys; nil for any other value.
    package var members: [(name: String, value: EncodedValue)]? {
        var offsets: UnsafeMutablePointer<UInt32>?
        var count: UInt32 = 0
        var keyed: Int32 = 0
        guard handout_value_elements(bytes, bytes.count, &offsets, &count, &keyed) == 0, let offsets else { return nil }
        defer { offsets.deallocate() }
        guard keyed == 1 || count == 0 else { return nil }
        return (0..<Int(count)).map { index in
            let entry = Array(bytes[Int(offsets[index])..<Int(offsets[index + 1])])
            var length = 0
            let key = handout_value_string(entry, entry.count, &length)
            let name = String(decoding: UnsafeBufferPointer(start: key, count: length), as: UTF8.self)
            return (name, EncodedValue(bytes: Array(entry.dropFirst(handout_value_size(entry, entry.count)))))
        }
    }

    /// The elements of a list; nil for any other value.
    package var elements: [EncodedValue]? {
        var offsets: UnsafeMutablePointer<UInt32>?
        var count: UInt32 = 0
        var keyed: Int32 = 0
        guard handout_value_elements(bytes, bytes.count, &offsets, &count, &keyed) == 0, let offsets else { return nil }
        defer { offsets.deallocate() }
        guard keyed == 0 else { return nil }
        return (0..<Int(count)).map { index in
            EncodedValue(bytes: Array(bytes[Int(offsets[index])..<Int(offsets[index + 1])]))
        }
    }

    /// An integer; nil for any other value.
    package var integer: Int64? {
        guard let first = bytes.first else { return nil }
        let rest = bytes.dropFirst()
        func unsigned(_ size: Int) -> UInt64? {
            rest.count == size ? rest.reduce(0) { $0 << 8 | UInt64($1) } : nil
        }
        switch first {
        case 0x00...0x7F: return Int64(first)
        case 0xE0...0xFF: return Int64(Int8(bitPattern: first))
        case 0xCC...0xCF: return unsigned(1 << Int(first - 0xCC)).flatMap { Int64(exactly: $0) }
        case 0xD0: return unsigned(1).map { Int64(Int8(truncatingIfNeeded: $0)) }
        case 0xD1: return unsigned(2).map { Int64(Int16(truncatingIfNeeded: $0)) }
        case 0xD2: return unsigned(4).map { Int64(Int32(truncatingIfNeeded: $0)) }
        case 0xD3: return unsigned(8).map { Int64(bitPattern: $0) }
        default: return nil
        }
    }

    /// The bytes of a string; nil for any other value.
    package var text: [UInt8]? {
        bytes.withUnsafeBufferPointer { bytes in
            var length = 0
            guard let text = handout_value_string(bytes.baseAddress, bytes.count, &length) else { return nil }
            return Array(UnsafeBufferPointer(start: text, count: length))
        }
    }
}

/// A value that could not be read or written.
package struct ValueError: Error, Sendable, Equatable, CustomStringConvertible {
    package var message: String
    package var description: String { message }
}

/// The text of a C string in an array.
package func string(_ text: [CChar]) -> String {
    String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
