import LuaRuntime

/// A `Value` that cannot be handed to Lua: one with a nil in a list, a key that Lua does not have, or too deep.
public struct ValueError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Where and what: `value.rows[2]: a list has no nil`.
    public var message: String
    public var description: String { message }
}

extension Value {
    /// Tables nest at most this deep.
    static let depthLimit = 200

    /// The value in the form in which it crosses to Lua.
    func encoded() throws(ValueError) -> EncodedValue {
        var writer = ValueWriter()
        try writer.append(self, depth: 0)
        return EncodedValue(bytes: writer.bytes)
    }

    /// The value as JSON text, as `handout-lua run` prints it (`lua-api.md`, section 11); `indent` spaces a level, 0: one
    /// line.
    ///
    /// - Throws: `ValueError` when the value has no such form, such as a table in which two keys become the same text.
    public func json(indent: Int = 0) throws(ValueError) -> String {
        let encoded = try encoded()
        do { return String(decoding: try encoded.json(indent: indent), as: UTF8.self) } catch {
            throw ValueError(message: error.message)
        }
    }
}

extension Value: CustomStringConvertible {
    /// JSON text, or what is wrong with the value.
    public var description: String {
        do { return try json() } catch { return "(\(error.message))" }
    }
}

/// Writes values as MessagePack in the one form that each has (`handout_value.h`).
private struct ValueWriter {
    var bytes: [UInt8] = []
    /// The way to the value that is written, for messages.
    private var path: [String] = []

    mutating func append(_ value: Value, depth: Int) throws(ValueError) {
        switch value {
        case .null: bytes.append(0xC0)
        case .boolean(let value): bytes.append(value ? 0xC3 : 0xC2)
        case .integer(let value): append(value)
        case .float(let value): append(value)
        case .string(let text): append(text.utf8)
        case .bytes(let text): append(text)
        case .list(let elements): try append(elements, depth: depth)
        case .table(let entries): try append(entries, depth: depth)
        }
    }

    private func failure(_ what: String) -> ValueError { ValueError(message: "value\(path.joined()): \(what)") }

    private mutating func append(big value: UInt64, width: Int) {
        for place in (0..<width).reversed() { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * UInt64(place)))) }
    }

    private mutating func append(_ value: Int) {
        let bits = UInt64(bitPattern: Int64(value))
        if value >= -32 && value < 128 { return bytes.append(UInt8(truncatingIfNeeded: value)) }
        let width = value >= 0 ? ValueWriter.width(bits) : ValueWriter.width(ofNegative: value)
        bytes.append((value >= 0 ? 0xCC : 0xD0) + UInt8(width.trailingZeroBitCount))
        append(big: bits, width: width)
    }

    private static func width(_ bits: UInt64) -> Int {
        bits <= 0xFF ? 1 : bits <= 0xFFFF ? 2 : bits <= 0xFFFF_FFFF ? 4 : 8
    }

    private static func width(ofNegative value: Int) -> Int {
        value >= Int(Int8.min) ? 1 : value >= Int(Int16.min) ? 2 : value >= Int(Int32.min) ? 4 : 8
    }

    private mutating func append(_ value: Double) {
        bytes.append(0xCB)
        append(big: value.isNaN ? 0x7FF8_0000_0000_0000 : value.bitPattern, width: 8)
    }

    private mutating func append(_ text: some Collection<UInt8>) {
        let count = text.count
        if count < 32 {
            bytes.append(0xA0 | UInt8(count))
        } else if count <= 0xFF {
            bytes += [0xD9, UInt8(count)]
        } else {
            bytes.append(count <= 0xFFFF ? 0xDA : 0xDB)
            append(big: UInt64(count), width: count <= 0xFFFF ? 2 : 4)
        }
        bytes += text
    }

    private mutating func append(header fix: UInt8, _ wide: UInt8, _ count: Int) {
        if count < 16 { return bytes.append(fix | UInt8(count)) }
        bytes.append(count <= 0xFFFF ? wide : wide + 1)
        append(big: UInt64(count), width: count <= 0xFFFF ? 2 : 4)
    }

    private mutating func append(_ elements: [Value], depth: Int) throws(ValueError) {
        guard depth < Value.depthLimit else { throw failure("nested deeper than \(Value.depthLimit) tables") }
        append(header: 0x90, 0xDC, elements.count)
        for (index, element) in elements.enumerated() {
            path.append("[\(index + 1)]")
            guard !element.isNull else { throw failure("a list has no nil") }
            try append(element, depth: depth + 1)
            path.removeLast()
        }
    }

    private mutating func append(_ entries: [Value: Value], depth: Int) throws(ValueError) {
        guard depth < Value.depthLimit else { throw failure("nested deeper than \(Value.depthLimit) tables") }
        var keyed: [(key: TableKey, value: Value)] = []
        for (key, value) in entries where !value.isNull {
            guard let key = TableKey(key) else { throw failure("\(key) cannot be a key of a table") }
            keyed.append((key, value))
        }
        keyed.sort { $0.key < $1.key }
        for (left, right) in zip(keyed, keyed.dropFirst()) where left.key == right.key {
            throw failure("two keys are \(left.key.value)")
        }
        let isList = keyed.enumerated().allSatisfy { $0.element.key == .integer($0.offset + 1) }
        append(header: isList ? 0x90 : 0x80, isList ? 0xDC : 0xDE, keyed.count)
        for (key, value) in keyed {
            path.append(key.shown)
            if !isList { try append(key.value, depth: depth) }
            try append(value, depth: depth + 1)
            path.removeLast()
        }
    }
}

/// A key as Lua has it, in the order in which keys are written: numbers ascending, strings bytewise, false, true.
private enum TableKey: Comparable {
    case integer(Int)
    case float(Double)
    case text([UInt8])
    case boolean(Bool)

    /// Nil for what cannot be a key. A float with the value of an integer is that integer.
    init?(_ key: Value) {
        switch key {
        case .integer(let value): self = .integer(value)
        case .float(let value):
            if value.isNaN { return nil }
            self = Int(exactly: value).map { .integer($0) } ?? .float(value)
        case .string, .bytes: self = .text(key.bytesValue ?? [])
        case .boolean(let value): self = .boolean(value)
        default: return nil
        }
    }

    var value: Value {
        switch self {
        case .integer(let value): .integer(value)
        case .float(let value): .float(value)
        case .text(let bytes): String(validating: bytes, as: UTF8.self).map { .string($0) } ?? .bytes(bytes)
        case .boolean(let value): .boolean(value)
        }
    }

    var shown: String {
        if case .text(let bytes) = self { return ".\(String(decoding: bytes, as: UTF8.self))" }
        return "[\(value)]"
    }

    private var rank: Int {
        switch self {
        case .integer, .float: 0
        case .text: 1
        case .boolean: 2
        }
    }

    static func < (left: TableKey, right: TableKey) -> Bool {
        switch (left, right) {
        case (.integer(let left), .integer(let right)): left < right
        case (.float(let left), .float(let right)): left < right
        case (.integer(let left), .float(let right)): !isAbove(left, right)
        case (.float(let left), .integer(let right)): isAbove(right, left)
        case (.text(let left), .text(let right)): left.lexicographicallyPrecedes(right)
        case (.boolean(let left), .boolean(let right)): !left && right
        default: left.rank < right.rank
        }
    }

    /// The float is no integer, so the two are never equal.
    private static func isAbove(_ integer: Int, _ number: Double) -> Bool {
        if number >= 0x1p63 { return false }
        if number < -0x1p63 { return true }
        let whole = Int(number)  // towards zero
        return integer == whole ? number < 0 : integer > whole
    }
}
