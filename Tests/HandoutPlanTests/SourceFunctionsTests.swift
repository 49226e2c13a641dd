import HandoutPlan
import Testing

@Suite struct SourceFunctionsTests {
    /// `line-lastLine: text` of every function, and the variables that it captures.
    private func found(_ text: String) -> [String] {
        let source = ParsedSource(Array(text.utf8))
        #expect(source.isComplete)
        return source.functions.map { function in
            let tokens = function.tokens.map { String(decoding: source.text($0), as: UTF8.self) }
            let captures = function.captures.map { String(decoding: source.names[$0], as: UTF8.self) }
            return "\(function.line)-\(function.lastLine): \(tokens.joined(separator: " ")) \(captures)"
        }
    }

    private func mentions(_ text: String) -> [String] {
        let source = ParsedSource(Array(text.utf8))
        #expect(source.isComplete)
        return source.mentions.map { mention in
            switch mention.kind {
            case .global(let name): String(decoding: source.names[name], as: UTF8.self)
            case .assigned(let name): "=" + String(decoding: source.names[name], as: UTF8.self)
            case .module(let token): "require " + String(decoding: source.text(token), as: UTF8.self)
            case .constant(let number): "constant \(number)"
            default: "\(mention.kind)"
            }
        }
    }

    @Test func `functions on one line, nested, and with end in strings are found`() {
        #expect(
            found("local a, b = function() return 1 end, function() return 2 end") == [
                "1-1: function ( ) return 1 end []", "1-1: function ( ) return 2 end []",
            ])
        #expect(
            found("return function(x)\n  return function() return x, y end\nend") == [
                "1-3: function ( x ) return function ( ) return x , y end end [\"_ENV\"]",
                "2-2: function ( ) return x , y end [\"x\", \"_ENV\"]",
            ])
        #expect(
            found("f(function() -- end function (\n local s = 'end function' --[[ end ]]\n return [[ end ]] end)")
                == [
                    "1-3: function ( ) local s = 'end function' return [[ end ]] end []"
                ])
    }

    @Test func `blocks of every kind are matched`() {
        let body = """
            function(...)
              if a then b() elseif c then d() else e() end
              while f do break end
              for i = 1, 2, 3 do g(i) end
              for k, v in pairs(t) do h(k, v) end
              repeat local until_ = 1 until until_
              do goto l end ::l::
              return { [1] = 2, x = function() end; 3 }
            end
            """
        #expect(found("return " + body).map { $0.prefix(4) } == ["1-9:", "8-8:"])
    }

    /// As `luac5.4 -l` shows them: a function expression and a local function begin where `(` stands.
    @Test func `lines are those of Lua`() {
        let text = """
            local a = function
              () return 1
              end
            local function
              b
              () end
            function
              c.d
              () end
            """
        #expect(found(text).map { $0.prefix { $0 != ":" } } == ["2-3", "6-6", "7-9"])
    }

    @Test func `captured variables are in the order in which Lua numbers them`() {
        let text = """
            local a, b, c
            local k <const> = 5
            function f(self_) return function() return b, g, a, k end, c end
            function t:m() return self, a end
            local function r() return r() end
            """
        #expect(
            found(text).map { $0.split(separator: "[")[1] } == [
                "\"b\", \"_ENV\", \"a\", \"c\"]", "\"b\", \"_ENV\", \"a\"]", "\"a\"]", "\"r\"]",
            ])
    }

    @Test func `free names are told from locals, fields, keys and labels`() {
        #expect(mentions("local x = x; x.y = { k = v, [w] = x } goto l ::l::") == ["x", "v", "w"])
        #expect(mentions("for i = i, n do i() end return i") == ["i", "n", "i"])
        #expect(mentions("repeat local z = 1 until z return z") == ["z"])
        #expect(mentions("local function f(a, ...) return f, a, b end") == ["b"])
        #expect(mentions("local f = function() return f end") == ["f"])
        #expect(mentions("do local p end return p") == ["p"])
        #expect(mentions("s:upper()") == ["s", "method"])
    }

    @Test func `assignments of globals are seen through fields and calls`() {
        #expect(mentions("a, b.c, d[1].e = 1, 2, 3") == ["=a", "=b", "=d"])
        #expect(mentions("function m.f() end function n:g() end function h() end") == ["=m", "=n", "=h"])
        #expect(mentions("(q or r).s = t") == ["=q", "=r", "t"])
        #expect(mentions("local a a.b = 1") == [])
    }

    @Test func `computed access to globals is seen`() {
        #expect(mentions("return _G.x, _ENV.y") == ["x", "y"])
        #expect(mentions("_G.x = 1; _ENV['y'] = 1") == ["=x", "escaped"])
        #expect(mentions("return _ENV[k]") == ["computed", "k"])
        #expect(mentions("f(_G)") == ["f", "escaped"])
        #expect(mentions("local _ENV = {} x = 1") == ["escaped"])
        #expect(mentions("local _G = {} _G.x = _G[1]") == [])
    }

    @Test func `modules are seen`() {
        #expect(mentions("local m = require 'a.b'") == ["require 'a.b'", "require"])
        #expect(mentions("local m = require([[c]])") == ["require [[c]]", "require"])
        #expect(mentions("require('a' .. b)") == ["computedModule", "require", "b"])
        #expect(mentions("pcall(require, 'x')") == ["pcall", "computedModule", "require"])
    }

    @Test func `constants that Lua may fold are seen, others are variables`() {
        #expect(mentions("local a <const> = 2 * 3 local b <const> = -a return b") == ["constant 0", "constant 1"])
        #expect(mentions("local a <const> = f() return a") == ["f"])
        #expect(mentions("local a <const> = {} return a") == [])
        #expect(mentions("local a <close> = nil return a") == [])
    }

    @Test(arguments: ["x = = 1", "function f(", "return 'a", "end", "if x then", "x = )", "f( , )", "local 1", "\0"])
    func `what is not Lua is incomplete`(text: String) {
        #expect(!ParsedSource(Array(text.utf8)).isComplete)
    }

    @Test func `deep nesting does not overflow the stack`() {
        for opening in ["(", "{", "f(", "[", "function() return ", "do ", "if x then ", "- ", "a."] {
            let text = "x = " + String(repeating: opening, count: 100_000)
            #expect(!ParsedSource(Array(text.utf8)).isComplete)
        }
        let deepest = "x = " + String(repeating: "(", count: 190) + "1" + String(repeating: ")", count: 190)
        #expect(ParsedSource(Array(deepest.utf8)).isComplete)
    }
}
