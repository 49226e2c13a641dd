import Testing

/// What the documentation shows is run.
///
/// Each code block is tried by its language, and by the comment in the line before it:
/// - `lua` is a script, which runs. `<!-- script: BEFORE | AFTER -->` makes a script of a fragment; with
///   `<!-- loaded only: REASON -->` it is only compiled; `<!-- tests: SCRIPT of the README -->`: a file of tests.
/// - `sh` is run line by line by a shell, the built program in place of `.build/release/handout-lua`.
/// - `json` is what the block before it prints.
/// - `<!-- not run: REASON -->` leaves one out; which ones, says the test.
@Suite struct DocumentationTests {
    private struct Block {
        var language: String
        var before: String
        var text = ""

        /// What the comment before it says under that name.
        func note(_ name: String) -> String? {
            guard before.hasPrefix("<!-- \(name): "), before.hasSuffix(" -->") else { return nil }
            return String(before.dropFirst("<!-- \(name): ".count).dropLast(" -->".count))
        }

        var script: String {
            guard let parts = note("script")?.split(separator: " | ", omittingEmptySubsequences: false) else {
                return text
            }
            return "\(parts[0])\n\(text)\n\(parts.count > 1 ? parts[1] : "")\n"
        }
    }

    private static func blocks(_ path: String) -> [Block] {
        var blocks: [Block] = []
        var before = "", isInside = false
        let text = String(decoding: contents(of: packageFolder + "/" + path) ?? [], as: UTF8.self)
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if line.hasPrefix("```") {
                isInside.toggle()
                if isInside { blocks.append(Block(language: String(line.dropFirst(3)), before: before)) }
                before = ""
            } else if isInside {
                blocks[blocks.count - 1].text += line + "\n"
            } else if !line.isEmpty {
                before = line
            }
        }
        return blocks
    }

    /// How many blocks there are, so that none is lost to a new way of writing them, and which are left out.
    @Test(arguments: [
        ("docs/lua-api.md", ["lua": 7], []),
        ("docs/trackers.md", ["lua": 1], []),
        (
            "README.md", ["sh": 3, "json": 1],
            ["scripts/run-example: both build the package; the example's check and .ci/run do"]
        ),
    ])
    func `every block of the reference and the README runs`(path: String, count: [String: Int], leftOut: [String]) {
        let blocks = Self.blocks(path), folder = Folder()
        var counted: [String: Int] = [:], found: [String] = [], printed = ""
        for block in blocks {
            counted[block.language, default: 0] += 1
            if let reason = block.note("not run") {
                found.append("\(block.text.prefix { $0 != " " && $0 != "\n" }): \(reason)")
                continue
            }
            switch block.language {
            case "lua": expectLua(block, in: Folder())
            case "sh": printed = shell(block, in: folder)
            case "json": #expect(block.text == printed)
            default: Issue.record("a block of a language that nothing runs: \(block.language)\n\(block.text)")
            }
        }
        #expect(counted == count)
        #expect(found == leftOut)
    }

    @Test func `what the page on explaining shows is what is printed`() {
        let folder = Folder()
        var printed = "", compared = 0, leftOut = 0
        for block in Self.blocks("docs/explain.md") {
            if block.note("not run") != nil {
                leftOut += 1
            } else if block.language == "sh" {
                printed = shell(block, in: folder)
            } else {
                #expect(block.text == printed)
                compared += 1
            }
        }
        #expect(compared == 4 && leftOut == 2)
    }

    @Test(arguments: ["docs/architecture.md", "docs/oracle.md", "docs/embedding.md"])
    func `every Lua block of the other pages is Lua`(_ path: String) {
        for block in Self.blocks(path) where block.language == "lua" { expectLoads(block.text, in: Folder()) }
    }

    private func expectLua(_ block: Block, in folder: Folder) {
        if block.note("loaded only") != nil { return expectLoads(block.text, in: folder) }
        if block.note("tests") != nil { return expectTests(block.text, in: folder) }
        folder.write("reads.txt", "b\na\n")
        let result = folder.tool("run", block.script, ["--progress", "none", "-A"])
        #expect(result.status == 0, "\(block.script)\(result.errorText)")
    }

    private func expectTests(_ text: String, in folder: Folder) {
        for block in Self.blocks("README.md") where block.text.contains("<<'END'") { _ = shell(block, in: folder) }
        folder.write("block_test.lua", text)
        let result = Tool.run(["test", "block_test.lua"], in: folder)
        #expect(result.status == 0, "\(result.output)\(result.errorText)")
    }

    private func expectLoads(_ text: String, in folder: Folder) {
        folder.write("block.lua", text)
        let check = """
            local handout = require "handout"
            local good, wrong = load(handout.read("block.lua"))
            if not good then error(wrong, 0) end
            return handout.graph "x"
            """
        #expect(folder.tool("check", check).errorText == "", "\(text)")
    }

    /// Runs the lines of a block together, as someone does who copies it; returns what they print.
    private func shell(_ block: Block, in folder: Folder) -> String {
        let program = ".build/release/handout-lua", build = "swift build -c release\n"
        #expect(block.text.contains(program))
        // The program that is tested is built already.
        let text = block.text.replacing(build, with: "").replacing(program, with: "'\(Tool.path)'")
        let result = Tool.run(["-ec", text], in: folder, program: "/bin/sh")
        #expect(result.status == 0, "\(block.text)\(result.errorText)")
        return result.output
    }
}
