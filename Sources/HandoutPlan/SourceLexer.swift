/// One token of a Lua source: its kind, its bytes, and the line on which it begins.
package struct Token: Sendable, BitwiseCopyable, Equatable {
    /// What a token is; every keyword and every symbol has a kind of its own, so that only the others need their text.
    package enum Kind: UInt8, Sendable, BitwiseCopyable {
        case endOfSource = 0
        case name, number, string
        /// A byte that begins no token of Lua.
        case unknown
        /// An unfinished string or comment: everything from here to the end of the source.
        case invalid

        case and = 16
        case `break`, `do`, `else`, elseif, end, `false`, `for`, function, goto, `if`, `in`, local, `nil`, not, or
        case `repeat`, `return`, then, `true`, until, `while`

        case plus = 64
        case minus, star, slash, percent, caret, hash, ampersand, tilde, bar, shiftLeft, shiftRight, doubleSlash
        case equalEqual, notEqual, lessEqual, greaterEqual, less, greater, equal
        case leftParen, rightParen, leftBrace, rightBrace, leftBracket, rightBracket
        case doubleColon, semicolon, colon, comma, dot, doubleDot, ellipsis
    }

    package var start: UInt32
    package var end: UInt32
    /// From 1; of a string over several lines, the first.
    package var line: UInt32
    package var kind: Kind

    package var range: Range<Int> { Int(start)..<Int(end) }
    /// Tokens of this kind differ in their text.
    @inline(__always) package var hasText: Bool { kind.rawValue < 16 && kind != .endOfSource }
}

/// Splits Lua 5.4 source into tokens; accepts any bytes, and counts lines as Lua does.
///
/// A UTF-8 byte order mark and a first line that begins with `#` are skipped, as `luaL_loadfile` does. Sources are
/// below 4 GiB.
package struct SourceLexer {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var position: Int
    private var line: UInt32 = 1

    package init(_ bytes: UnsafeBufferPointer<UInt8>) {
        precondition(bytes.count < Int(UInt32.max), "a source is below 4 GiB")
        self.bytes = bytes
        position = SourceLexer.prefixLength(bytes)
    }

    /// The tokens of `bytes`, the last one of kind `endOfSource`.
    package static func tokens(_ bytes: UnsafeBufferPointer<UInt8>) -> [Token] {
        var lexer = SourceLexer(bytes)
        var result: [Token] = []
        result.reserveCapacity(bytes.count / 5 + 1)
        while true {
            let token = lexer.next()
            result.append(token)
            if token.kind == .endOfSource { return result }
        }
    }

    /// The tokens of `bytes`, the last one of kind `endOfSource`.
    package static func tokens(_ bytes: [UInt8]) -> [Token] { bytes.withUnsafeBufferPointer { tokens($0) } }

    /// The number of bytes before the text proper: a byte order mark and a `#` line, whose newline is not included.
    package static func prefixLength(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        var length = 0
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF { length = 3 }
        if length < bytes.count, bytes[length] == UInt8(ascii: "#") {
            while length < bytes.count, bytes[length] != ByteClass.newline { length += 1 }
        }
        return length
    }

    /// The next token; at the end `endOfSource`, every time.
    package mutating func next() -> Token {
        while position < bytes.count {
            let byte = bytes[position]
            switch ByteClass.classes[Int(byte)] {
            case ByteClass.blank:
                position += 1
            case ByteClass.lineEnd:
                skipNewline()
            case ByteClass.letter:
                return name()
            case ByteClass.digit:
                return numeral()
            default:
                if byte == UInt8(ascii: "-"), peek(1) == UInt8(ascii: "-") {
                    if let unfinished = skipComment() { return unfinished }
                } else {
                    return punctuation(byte)
                }
            }
        }
        return Token(start: UInt32(bytes.count), end: UInt32(bytes.count), line: line, kind: .endOfSource)
    }

    // MARK: Parts

    @inline(__always)
    private func peek(_ distance: Int) -> UInt8? {
        position + distance < bytes.count ? bytes[position + distance] : nil
    }

    /// Skips one line end, of one byte or two.
    private mutating func skipNewline() {
        let first = bytes[position]
        position += 1
        if position < bytes.count, bytes[position] != first, ByteClass.isLineEnd(bytes[position]) { position += 1 }
        line &+= 1
    }

    /// The token from `start` to `position`.
    @inline(__always)
    private func token(_ kind: Token.Kind, from start: Int, line: UInt32) -> Token {
        Token(start: UInt32(start), end: UInt32(position), line: line, kind: kind)
    }

    private mutating func invalid(from start: Int, line: UInt32) -> Token {
        position = bytes.count
        return token(.invalid, from: start, line: line)
    }

    private mutating func name() -> Token {
        let start = position
        while position < bytes.count, ByteClass.classes[Int(bytes[position])] >= ByteClass.letter { position += 1 }
        let word = UnsafeBufferPointer(rebasing: bytes[start..<position])
        return token(Keyword.kind(of: word) ?? .name, from: start, line: line)
    }

    /// A numeral as `read_numeral` of Lua takes it; whether it is well formed is left to Lua.
    private mutating func numeral() -> Token {
        let start = position
        var exponent = UInt8(ascii: "e")
        if bytes[position] == UInt8(ascii: "0"), let second = peek(1), second | 0x20 == UInt8(ascii: "x") {
            exponent = UInt8(ascii: "p")
            position += 2
        }
        while position < bytes.count {
            let byte = bytes[position]
            if byte | 0x20 == exponent {
                position += 1
                if position < bytes.count, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-")
                {
                    position += 1
                }
            } else if ByteClass.isHexadecimal(byte) || byte == UInt8(ascii: ".") {
                position += 1
            } else {
                break
            }
        }
        if position < bytes.count, ByteClass.classes[Int(bytes[position])] == ByteClass.letter { position += 1 }
        return token(.number, from: start, line: line)
    }

    /// Skips a comment; gives a token only when a long one is unfinished.
    private mutating func skipComment() -> Token? {
        let start = position, first = line
        position += 2
        if peek(0) == UInt8(ascii: "["), let level = longBracketLevel() {
            return skipLongBracket(level) ? nil : invalid(from: start, line: first)
        }
        while position < bytes.count, !ByteClass.isLineEnd(bytes[position]) { position += 1 }
        return nil
    }

    /// The number of `=` in the opening long bracket at `position`, or nil when there is none.
    private func longBracketLevel() -> Int? {
        var distance = 1
        while peek(distance) == UInt8(ascii: "=") { distance += 1 }
        return peek(distance) == UInt8(ascii: "[") ? distance - 1 : nil
    }

    /// Skips a long bracket that opens at `position`; false when nothing closes it.
    private mutating func skipLongBracket(_ level: Int) -> Bool {
        position += level + 2
        while position < bytes.count {
            let byte = bytes[position]
            if ByteClass.isLineEnd(byte) {
                skipNewline()
            } else {
                position += 1
                guard byte == UInt8(ascii: "]") else { continue }
                var distance = 0
                while distance < level, peek(distance) == UInt8(ascii: "=") { distance += 1 }
                if distance == level, peek(distance) == UInt8(ascii: "]") {
                    position += level + 1
                    return true
                }
                position += distance
            }
        }
        return false
    }

    private mutating func shortString(_ quote: UInt8) -> Token {
        let start = position, first = line
        position += 1
        while position < bytes.count {
            let byte = bytes[position]
            if byte == quote {
                position += 1
                return token(.string, from: start, line: first)
            }
            if ByteClass.isLineEnd(byte) { break }
            position += 1
            guard byte == UInt8(ascii: "\\"), position < bytes.count else { continue }
            let escaped = bytes[position]
            if ByteClass.isLineEnd(escaped) {
                skipNewline()
            } else {
                position += 1
                if escaped == UInt8(ascii: "z") { skipSpace() }
            }
        }
        return invalid(from: start, line: first)
    }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch ByteClass.classes[Int(bytes[position])] {
            case ByteClass.blank: position += 1
            case ByteClass.lineEnd: skipNewline()
            default: return
            }
        }
    }

    private mutating func punctuation(_ byte: UInt8) -> Token {
        let start = position, first = line
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            return shortString(byte)
        case UInt8(ascii: "["):
            if let level = longBracketLevel() {
                guard skipLongBracket(level) else { return invalid(from: start, line: first) }
                return token(.string, from: start, line: first)
            }
            if peek(1) == UInt8(ascii: "=") { return invalid(from: start, line: first) }
        case UInt8(ascii: "."):
            if let next = peek(1), ByteClass.classes[Int(next)] == ByteClass.digit { return numeral() }
        default:
            break
        }
        let (kind, length) = Symbol.kind(byte, peek(1), peek(2))
        position += length
        return token(kind, from: start, line: first)
    }
}

/// Classes of bytes, in the C locale as Lua has them.
private enum ByteClass {
    static let other: UInt8 = 0, blank: UInt8 = 1, lineEnd: UInt8 = 2, letter: UInt8 = 3, digit: UInt8 = 4
    static let newline = UInt8(ascii: "\n")

    static let classes: [UInt8] = (0...255).map { (byte: UInt8) -> UInt8 in
        switch byte {
        case 9, 11, 12, 32: blank
        case 10, 13: lineEnd
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): letter
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit
        default: other
        }
    }

    @inline(__always) static func isLineEnd(_ byte: UInt8) -> Bool { byte == 10 || byte == 13 }

    @inline(__always) static func isHexadecimal(_ byte: UInt8) -> Bool {
        byte &- UInt8(ascii: "0") < 10 || (byte | 0x20) &- UInt8(ascii: "a") < 6
    }
}

private enum Keyword {
    private static let words: [(StaticString, Token.Kind)] = [
        ("and", .and), ("break", .break), ("do", .do), ("else", .else), ("elseif", .elseif), ("end", .end),
        ("false", .false), ("for", .for), ("function", .function), ("goto", .goto), ("if", .if), ("in", .in),
        ("local", .local), ("nil", .nil), ("not", .not), ("or", .or), ("repeat", .repeat), ("return", .return),
        ("then", .then), ("true", .true), ("until", .until), ("while", .while),
    ]

    /// Keywords as numbers (their bytes, the first lowest), listed by length.
    private static let table: [[(word: UInt64, kind: Token.Kind)]] = {
        var table = [[(word: UInt64, kind: Token.Kind)]](repeating: [], count: 9)
        for (text, kind) in words {
            let word = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
            table[word.count].append((pack(word), kind))
        }
        return table
    }()

    private static func pack(_ word: UnsafeBufferPointer<UInt8>) -> UInt64 {
        var packed: UInt64 = 0
        for index in 0..<word.count { packed |= UInt64(word[index]) << UInt64(8 * index) }
        return packed
    }

    static func kind(of word: UnsafeBufferPointer<UInt8>) -> Token.Kind? {
        guard word.count >= 2, word.count <= 8 else { return nil }
        let packed = pack(word)
        for entry in table[word.count] where entry.word == packed { return entry.kind }
        return nil
    }
}

private enum Symbol {
    /// The longest symbol that `byte`, `second`, `third` begin with, and its length.
    static func kind(_ byte: UInt8, _ second: UInt8?, _ third: UInt8?) -> (Token.Kind, Int) {
        switch byte {
        case UInt8(ascii: "="): second == byte ? (.equalEqual, 2) : (.equal, 1)
        case UInt8(ascii: "~"): second == UInt8(ascii: "=") ? (.notEqual, 2) : (.tilde, 1)
        case UInt8(ascii: "/"): second == byte ? (.doubleSlash, 2) : (.slash, 1)
        case UInt8(ascii: ":"): second == byte ? (.doubleColon, 2) : (.colon, 1)
        case UInt8(ascii: "<"):
            second == UInt8(ascii: "=") ? (.lessEqual, 2) : second == byte ? (.shiftLeft, 2) : (.less, 1)
        case UInt8(ascii: ">"):
            second == UInt8(ascii: "=") ? (.greaterEqual, 2) : second == byte ? (.shiftRight, 2) : (.greater, 1)
        case UInt8(ascii: "."):
            second != byte ? (.dot, 1) : third == byte ? (.ellipsis, 3) : (.doubleDot, 2)
        case UInt8(ascii: "+"): (.plus, 1)
        case UInt8(ascii: "-"): (.minus, 1)
        case UInt8(ascii: "*"): (.star, 1)
        case UInt8(ascii: "%"): (.percent, 1)
        case UInt8(ascii: "^"): (.caret, 1)
        case UInt8(ascii: "#"): (.hash, 1)
        case UInt8(ascii: "&"): (.ampersand, 1)
        case UInt8(ascii: "|"): (.bar, 1)
        case UInt8(ascii: "("): (.leftParen, 1)
        case UInt8(ascii: ")"): (.rightParen, 1)
        case UInt8(ascii: "{"): (.leftBrace, 1)
        case UInt8(ascii: "}"): (.rightBrace, 1)
        case UInt8(ascii: "["): (.leftBracket, 1)
        case UInt8(ascii: "]"): (.rightBracket, 1)
        case UInt8(ascii: ";"): (.semicolon, 1)
        case UInt8(ascii: ","): (.comma, 1)
        default: (.unknown, 1)
        }
    }
}
