import HandoutCore
import HandoutPlan
import Testing

/// A program, its classes and captured values, in a line each.
private struct World {
    enum Value {
        case data(String), integer(Int64), function(Int, [Int]), library(String), module(String), globals
    }
    var main: String
    var modules: [(String, String)] = []
    var classes: [FunctionClass]
    var values: [Value] = []
    var inputs = "inputs"

    func fingerprint(_ index: Int = 0, _ captures: [Int] = []) -> Fingerprint {
        let all = [("", main)] + modules
        let sources = all.map { (name: $0.0, source: ParsedSource(Array($0.1.utf8))) }
        let bundle = Fingerprint(hashing: Array((all.map { $0.0 + $0.1 }.joined() + inputs).utf8))
        let program = FingerprintSources(
            sources: sources, inputs: Fingerprint(hashing: Array(inputs.utf8)), bundle: bundle)
        var fingerprints = FunctionFingerprints(program: program, classes: classes, pool: Pool(values))
        let result = fingerprints.fingerprint(class: index, captures: captures)
        #expect(fingerprints.fingerprint(class: index, captures: captures) == result)
        return result
    }

    private final class Pool: CapturePool {
        private let values: [(Value, Column<UInt8>)]
        var count: Int { values.count }

        init(_ values: [Value]) {
            self.values = values.map { value in
                if case .data(let text) = value { (value, Column(Array(text.utf8))) } else { (value, Column([])) }
            }
        }

        func value(_ index: Int) -> CapturedValue {
            switch values[index].0 {
            case .data: .data(UnsafeRawBufferPointer(values[index].1.buffer))
            case .integer(let number): .integer(number)
            case .function(let index, let captures): .function(class: index, captures: captures)
            case .library(let name): .library(name)
            case .module(let name): .module(name)
            case .globals: .globals
            }
        }
    }
}

@Suite struct FunctionFingerprintTests {
    private func function(_ line: UInt32, _ last: UInt32? = nil, _ captures: [String] = [], variant: Int = 0)
        -> FunctionClass
    {
        FunctionClass(source: 0, line: line, lastLine: last ?? line, variant: variant, captureNames: captures)
    }

    private func alone(_ text: String, _ line: UInt32 = 1, _ last: UInt32? = nil) -> Fingerprint {
        World(main: text, classes: [function(line, last)]).fingerprint()
    }

    @Test func `comments, space and lines do not count`() {
        let plain = alone("return function(x) return x + 1 end")
        #expect(plain == alone("\n\n-- a comment\nreturn function(x) return x + 1 end", 4))
        #expect(plain == alone("return function ( x )\n  -- adds\n\n  return x --[[ and ]] + 1\nend", 1, 5))
        #expect(plain == alone("#!/usr/bin/lua\r\nlocal y = 7\rreturn function(x) return x + 1 end", 3))
    }

    @Test func `a constant, a name or a string counts`() {
        let plain = alone("return function(x) return x + 1 end")
        #expect(plain != alone("return function(x) return x + 2 end"))
        #expect(plain != alone("return function(y) return y + 1 end"))
        #expect(alone("return function() return 'a' end") != alone("return function() return 'b' end"))
        #expect(alone("return function() return 'a b' end") != alone("return function() return 'a  b' end"))
    }

    @Test func `captured data counts by value`() {
        let text = "local k, s = ...; return function() return k, s end"
        func of(_ values: [World.Value]) -> Fingerprint {
            World(main: text, classes: [function(1, nil, ["k", "s"])], values: values).fingerprint(0, [0, 1])
        }
        let long = String(repeating: "x", count: 100)
        #expect(of([.data("1"), .data(long)]) == of([.data("1"), .data(long)]))
        #expect(of([.data("1"), .data(long)]) != of([.data("2"), .data(long)]))
        #expect(of([.data("1"), .data(long)]) != of([.data("1"), .data(long + "x")]))
        #expect(of([.data("1"), .data("")]) != of([.data(""), .data("1")]))
        #expect(of([.integer(1), .integer(2)]) != of([.integer(1), .integer(3)]))
        #expect(of([.library("math.floor"), .globals]) != of([.library("math.ceil"), .globals]))
    }

    @Test func `a captured helper's body and captures count`() {
        func of(_ helper: String, _ value: String = "1", lines: Int = 0) -> Fingerprint {
            let blank = String(repeating: "\n", count: lines)
            return World(
                main:
                    "local k = 1 \(blank)local function helper(x) return \(helper) end\n"
                    + "return function() return helper(1) end",
                classes: [
                    function(UInt32(lines) + 2, nil, ["helper"]), function(UInt32(lines) + 1, nil, ["k"]),
                ],
                values: [.data(value), .function(1, [0])]
            ).fingerprint(0, [1])
        }
        #expect(of("x + k") == of("x + k", lines: 3))
        #expect(of("x + k") != of("x - k"))
        #expect(of("x + k") != of("x + k", "2"))
    }

    @Test func `a global helper counts, and what its file depends on`() {
        func of(_ helper: String, inputs: String = "p=1", header: String = "") -> Fingerprint {
            World(
                main: "\(header) function helper() return \(helper) end\nreturn function() return helper() end",
                classes: [function(2, nil, ["_ENV"])], values: [.globals], inputs: inputs
            ).fingerprint(0, [0])
        }
        #expect(of("1") == of("1 --[[ same ]]"))
        #expect(of("1") != of("2"))
        #expect(of("1") == of("1", inputs: "p=2"))
        let header = "local handout = require 'handout'"
        #expect(of("1", header: header) != of("1", inputs: "p=2", header: header))
        #expect(
            alone("x = 1\nreturn function() return 5 end", 2) == alone("x = 2\nreturn function() return 5 end", 2))
    }

    @Test func `globals assigned in a module bring that module`() {
        func of(_ value: Int, _ other: Int) -> Fingerprint {
            World(
                main: "require 'config' require 'other' return function() return LIMIT end",
                modules: [("config", "LIMIT = \(value)"), ("other", "UNUSED = \(other)")],
                classes: [function(1, nil, ["_ENV"])], values: [.globals]
            ).fingerprint(0, [0])
        }
        #expect(of(1, 1) == of(1, 2))
        #expect(of(1, 1) != of(2, 1))
    }

    @Test func `a patched library counts where it is mentioned or a method is called`() {
        func of(_ patch: String, _ use: String) -> Fingerprint {
            World(
                main: "function string.trim(s) return \(patch) end\nreturn function(s) return \(use) end",
                classes: [function(2, nil, use.contains("string") ? ["_ENV"] : [])], values: [.globals]
            ).fingerprint(0, use.contains("string") ? [0] : [])
        }
        #expect(of("1", "string.trim(s)") != of("2", "string.trim(s)"))
        #expect(of("1", "s:trim()") != of("2", "s:trim()"))
        #expect(of("1", "s") == of("2", "s"))
    }

    @Test func `modules count by their tokens and those that they require`() {
        func of(_ util: String, _ deep: String, _ other: String = "", body: String = "util.f()") -> Fingerprint {
            World(
                main: "local util = require 'util' require 'other' return function() return \(body) end",
                modules: [
                    ("util", "local d = require 'deep' return { f = function() return \(util) end }"),
                    ("deep", "return \(deep)"), ("other", other),
                ],
                classes: [function(1, nil, body.contains("util.f") ? ["util"] : ["_ENV"])],
                values: [.module("util"), .globals]
            ).fingerprint(0, body.contains("util.f") ? [0] : [1])
        }
        #expect(of("1", "1") == of("1 -- x\n", "1", "return 3"))
        #expect(of("1", "1") != of("2", "1"))
        #expect(of("1", "1") != of("1", "2"))
        let late = "require('util').f"
        #expect(of("1", "1", body: late) == of("1", "1", "return 3", body: late))
        #expect(of("1", "1", body: late) != of("1", "2", body: late))
    }

    @Test(arguments: ["_ENV[k]", "_G[k]", "pairs(_G)", "load('return 1')", "require(k)"])
    func `computed access brings in the whole program`(access: String) {
        func of(_ elsewhere: Int) -> Fingerprint {
            World(
                main: "local k = 'a'\nlocal unrelated = \(elsewhere)\nreturn function(k) return \(access) end",
                classes: [function(3, nil, ["_ENV"])], values: [.globals]
            ).fingerprint(0, [0])
        }
        #expect(of(1) != of(2))
    }

    @Test func `plain access does not bring in the whole program`() {
        func of(_ elsewhere: Int) -> Fingerprint {
            World(
                main: "local unrelated = \(elsewhere)\nreturn function(k) return _G.print(k) end",
                classes: [function(2, nil, ["_ENV"])], values: [.globals]
            ).fingerprint(0, [0])
        }
        #expect(of(1) == of(2))
    }

    @Test func `constants folded into the code count`() {
        func of(_ value: Int) -> Fingerprint {
            alone("local base <const> = \(value)\nlocal k <const> = base * 2\nreturn function() return k end", 3)
        }
        #expect(of(1) == of(1))
        #expect(of(1) != of(2))
    }

    @Test func `two functions on one line differ`() {
        let text = "return function() return 1 end, function() return 2 end"
        let world = World(main: text, classes: [function(1), function(1, variant: 1)])
        #expect(world.fingerprint(0) != world.fingerprint(1))
    }

    @Test func `functions on one line are told apart by what they capture`() {
        func of(_ elsewhere: Int) -> Fingerprint {
            World(
                main: "local u = \(elsewhere)\nlocal function adder(n) return function(x) return x + n end end",
                classes: [function(2, nil, ["n"])], values: [.integer(1)]
            ).fingerprint(0, [0])
        }
        #expect(of(1) == of(2))
    }

    @Test func `code from load counts by the whole program and its number`() {
        func of(_ text: String, _ variant: Int) -> Fingerprint {
            World(main: text, classes: [FunctionClass(source: 9, line: 1, lastLine: 1, variant: variant)]).fingerprint()
        }
        #expect(of("a()", 0) == of("a()", 0))
        #expect(of("a()", 0) != of("b()", 0))
        #expect(of("a()", 0) != of("a()", 1))
    }

    @Test func `mutual recursion ends, and is the same however it is met`() {
        func world(_ odd: String) -> World {
            World(
                main: """
                    local even, odd
                    function even(n) return n == 0 or odd(n - 1) end
                    function odd(n) return \(odd) and even(n - 1) end
                    return function(n) return even(n), odd(n) end
                    """,
                classes: [
                    function(4, nil, ["even", "odd"]), function(2, nil, ["odd"]), function(3, nil, ["even"]),
                ],
                values: [.function(1, [1]), .function(2, [0])])
        }
        let first = world("n ~= 0")
        #expect(first.fingerprint(0, [0, 1]) == first.fingerprint(0, [0, 1]))
        #expect(first.fingerprint(0, [0, 1]) != first.fingerprint(0, [1, 0]))
        #expect(first.fingerprint(0, [0, 1]) != world("n ~= 1").fingerprint(0, [0, 1]))

        // The same cycle, its entries in another order.
        var swapped = first
        swapped.values = [.function(2, [1]), .function(1, [0])]
        #expect(first.fingerprint(0, [0, 1]) == swapped.fingerprint(0, [1, 0]))
    }

    @Test func `a function that captures itself, and long chains and cycles, end`() {
        let text = "local function f() return f() end"
        let classes = [function(1, nil, ["f"])]
        #expect(World(main: text, classes: classes, values: [.function(0, [0])]).fingerprint(0, [0]).bytes.count == 32)
        let length = 20_000
        let chain = (0..<length).map { World.Value.function(0, [$0 + 1]) }
        let open = World(main: text, classes: classes, values: chain + [.integer(1)])
        let closed = World(main: text, classes: classes, values: chain + [.function(0, [0])])
        #expect(open.fingerprint(0, [0]) != closed.fingerprint(0, [0]))
    }

    @Test func `a source that is not Lua counts as the whole program`() {
        #expect(alone("x = = 1 function() end") != alone("x = = 2 function() end"))
    }

    @Test func `a fingerprint prints as hexadecimal`() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        #expect(Fingerprint(hashing: []).description == text)
        #expect(Fingerprint(bytes: Fingerprint(hashing: []).bytes) == Fingerprint(hashing: []))
        #expect(Fingerprint(bytes: [1]) == nil)
    }
}
