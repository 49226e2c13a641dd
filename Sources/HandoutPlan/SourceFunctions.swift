/// Where a source mentions something from outside the local variables in sight.
package struct Mention: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        /// A global is read, called, indexed: its name.
        case global(Int)
        /// A global, or something reached through it, is assigned.
        case assigned(Int)
        /// `_ENV[…]`, `_G[…]` is read, or `load` is used: any global may be meant.
        case computed
        /// `_ENV` or `_G` is assigned through a computed key or used as a value: any global may change.
        case escaped
        /// `require "name"`; the number of the string's token.
        case module(Int)
        /// `require` with anything else, or as a value.
        case computedModule
        /// A local constant that may have been folded into the code: its number in `constants`.
        case constant(Int)
        /// `value:name(…)`, which for strings reaches the library `string`.
        case method
    }

    /// The token at which it stands.
    package var token: Int
    package var kind: Kind
}

/// One function body of a source.
package struct FunctionSource: Sendable, Equatable {
    /// From `function` to `end`.
    package var tokens: Range<Int>
    /// Lua's `linedefined` and `lastlinedefined`.
    package var line: UInt32
    package var lastLine: UInt32
    /// The captured variables in Lua's order, by the numbers of their names; without constants that may be folded.
    package var captures: [Int]
}

/// A source split into tokens, with its functions and what they mention.
package struct ParsedSource: Sendable {
    package let bytes: [UInt8]
    package let tokens: [Token]
    /// False: not Lua, or nested deeper than Lua allows; then functions and mentions are those before that place.
    package let isComplete: Bool
    /// In source order of their `function`.
    package let functions: [FunctionSource]
    /// In token order.
    package let mentions: [Mention]
    /// Token ranges of the initialisers of local constants.
    package let constants: [Range<Int>]
    /// Texts of names, by the numbers in mentions.
    package let names: [[UInt8]]
    private let functionsByLines: [UInt64: [Int]]

    package init(_ bytes: [UInt8]) {
        let tokens = SourceLexer.tokens(bytes)
        var parser = SourceParser(bytes: bytes, tokens: tokens)
        self.isComplete = parser.parse()
        self.bytes = bytes
        self.tokens = tokens
        functions = parser.functions.sorted { $0.tokens.lowerBound < $1.tokens.lowerBound }
        mentions = parser.mentions
        constants = parser.constants
        names = parser.names.texts
        var byLines: [UInt64: [Int]] = [:]
        for (index, function) in functions.enumerated() {
            byLines[UInt64(function.line) << 32 | UInt64(function.lastLine), default: []].append(index)
        }
        functionsByLines = byLines
    }

    /// The functions that stand on exactly these lines, in source order.
    package func functions(line: UInt32, lastLine: UInt32) -> [FunctionSource] {
        (functionsByLines[UInt64(line) << 32 | UInt64(lastLine)] ?? []).map { functions[$0] }
    }

    /// The tokens that begin on one of these lines.
    package func tokens(line: UInt32, lastLine: UInt32) -> Range<Int> {
        let start = tokens.partitioningIndex { $0.line >= line }
        let end = tokens.partitioningIndex { $0.line > lastLine || $0.kind == .endOfSource }
        return start..<max(start, end)
    }

    /// What the tokens of `range` mention.
    package func mentions(in range: Range<Int>) -> ArraySlice<Mention> {
        let start = mentions.partitioningIndex { $0.token >= range.lowerBound }
        let end = mentions.partitioningIndex { $0.token >= range.upperBound }
        return mentions[start..<max(start, end)]
    }

    /// The bytes of a token.
    package func text(_ token: Int) -> ArraySlice<UInt8> { bytes[tokens[token].range] }

    /// The value of a string token that has no escapes; nil for one that has.
    package func plainString(_ token: Int) -> [UInt8]? {
        let text = text(token)
        guard text.count >= 2, let first = text.first else { return nil }
        if first != UInt8(ascii: "[") {
            let inner = text.dropFirst().dropLast()
            return inner.contains(UInt8(ascii: "\\")) ? nil : [UInt8](inner)
        }
        let level = text.dropFirst().prefix { $0 == UInt8(ascii: "=") }.count + 2
        let inner = text.dropFirst(level).dropLast(level)
        return inner.contains { $0 == 10 || $0 == 13 } ? nil : [UInt8](inner)
    }

    /// Appends what makes the tokens of `range` what they are: kinds and texts, no space, comments or lines.
    package func appendCanonical(_ range: Range<Int>, to output: inout [UInt8]) {
        for token in tokens[range] {
            output.append(token.kind.rawValue)
            guard token.hasText else { continue }
            withUnsafeBytes(of: (token.end - token.start).littleEndian) { output.append(contentsOf: $0) }
            output.append(contentsOf: bytes[token.range])
        }
    }
}

extension Array {
    /// The first index whose element satisfies `belongs`, all before it not satisfying it; O(log n).
    fileprivate func partitioningIndex(_ belongs: (Element) -> Bool) -> Int {
        var low = 0, high = count
        while low < high {
            let middle = (low + high) / 2
            if belongs(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
