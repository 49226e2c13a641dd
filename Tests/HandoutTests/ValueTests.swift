import LuaRuntime
import Testing

@testable import Handout

struct ValueTests {
    /// Some of every form, with the sizes at which MessagePack changes its headers.
    static let values: [Value] = {
        var values: [Value] = [.null, true, false, .list([]), "", .bytes([0xFF, 0]), .float(.infinity), 0.5, -0.0]
        for power in [0, 4, 5, 7, 8, 15, 16, 31, 32, 62] {
            for near in [-1, 0, 1] { values += [.integer(1 << power + near), .integer(-(1 << power) - near)] }
        }
        values += [.integer(.max), .integer(.min)]
        for count in [15, 16, 31, 32, 255, 256, 65_535, 65_536] {
            values.append(.string(String(repeating: "x", count: count)))
            values.append(.list(Array(repeating: true, count: count)))
            values.append(
                .table(Dictionary(uniqueKeysWithValues: (0..<count).map { (.string("k\($0)"), .integer($0)) })))
        }
        values.append(["a": ["b": [1, 2.5, "c"]], false: 1, 7: 2, 2.5: 3])
        return values
    }()

    @Test func `every value comes back as it was`() throws {
        for value in ValueTests.values {
            let encoded = try value.encoded()
            #expect(Value(encoded: encoded) == value)
        }
    }

    @Test func `tables with the keys of a list are lists, and keys without a value are left out`() throws {
        func round(_ value: Value) throws -> Value? { Value(encoded: try value.encoded()) }
        #expect(try round([1: "a", 2: "b"]) == ["a", "b"])
        #expect(try round([1.0: "a"]) == ["a"])
        #expect(try round(.table([:])) == .list([]))
        #expect(try round(["a": .null, "b": 1]) == ["b": 1])
    }

    @Test func `what Lua cannot hold is said with its place`() {
        func message(_ value: Value) -> String {
            do { return "\(try value.encoded().bytes)" } catch { return error.message }
        }
        #expect(message(["rows": [1, .null]]) == "value.rows[2]: a list has no nil")
        #expect(message(["a": .table([["x"]: 1])]) == "value.a: [\"x\"] cannot be a key of a table")
        #expect(message(.table([.float(.nan): 1])) == "value: {\"$float\":\"nan\"} cannot be a key of a table")
        #expect(message([1: "a", 1.0: "b"]) == "value: two keys are 1")
        var deep: Value = 1
        for _ in 0..<201 { deep = .list([deep]) }
        #expect(message(deep).hasSuffix("[1]: nested deeper than 200 tables"))
    }

    @Test func `strings are equal by their bytes`() {
        #expect(Value.string("abc") == .bytes([97, 98, 99]))
        #expect(Set<Value>(["abc", .bytes([97, 98, 99])]).count == 1)
        #expect(Value.string("e\u{301}") != .string("\u{E9}"))
        #expect(Value.table(["e\u{301}": 1, "\u{E9}": 2])["\u{E9}"] == 2)
        #expect(Value.integer(1) != .float(1))
    }

    @Test func `bytes that are no value are refused`() throws {
        for value in ValueTests.values.prefix(40) {
            let bytes = try value.encoded().bytes
            for length in 0..<min(bytes.count, 50) {
                #expect(Value(encoded: .init(bytes: Array(bytes.prefix(length)))) == nil)
            }
            #expect(Value(encoded: .init(bytes: bytes + [0xC0])) == nil)
        }
        #expect(Value(encoded: .init(bytes: [0xDD, 0xFF, 0xFF, 0xFF, 0xFF])) == nil)
        #expect(Value(encoded: .init(bytes: Array(repeating: 0x91, count: 1000))) == nil)
    }

    @Test func `values are shown as JSON`() throws {
        #expect("\(Value(["b": .bytes([0xFF]), "a": [1, 2.0, true]]))" == #"{"a":[1,2.0,true],"b":{"$bytes":"/w=="}}"#)
        #expect("\(Value.list([.null]))" == "(value[1]: a list has no nil)")
    }
}
