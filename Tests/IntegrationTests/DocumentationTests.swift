import Testing

/// What the documentation shows is run.
///
/// A whole script is a block that begins with the `require` of the module. A fragment has a comment before it that says
/// how to make a script of it: `<!-- script: BEFORE | AFTER -->`.
@Suite struct DocumentationTests {
    private static func text(_ path: String) -> String {
        String(decoding: contents(of: packageFolder + "/" + path) ?? [], as: UTF8.self)
    }

    /// The blocks of a language, each with the line before it.
    private static func blocks(_ language: String, in text: String) -> [(before: String, text: String)] {
        var blocks: [(before: String, text: String)] = []
        var before = "", isInside = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if isInside {
                if line == "```" { isInside = false } else { blocks[blocks.count - 1].text += line + "\n" }
            } else if line == "```" + language {
                isInside = true
                blocks.append((before, ""))
            } else if !line.isEmpty {
                before = line
            }
        }
        return blocks
    }

    private static func script(_ block: (before: String, text: String)) -> String {
        guard block.before.hasPrefix("<!-- script: ") else { return block.text }
        let parts = block.before.dropFirst("<!-- script: ".count).dropLast(" -->".count).split(
            separator: " | ", omittingEmptySubsequences: false)
        return "\(parts.first ?? "")\n\(block.text)\n\(parts.dropFirst().first ?? "")\n"
    }

    @Test(arguments: ["docs/lua-api.md", "README.md"])
    func `every Lua block runs`(_ path: String) {
        for block in Self.blocks("lua", in: Self.text(path)) {
            let folder = Folder()
            let result = folder.tool("run", Self.script(block), ["--progress", "none"])
            #expect(result.status == 0, "\(block.text)\(result.errorText)")
        }
    }

    @Test func `the first script of the README prints what is shown`() {
        let text = Self.text("README.md")
        let shell = Self.blocks("sh", in: text).first { $0.text.contains("<<'END'") }?.text ?? ""
        let lines = shell.split(separator: "\n", omittingEmptySubsequences: false)
        let begin = lines.firstIndex { $0.contains("<<'END'") } ?? 0, end = lines.firstIndex(of: "END") ?? 0
        #expect(begin < end)
        let script = lines[min(begin + 1, end)..<end].joined(separator: "\n") + "\n"
        let folder = Folder()
        let result = folder.tool("run", script, ["--progress", "none"])
        #expect(result.output == Self.blocks("json", in: text).first?.text)
    }
}
