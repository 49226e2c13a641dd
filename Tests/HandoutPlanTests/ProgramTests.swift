import Glibc
import HandoutCore
import HandoutPlan
import Testing

/// A folder that goes away with the value.
private final class Folder {
    let path: String

    init() {
        var template = Array("/tmp/handout-plan-XXXXXX\0".utf8.map { CChar(bitPattern: $0) })
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/nonexistent"
    }

    deinit {
        for name in entries.reversed() { remove(path + "/" + name) }
        rmdir(path)
    }
    private var entries: [String] = []

    func folder(_ name: String) {
        mkdir(path + "/" + name, 0o700)
        entries.append(name)
    }

    func write(_ name: String, _ bytes: [UInt8]) {
        guard let file = fopen(path + "/" + name, "w") else { return }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
        entries.append(name)
    }

    func write(_ name: String, _ text: String) { write(name, Array(text.utf8)) }

    func link(_ name: String, to target: String) {
        symlink(target, path + "/" + name)
        entries.append(name)
    }

    func program(_ name: String = "main.lua") throws(ProgramError) -> ProgramSources {
        try ProgramSources(path: path + "/" + name)
    }

    /// The message with which `body` fails, or what it gives.
    func message(_ body: () throws -> Int) -> String {
        do { return "\(try body())" } catch { return "\(error)".replacing(path: path) }
    }
}

extension String {
    fileprivate func replacing(path: String) -> String {
        guard hasPrefix(path + "/") else { return self }
        return String(dropFirst(path.count + 1))
    }
}

@Suite struct ProgramTests {
    private let folder = Folder()

    @Test func `modules are found beside the script and in lua_modules, in this order`() throws {
        folder.write("main.lua", "return 1")
        for name in ["a", "a/b", "lua_modules", "lua_modules/c"] { folder.folder(name) }
        folder.write("a/b.lua", "file")
        folder.write("a/b/init.lua", "folder")
        folder.write("a/init.lua", "a")
        folder.write("lua_modules/a.lua", "hidden")
        folder.write("lua_modules/c/init.lua", "c")
        let program = try folder.program()
        #expect(try program.module("a.b") == 1)
        #expect(try program.module("a") == 2)
        #expect(try program.module("c") == 3)
        #expect(try program.module("a.b") == 1)
        #expect(program.sources.map(\.file) == ["main.lua", "a/b.lua", "a/init.lua", "lua_modules/c/init.lua"])
        #expect(program.sources.map { String(decoding: $0.bytes, as: UTF8.self) } == ["return 1", "file", "a", "c"])
        #expect(String(cString: program[1].chunkName.base) == "@a/b.lua")
        #expect(program.index(ofFile: "a/init.lua") == 2)
    }

    @Test func `a missing module names the places`() throws {
        folder.write("main.lua", "")
        let program = try folder.program()
        #expect(
            folder.message { try program.module("x.y") }
                == "module 'x.y' not found: looked for x/y.lua, x/y/init.lua, lua_modules/x/y.lua, "
                + "lua_modules/x/y/init.lua beside main.lua")
    }

    @Test(arguments: ["", ".", "..", "..x", "a..b", "a.", "a/b", "/etc/passwd", "../secret", "a b", "é", "a\0b"])
    func `names that are not names are refused`(name: String) throws {
        folder.write("main.lua", "")
        let program = try folder.program()
        let shown = name == "a\0b" ? "a?b" : name
        #expect(
            folder.message { try program.module(name) }
                == "module '\(shown)': a module name is letters, digits, '_' and '-' in parts joined by '.'")
    }

    @Test func `links that lead outside are refused, links inside are followed`() throws {
        folder.folder("project")
        folder.write("project/main.lua", "")
        folder.write("project/inside.lua", "inside")
        folder.write("secret.lua", "secret")
        folder.link("project/leak.lua", to: "../secret.lua")
        folder.link("project/up", to: "..")
        folder.link("project/alias.lua", to: "inside.lua")
        let program = try folder.program("project/main.lua")
        #expect(
            folder.message { try program.module("leak") }
                == "module 'leak': leak.lua leads outside the directory of main.lua")
        #expect(
            folder.message { try program.module("up.secret") }
                == "module 'up.secret': up/secret.lua leads outside the directory of main.lua")
        #expect(try program.module("alias") == 1)
    }

    @Test func `sources that are too large, not files, or UTF-16 are refused`() throws {
        folder.write("main.lua", "")
        folder.write("big.lua", [UInt8](repeating: 32, count: 1 << 20 | 1))
        folder.write("full.lua", [UInt8](repeating: 32, count: 1 << 20))
        folder.write("wide.lua", [0xFF, 0xFE, 0x72, 0])
        folder.write("other.lua", [0xFE, 0xFF, 0, 0x72])
        folder.folder("dir.lua")
        mkfifo(folder.path + "/pipe.lua", 0o600)
        defer { remove(folder.path + "/pipe.lua") }
        let program = try folder.program()
        #expect(folder.message { try program.module("big") } == "big.lua: 1048577 bytes, a source has at most 1 MiB")
        #expect(folder.message { try program.module("full") } == "1")
        #expect(
            folder.message { try program.module("wide") } == "wide.lua: UTF-16 source, expected UTF-8 or plain bytes")
        #expect(
            folder.message { try folder.program("other.lua").sources.count }
                == "other.lua: UTF-16 source, expected UTF-8 or plain bytes")
        #expect(
            folder.message { try folder.program("dir.lua").sources.count }
                == "dir.lua: cannot be read: not a regular file")
        #expect(
            folder.message { try folder.program("pipe.lua").sources.count }
                == "pipe.lua: cannot be read: not a regular file")
        #expect(
            folder.message { try folder.program("none.lua").sources.count }
                == "none.lua: cannot be read: No such file or directory")
    }

    @Test func `a byte order mark and a first line with # are left out, its newline kept`() throws {
        func text(_ bytes: String) throws -> String {
            String(decoding: try ProgramSource(name: "", file: "a", bytes: Array(bytes.utf8)).bytes, as: UTF8.self)
        }
        #expect(try text("\u{FEFF}return 1") == "return 1")
        #expect(try text("\u{FEFF}#!/bin/lua\nreturn 1") == "\nreturn 1")
        #expect(try text("#!/bin/lua\r\nreturn 1") == "\nreturn 1")
        #expect(try text("#") == "")
        #expect(try text("\n#x") == "\n#x")
    }

    @Test func `given modules come first, and a sealed program loads no more`() throws {
        folder.write("main.lua", "")
        folder.write("a.lua", "file")
        folder.write("b.lua", "file")
        let host = try ProgramSource(name: "a", file: "host/a.lua", bytes: Array("host".utf8))
        let program = try ProgramSources(path: folder.path + "/main.lua", modules: [host])
        #expect(try program[program.module("a")].file == "host/a.lua")
        program.seal()
        #expect(folder.message { try program.module("a") } == "1")
        #expect(folder.message { try program.module("b") }.hasPrefix("module 'b' not found: "))
    }

    @Test func `a bundle is canonical and comes back`() throws {
        let sources = try [("", "main.lua", "return 1"), ("b", "b.lua", "b"), ("a", "a.lua", "a")].map {
            try ProgramSource(name: $0.0, file: $0.1, bytes: Array($0.2.utf8))
        }
        let parameters = [Bundle.Parameter(name: "n", value: [3]), .init(name: "m", value: [0xC3])]
        let recordings = [Bundle.Recording(call: "read", argument: "x.csv", result: [1, 2])]
        let bundle = Bundle(sources: sources, parameters: parameters, recordings: recordings, seed: 7)
        let other = Bundle(
            sources: [sources[0], sources[2], sources[1]], parameters: parameters.reversed(), recordings: recordings,
            seed: 7)
        #expect(bundle.bytes == other.bytes && bundle.hash == other.hash)
        #expect(bundle.hash != Bundle(sources: sources, parameters: parameters, seed: 7).hash)
        #expect(bundle.hash != Bundle(sources: sources, parameters: parameters, recordings: recordings, seed: 8).hash)

        let back = try #require(Bundle(bytes: bundle.bytes))
        #expect(back.hash == bundle.hash && back.parameters == bundle.parameters && back.seed == 7)
        #expect(try back.program().module("b") == 1)
        for length in 0..<bundle.bytes.count { #expect(Bundle(bytes: Array(bundle.bytes.prefix(length))) == nil) }
        #expect(Bundle(bytes: bundle.bytes + [0]) == nil)
    }
}
