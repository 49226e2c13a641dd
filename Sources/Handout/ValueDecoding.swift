package import LuaRuntime

extension Value {
    /// Reads an encoded value. Nil for bytes that are none, or that more bytes follow.
    package init?(encoded: EncodedValue) {
        var reader = ValueReader(encoded.bytes)
        guard let value = reader.value(depth: 0), reader.isAtEnd else { return nil }
        self = value
    }

    /// Reads encoded values that stand one after the other. Nil for bytes that are none.
    static func sequence(_ bytes: UnsafeBufferPointer<UInt8>) -> [Value]? {
        var reader = ValueReader(Array(bytes))
        var values: [Value] = []
        while !reader.isAtEnd {
            guard let value = reader.value(depth: 0) else { return nil }
            values.append(value)
        }
        return values
    }
}

/// Reads MessagePack as `ValueWriter` and the C side write it.
private struct ValueReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    mutating func value(depth: Int) -> Value? {
        guard depth <= Value.depthLimit + 50, let first = number(1) else { return nil }
        switch first {
        case 0x00...0x7F: return .integer(Int(first))
        case 0x80...0x8F: return table(Int(first & 15), depth)
        case 0x90...0x9F: return list(Int(first & 15), depth)
        case 0xA0...0xBF: return text(Int(first & 31))
        case 0xE0...0xFF: return .integer(Int(Int8(truncatingIfNeeded: first)))
        default: return wide(first, depth)
        }
    }

    private mutating func wide(_ first: UInt64, _ depth: Int) -> Value? {
        switch first {
        case 0xC0: return .null
        case 0xC2: return .boolean(false)
        case 0xC3: return .boolean(true)
        case 0xCB: return number(8).map { .float(Double(bitPattern: $0)) }
        case 0xCC...0xCF: return number(1 << Int(first - 0xCC)).flatMap { Int(exactly: $0) }.map { .integer($0) }
        case 0xD0: return number(1).map { .integer(Int(Int8(truncatingIfNeeded: $0))) }
        case 0xD1: return number(2).map { .integer(Int(Int16(truncatingIfNeeded: $0))) }
        case 0xD2: return number(4).map { .integer(Int(Int32(truncatingIfNeeded: $0))) }
        case 0xD3: return number(8).map { .integer(Int(Int64(bitPattern: $0))) }
        case 0xD9...0xDB: return number(1 << Int(first - 0xD9)).flatMap { text(Int($0)) }
        case 0xDC, 0xDD: return number(first == 0xDC ? 2 : 4).flatMap { list(Int($0), depth) }
        case 0xDE, 0xDF: return number(first == 0xDE ? 2 : 4).flatMap { table(Int($0), depth) }
        default: return nil
        }
    }

    private mutating func number(_ width: Int) -> UInt64? {
        guard bytes.count - position >= width else { return nil }
        var value: UInt64 = 0
        for byte in bytes[position..<position + width] { value = value << 8 | UInt64(byte) }
        position += width
        return value
    }

    private mutating func text(_ count: Int) -> Value? {
        guard bytes.count - position >= count else { return nil }
        let text = bytes[position..<position + count]
        position += count
        return String(validating: text, as: UTF8.self).map { .string($0) } ?? .bytes(Array(text))
    }

    private mutating func list(_ count: Int, _ depth: Int) -> Value? {
        // Every element takes a byte at least: a count that cannot be true allocates nothing.
        guard bytes.count - position >= count else { return nil }
        var elements: [Value] = []
        elements.reserveCapacity(count)
        for _ in 0..<count {
            guard let element = value(depth: depth + 1) else { return nil }
            elements.append(element)
        }
        return .list(elements)
    }

    private mutating func table(_ count: Int, _ depth: Int) -> Value? {
        guard (bytes.count - position) / 2 >= count else { return nil }
        var entries: [Value: Value] = [:]
        entries.reserveCapacity(count)
        for _ in 0..<count {
            guard let key = value(depth: depth + 1), let element = value(depth: depth + 1) else { return nil }
            entries[key] = element
        }
        return .table(entries)
    }
}
