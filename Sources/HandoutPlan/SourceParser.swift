/// Walks Lua's grammar over tokens to find function bodies and to tell globals from locals.
///
/// It makes no tree, accepts somewhat more than Lua does, and gives up at the first token that does not fit.
struct SourceParser {
    private(set) var functions: [FunctionSource] = []
    private(set) var mentions: [Mention] = []
    private(set) var constants: [Range<Int>] = []
    var names = NameTable()

    private let bytes: [UInt8]
    private let tokens: [Token]
    private var position = 0
    private var depth = 0
    /// Lua refuses sources nested deeper than 200.
    private static let maximumDepth = 220

    private struct Local {
        var name: Int
        var shadowed: Int
        var constant: Int
        /// Functions that were open where it was declared.
        var level: Int
    }
    private var locals: [Local] = []
    /// Of every open function the locals it captures in order of first use: indices of `locals`, -1 for the globals.
    private var captures: [[Int]] = []
    /// By name: the innermost local of that name, or -1.
    private var innermost: [Int] = []
    private var environment = 0, globalTable = 0, require = 0, load = 0, this = 0

    private struct Misfit: Error {}

    init(bytes: [UInt8], tokens: [Token]) {
        self.bytes = bytes
        self.tokens = tokens
        environment = number("_ENV")
        globalTable = number("_G")
        require = number("require")
        load = number("load")
        this = number("self")
    }

    /// Goes through the whole source; false when it is not Lua.
    mutating func parse() -> Bool {
        do {
            try block()
            return kind == .endOfSource
        } catch {
            return false
        }
    }

    // MARK: Tokens

    private var kind: Token.Kind { tokens[position].kind }
    private var nextKind: Token.Kind { position + 1 < tokens.count ? tokens[position + 1].kind : .endOfSource }

    private mutating func advance() {
        if position < tokens.count - 1 { position += 1 }
    }

    private mutating func accept(_ kind: Token.Kind) -> Bool {
        guard self.kind == kind else { return false }
        advance()
        return true
    }

    private mutating func expect(_ kind: Token.Kind) throws(Misfit) {
        guard accept(kind) else { throw Misfit() }
    }

    private mutating func number(_ text: StaticString) -> Int {
        number(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private mutating func number(_ text: UnsafeBufferPointer<UInt8>) -> Int {
        let number = names.number(of: text)
        if number == innermost.count { innermost.append(-1) }
        return number
    }

    private mutating func expectName() throws(Misfit) -> Int {
        guard kind == .name else { throw Misfit() }
        let range = tokens[position].range
        advance()
        return bytes.withUnsafeBufferPointer { number(UnsafeBufferPointer(rebasing: $0[range])) }
    }

    // MARK: Scopes

    private mutating func declare(_ name: Int, constant: Int = -1) {
        locals.append(Local(name: name, shadowed: innermost[name], constant: constant, level: captures.count))
        innermost[name] = locals.count - 1
    }

    /// Notes that the functions open since the declaration of local `index` capture it, as Lua's `singlevaraux` does.
    private mutating func capture(_ index: Int) {
        for function in (index < 0 ? 0 : locals[index].level)..<captures.count {
            // Lua refuses functions with more than 255.
            if captures[function].count <= 255, !captures[function].contains(index) { captures[function].append(index) }
        }
    }

    private mutating func leave(to count: Int) {
        while locals.count > count {
            let local = locals.removeLast()
            innermost[local.name] = local.shadowed
        }
    }

    private mutating func scoped(_ body: (inout SourceParser) throws(Misfit) -> Void) throws(Misfit) {
        let count = locals.count
        try body(&self)
        leave(to: count)
    }

    private mutating func nested(_ body: (inout SourceParser) throws(Misfit) -> Void) throws(Misfit) {
        depth += 1
        guard depth <= SourceParser.maximumDepth else { throw Misfit() }
        try body(&self)
        depth -= 1
    }

    // MARK: Statements

    private mutating func block() throws(Misfit) {
        while true {
            switch kind {
            case .endOfSource, .end, .else, .elseif, .until:
                return
            case .return:
                advance()
                switch kind {
                case .endOfSource, .end, .else, .elseif, .until, .semicolon: break
                default: _ = try expressions()
                }
                _ = accept(.semicolon)
                return
            default:
                try nested { parser throws(Misfit) in try parser.statement() }
            }
        }
    }

    /// A block with a scope of its own.
    private mutating func scopedBlock() throws(Misfit) {
        try scoped { parser throws(Misfit) in try parser.block() }
    }

    private mutating func statement() throws(Misfit) {
        switch kind {
        case .semicolon, .break:
            advance()
        case .if:
            try ifStatement()
        case .while:
            advance()
            try expression()
            try expect(.do)
            try scopedBlock()
            try expect(.end)
        case .do:
            advance()
            try scopedBlock()
            try expect(.end)
        case .for:
            try scoped { parser throws(Misfit) in try parser.forStatement() }
        case .repeat:
            advance()
            try scoped { parser throws(Misfit) in
                try parser.block()
                try parser.expect(.until)
                try parser.expression()
            }
        case .function:
            try functionStatement()
        case .local:
            advance()
            if kind == .function { try localFunction() } else { try localStatement() }
        case .doubleColon:
            advance()
            try expect(.name)
            try expect(.doubleColon)
        case .goto:
            advance()
            try expect(.name)
        default:
            try expressionStatement()
        }
    }

    private mutating func ifStatement() throws(Misfit) {
        repeat {
            advance()
            try expression()
            try expect(.then)
            try scopedBlock()
        } while kind == .elseif
        if accept(.else) { try scopedBlock() }
        try expect(.end)
    }

    private mutating func forStatement() throws(Misfit) {
        advance()
        var variables = [try expectName()]
        while accept(.comma) { variables.append(try expectName()) }
        guard accept(.equal) || accept(.in) else { throw Misfit() }
        _ = try expressions()
        try expect(.do)
        for variable in variables { declare(variable) }
        try block()
        try expect(.end)
    }

    /// `function a.b:c() … end`, whose line is that of `function`.
    private mutating func functionStatement() throws(Misfit) {
        let start = position
        advance()
        let root = position
        let mention = mentions.count
        try variable(isStep: nextKind != .leftParen)
        var isMethod = false
        while kind == .dot || kind == .colon {
            isMethod = kind == .colon
            advance()
            try expect(.name)
            if isMethod { break }
        }
        markAssigned(mention, root: root)
        try body(from: start, line: tokens[start].line, isMethod: isMethod)
    }

    private mutating func localFunction() throws(Misfit) {
        let start = position
        advance()
        declare(try expectName())
        try body(from: start, line: tokens[position].line, isMethod: false)
    }

    private mutating func localStatement() throws(Misfit) {
        var variables: [Int] = []
        var isConstant = false
        repeat {
            variables.append(try expectName())
            isConstant = false
            if accept(.less) {
                let attribute = tokens[position].range
                try expect(.name)
                isConstant = bytes[attribute].elementsEqual("const".utf8)
                try expect(.greater)
            }
        } while accept(.comma)
        let start = position + 1
        let mention = mentions.count
        if accept(.equal) { _ = try expressions() }
        var constant = -1
        if isConstant, start < position, isFoldable(start..<position, mentionsFrom: mention) {
            constant = constants.count
            constants.append(start..<position)
        }
        for (index, variable) in variables.enumerated() {
            declare(variable, constant: index == variables.count - 1 ? constant : -1)
        }
    }

    /// Lua's compiler may put the value of these tokens into the code that uses the constant, so that no variable is
    /// captured: literals, operators, and other such constants.
    private func isFoldable(_ range: Range<Int>, mentionsFrom first: Int) -> Bool {
        let operators = Token.Kind.plus.rawValue...Token.Kind.greater.rawValue
        var folded = 0
        for mention in mentions[first...] {
            guard case .constant = mention.kind else { return false }
            folded += 1
        }
        for token in tokens[range] {
            switch token.kind {
            case .name: folded -= 1
            case .number, .string, .nil, .true, .false, .not, .and, .or, .leftParen, .rightParen, .comma: break
            default: guard operators.contains(token.kind.rawValue) else { return false }
            }
        }
        return folded == 0
    }

    private mutating func expressionStatement() throws(Misfit) {
        var isList = false
        var targets: [(mention: Int, root: Int)] = []
        repeat {
            let root = position, first = mentions.count, isParenthesized = kind == .leftParen
            try suffixedExpression()
            // What stands in `(a or b).c = 1` is all taken to be assigned.
            for mention in first..<(isParenthesized ? mentions.count : min(first + 1, mentions.count)) {
                targets.append((mention, isParenthesized ? mentions[mention].token : root))
            }
            isList = isList || kind == .comma
        } while accept(.comma)
        if accept(.equal) {
            for target in targets { markAssigned(target.mention, root: target.root) }
            _ = try expressions()
        } else if isList {
            throw Misfit()
        }
    }

    /// What token `root` mentions, recorded as number `index`, is the root of an assignment's target.
    private mutating func markAssigned(_ index: Int, root: Int) {
        guard index < mentions.count, mentions[index].token == root || mentions[index].token == root + 2 else { return }
        switch mentions[index].kind {
        case .global(let name): mentions[index].kind = .assigned(name)
        case .computed: mentions[index].kind = .escaped
        default: break
        }
    }

    // MARK: Expressions

    private mutating func expressions() throws(Misfit) -> Int {
        var count = 0
        repeat {
            try expression()
            count += 1
        } while accept(.comma)
        return count
    }

    private mutating func expression() throws(Misfit) {
        try nested { parser throws(Misfit) in
            while true {
                while parser.isUnary { parser.advance() }
                try parser.simpleExpression()
                guard parser.isBinary else { return }
                parser.advance()
            }
        }
    }

    private var isUnary: Bool {
        switch kind {
        case .not, .minus, .tilde, .hash: true
        default: false
        }
    }

    private var isBinary: Bool {
        switch kind {
        case .plus, .minus, .star, .slash, .percent, .caret, .ampersand, .tilde, .bar, .shiftLeft, .shiftRight,
            .doubleSlash, .equalEqual, .notEqual, .lessEqual, .greaterEqual, .less, .greater, .doubleDot, .and, .or:
            true
        default: false
        }
    }

    private mutating func simpleExpression() throws(Misfit) {
        switch kind {
        case .number, .string, .nil, .true, .false, .ellipsis:
            advance()
        case .leftBrace:
            try table()
        case .function:
            let start = position
            advance()
            // Lua takes the line after it has read the next token.
            try body(from: start, line: tokens[position].line, isMethod: false)
        default:
            try suffixedExpression()
        }
    }

    private mutating func suffixedExpression() throws(Misfit) {
        if accept(.leftParen) {
            try expression()
            try expect(.rightParen)
        } else {
            try variable(isStep: SourceParser.isSuffix(nextKind))
        }
        while SourceParser.isSuffix(kind) { try suffix() }
    }

    private static func isSuffix(_ kind: Token.Kind) -> Bool {
        switch kind {
        case .dot, .colon, .leftBracket, .leftParen, .leftBrace, .string: true
        default: false
        }
    }

    private mutating func suffix() throws(Misfit) {
        switch kind {
        case .dot:
            advance()
            try expect(.name)
        case .colon:
            mentions.append(Mention(token: position, kind: .method))
            advance()
            try expect(.name)
            guard kind == .leftParen || kind == .leftBrace || kind == .string else { throw Misfit() }
        case .leftBracket:
            advance()
            try expression()
            try expect(.rightBracket)
        case .leftParen:
            advance()
            if kind != .rightParen { _ = try expressions() }
            try expect(.rightParen)
        case .leftBrace:
            try table()
        default:
            advance()
        }
    }

    /// A name used as a variable; `isStep`: something of it is taken (a call, an index), not the value itself.
    private mutating func variable(isStep: Bool) throws(Misfit) {
        let token = position
        let name = try expectName()
        if name == require { mentionRequire(token) }
        let local = innermost[name]
        if local < 0 {
            capture(innermost[environment])
        } else if locals[local].constant < 0 {
            capture(local)
        }
        if name == environment || (name == globalTable && local < 0) {
            return mentionEnvironment(token, isStep: isStep)
        }
        if local >= 0 {
            if locals[local].constant >= 0 {
                mentions.append(Mention(token: token, kind: .constant(locals[local].constant)))
            }
        } else if innermost[environment] >= 0 {
            mentions.append(Mention(token: token, kind: .computed))
        } else {
            mentions.append(Mention(token: token, kind: .global(name)))
            if name == load { mentions.append(Mention(token: token, kind: .escaped)) }
        }
    }

    /// `_ENV` or `_G` at `token`: `_G.name` is the global `name`, anything else is computed.
    private mutating func mentionEnvironment(_ token: Int, isStep: Bool) {
        if isStep, kind == .dot, nextKind == .name, innermost[environment] < 0 {
            let range = tokens[position + 1].range
            let name = bytes.withUnsafeBufferPointer { number(UnsafeBufferPointer(rebasing: $0[range])) }
            let isPlain = name != environment && name != globalTable && name != load && name != require
            mentions.append(Mention(token: position + 1, kind: isPlain ? .global(name) : .escaped))
        } else {
            mentions.append(Mention(token: token, kind: isStep && kind == .leftBracket ? .computed : .escaped))
        }
    }

    private mutating func mentionRequire(_ token: Int) {
        var argument = position
        if kind == .leftParen { argument += 1 }
        let isLiteral =
            tokens[argument].kind == .string
            && (kind == .string || (argument + 1 < tokens.count && tokens[argument + 1].kind == .rightParen))
        mentions.append(Mention(token: token, kind: isLiteral ? .module(argument) : .computedModule))
    }

    private mutating func table() throws(Misfit) {
        try expect(.leftBrace)
        while kind != .rightBrace {
            if kind == .leftBracket {
                advance()
                try expression()
                try expect(.rightBracket)
                try expect(.equal)
            } else if kind == .name, nextKind == .equal {
                advance()
                advance()
            }
            try expression()
            guard accept(.comma) || accept(.semicolon) else { break }
        }
        try expect(.rightBrace)
    }

    /// Parameters and block of the function whose `function` is token `start`.
    private mutating func body(from start: Int, line: UInt32, isMethod: Bool) throws(Misfit) {
        try scoped { parser throws(Misfit) in
            parser.captures.append([])
            try parser.expect(.leftParen)
            if isMethod { parser.declare(parser.this) }
            if parser.kind != .rightParen {
                repeat {
                    if parser.accept(.ellipsis) { break }
                    parser.declare(try parser.expectName())
                } while parser.accept(.comma)
            }
            try parser.expect(.rightParen)
            try parser.block()
            guard parser.kind == .end else { throw Misfit() }
            let captures = parser.captures.removeLast().map { index in
                index < 0 ? parser.environment : parser.locals[index].name
            }
            let lastLine = parser.tokens[parser.position].line
            parser.functions.append(
                FunctionSource(
                    tokens: start..<parser.position + 1, line: line, lastLine: lastLine, captures: captures))
            parser.advance()
        }
    }
}
