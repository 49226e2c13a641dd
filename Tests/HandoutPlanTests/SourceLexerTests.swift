import HandoutPlan
import Testing

@Suite struct SourceLexerTests {
    /// Kinds and texts, `kind:text` or `kind`, joined by spaces.
    private func lexed(_ text: String) -> String { lexed(Array(text.utf8)) }

    private func lexed(_ bytes: [UInt8]) -> String {
        SourceLexer.tokens(bytes).dropLast().map { token in
            token.hasText ? "\(token.kind):\(String(decoding: bytes[token.range], as: UTF8.self))" : "\(token.kind)"
        }.joined(separator: " ")
    }

    @Test func `every keyword and every symbol has its kind`() {
        #expect(
            lexed("and break do else elseif end false for function goto if in local nil not or")
                == "and break do else elseif end false for function goto if in local nil not or")
        #expect(lexed("repeat return then true until while") == "repeat return then true until while")
        #expect(lexed("ends _and And en") == "name:ends name:_and name:And name:en")
        #expect(
            lexed("+ - * / % ^ # & ~ | << >> // == ~= <= >= < > =")
                == "plus minus star slash percent caret hash ampersand tilde bar shiftLeft shiftRight doubleSlash "
                + "equalEqual notEqual lessEqual greaterEqual less greater equal")
        #expect(
            lexed("( ) { } [ ] :: ; : , . .. ...")
                == "leftParen rightParen leftBrace rightBrace leftBracket rightBracket doubleColon semicolon colon "
                + "comma dot doubleDot ellipsis")
        #expect(lexed("a=b..c;d~=e") == "name:a equal name:b doubleDot name:c semicolon name:d notEqual name:e")
    }

    @Test(arguments: [
        "0", "3.0", ".5", "3.1416e-2", "0.31416E1", "0xff", "0xA23p-4", "0X1.921FB54442D18P+1", "1e", "3..2", "0x",
    ])
    func `a numeral is one token`(numeral: String) {
        #expect(lexed(numeral + " x") == "number:\(numeral) name:x")
        #expect(lexed(numeral + "+ x") == (numeral == "1e" ? "number:1e+ name:x" : "number:\(numeral) plus name:x"))
    }

    @Test(arguments: [
        #""a""#, #"'it "is"'"#, #""a\"b""#, #"'\\'"#, "\"a\\\nb\"", "\"a\\\r\nb\"", #""\x41\u{48}\065\z  ""#,
        "'\\z \n\t \r\n x'", "[[a]]", "[[\n]]", "[==[ ]] ]=] ]==]", "[=[]]=]", "[==[]===]==]", "\"\0\"",
    ])
    func `a string is one token`(string: String) {
        #expect(lexed("x " + string + " y") == "name:x string:\(string) name:y")
    }

    @Test func `comments and space are skipped`() {
        #expect(lexed("a -- end function (\nb") == "name:a name:b")
        #expect(lexed("a --[[ x\n]] b --[==[ ]] ]==] c --[ d\n e") == "name:a name:b name:c name:e")
        #expect(lexed("--") == "")
        #expect(lexed("a - -1") == "name:a minus minus number:1")
        #expect(lexed("\u{B}\u{C}\t a") == "name:a")
    }

    @Test func `a byte order mark and a first line with # are skipped and counted`() {
        #expect(lexed("#!/usr/bin/lua\nx") == "name:x")
        #expect(lexed("\u{FEFF}#!/usr/bin/lua\nx") == "name:x")
        #expect(lexed("#") == "")
        #expect(lexed("x\n#y") == "name:x hash name:y")
        #expect(SourceLexer.tokens(Array("# a\nx".utf8))[0].line == 2)
    }

    @Test(arguments: [
        "\"a", "'a\n'", "[[a", "[==[ ]=] ", "--[[ a", "[=a", "\"a\\", "'\\z   ", "\"\\\n",
    ])
    func `what is unfinished is one invalid token to the end`(text: String) {
        let tokens = SourceLexer.tokens(Array("x \(text)".utf8))
        #expect(tokens.map(\.kind) == [.name, .invalid, .endOfSource])
        #expect(tokens[1].range == 2..<2 + text.utf8.count)
    }

    @Test func `bytes that begin no token are unknown`() {
        #expect(SourceLexer.tokens([0, 26, 0x80, 0xFF, 36]).dropLast().allSatisfy { $0.kind == .unknown })
    }

    @Test func `line ends of one and two bytes count once`() {
        let text = "a\nb\rc\r\nd\n\re\n\nf\r\r[[\r\n\n]]g'\\\r\n'h--[[\n]]i"
        let lines = SourceLexer.tokens(Array(text.utf8)).map { Int($0.line) }
        // a b c d e f string g string h i end
        #expect(lines == [1, 2, 3, 4, 5, 7, 9, 11, 11, 12, 13, 13])
    }

    @Test func `any bytes end in endOfSource and cover the source in order`() {
        var random = Repeatable(state: 7)
        let alphabet = Array("\"'[]=-\\z\n\r#{}0x.e+ afunctionend\0".utf8) + [0xFF, 0xEF, 0xBB, 0xBF]
        for _ in 0..<3000 {
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
            }
            let tokens = SourceLexer.tokens(bytes)
            var position: UInt32 = 0
            for token in tokens {
                #expect(token.start >= position && token.end >= token.start)
                position = token.end
            }
            #expect(tokens.last?.kind == .endOfSource && Int(position) == bytes.count)
            _ = ParsedSource(bytes)
        }
    }
}

/// A small generator whose sequence is the same every time.
struct Repeatable: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ state >> 29
    }
}
