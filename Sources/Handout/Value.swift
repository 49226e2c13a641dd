/// Plain data, as Lua scripts and the embedding program exchange it.
///
/// Lua's strings are bytes: those that are UTF-8 arrive as `string`, all others as `bytes`, and equal bytes are equal
/// values, whichever case holds them. Strings are compared byte by byte, not by Unicode equivalence. Integers and floats
/// are kept apart, as in Lua.
///
/// ```swift
/// let customer: Value = ["name": "Ada", "orders": [17, 23], "credit": 12.5, "active": true]
/// ```
public enum Value: Sendable {
    /// Lua's nil. Not inside a list; in a table its key is left out.
    case null
    case boolean(Bool)
    case integer(Int)
    case float(Double)
    case string(String)
    /// A byte string.
    case bytes([UInt8])
    /// A table with the keys 1…n. The empty table is a list.
    case list([Value])
    /// Any other table. Keys are booleans, numbers and strings. A table whose keys are 1…n arrives as a list, and an
    /// empty one too.
    case table([Value: Value])
}

extension Value: Hashable {
    public static func == (left: Value, right: Value) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.boolean(let left), .boolean(let right)): left == right
        case (.integer(let left), .integer(let right)): left == right
        case (.float(let left), .float(let right)): left == right
        case (.string(let left), .string(let right)): left.utf8.elementsEqual(right.utf8)
        case (.bytes(let left), .bytes(let right)): left == right
        case (.string(let left), .bytes(let right)): left.utf8.elementsEqual(right)
        case (.bytes(let left), .string(let right)): right.utf8.elementsEqual(left)
        case (.list(let left), .list(let right)): left == right
        case (.table(let left), .table(let right)): left == right
        default: false
        }
    }

    public func hash(into hasher: inout Hasher) {
        switch self {
        case .null: hasher.combine(0)
        case .boolean(let value): hasher.combine(value)
        case .integer(let value): hasher.combine(value)
        case .float(let value): hasher.combine(value)
        case .string(let text): Value.hash(text.utf8, into: &hasher)
        case .bytes(let bytes): Value.hash(bytes, into: &hasher)
        case .list(let elements): hasher.combine(elements)
        case .table(let entries): hasher.combine(entries)
        }
    }

    private static func hash(_ bytes: some Collection<UInt8>, into hasher: inout Hasher) {
        for byte in bytes { hasher.combine(byte) }
        hasher.combine(bytes.count)
    }
}

extension Value {
    /// A table with string keys.
    public init(_ members: [String: Value]) {
        self = .table(Dictionary(members.map { (.string($0), $1) }, uniquingKeysWith: { first, _ in first }))
    }

    public var boolValue: Bool? { if case .boolean(let value) = self { value } else { nil } }

    public var integerValue: Int? { if case .integer(let value) = self { value } else { nil } }

    /// A number: integers are converted.
    public var doubleValue: Double? {
        switch self {
        case .float(let value): value
        case .integer(let value): Double(value)
        default: nil
        }
    }

    /// A string that is UTF-8.
    public var stringValue: String? {
        switch self {
        case .string(let text): text
        case .bytes(let bytes): String(validating: bytes, as: UTF8.self)
        default: nil
        }
    }

    /// The bytes of a string.
    public var bytesValue: [UInt8]? {
        switch self {
        case .string(let text): Array(text.utf8)
        case .bytes(let bytes): bytes
        default: nil
        }
    }

    public var listValue: [Value]? { if case .list(let elements) = self { elements } else { nil } }

    public var isNull: Bool { self == .null }

    /// The member `key` of a table; nil when there is none, or when the value is no table.
    public subscript(key: String) -> Value? {
        if case .table(let entries) = self { entries[.string(key)] } else { nil }
    }

    /// The element of a list, counted from 0; nil when there is none, or when the value is no list.
    public subscript(index: Int) -> Value? {
        guard case .list(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }
}

extension Value: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByStringLiteral, ExpressibleByStringInterpolation, ExpressibleByArrayLiteral,
    ExpressibleByDictionaryLiteral
{
    public init(booleanLiteral value: Bool) { self = .boolean(value) }
    public init(integerLiteral value: Int) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .float(value) }
    public init(stringLiteral value: String) { self = .string(value) }
    public init(arrayLiteral elements: Value...) { self = .list(elements) }
    /// Of repeated keys the last counts.
    public init(dictionaryLiteral elements: (Value, Value)...) {
        self = .table(Dictionary(elements, uniquingKeysWith: { _, last in last }))
    }
}
