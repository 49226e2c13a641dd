import Glibc
import Testing

/// `handout.fs` and what planning reads.
@Suite struct FileGrantTests {
    private let folder = Folder()

    /// Runs one task whose function has `fs` and `try`, which gives a result or `! message`.
    private func task(_ grant: String, _ body: String, _ arguments: [String] = []) -> JSON? {
        let script = graphScript(
            """
            local fs = handout.fs
            local function try(f, ...)
              local ok, value = pcall(f, ...)
              if ok then return value == nil and "nil" or value end
              return "! " .. tostring(value)
            end
            g:task("t", { grant = { \(grant) } }, function() \(body) end)
            """)
        let result = folder.tool("run", script, ["--progress", "none", "--dir", "d"] + arguments)
        #expect(result.errorText == "")
        return result.json?["t"]
    }

    private func text(_ name: String) -> String? {
        contents(of: folder.path + "/" + name).map { String(decoding: $0, as: UTF8.self) }
    }

    init() {
        folder.folder("d")
        folder.folder("d/data")
        folder.folder("d/.hidden")
        folder.write("d/data/a.txt", "one\ntwo\nthree")
        folder.write("d/data/b.csv", "1\n")
        folder.write("d/.hidden/h.txt", "h")
        folder.folder("d/data/deep")
        folder.write("d/data/deep/c.txt", "c")
        folder.folder("d/out")
        folder.folder("elsewhere")
        folder.write("elsewhere/e.txt", "e")
        folder.link("d/data/link", to: "../.hidden/h.txt")
        folder.link("d/out/link", to: "../data")
        folder.link("d/out/away", to: "../../elsewhere")
    }

    @Test func `files are looked at`() {
        let value = task(
            "",
            """
              local status = fs.stat("data/a.txt")
              return { fs.list("data"), fs.glob("data/*.txt"), fs.glob("**/*.txt"), fs.glob("./data/[!a]*"), fs.glob("nix/*"),
                fs.glob("data/**"), fs.glob("data/d?ep/c.*"), fs.glob("*/a.txt"), status.kind, status.size, status.mtime > 1e9, fs.stat("data").kind, try(fs.stat, "nix"),
                fs.exists("data/a.txt"), fs.exists("nix/x"), fs.hash("data/a.txt"), fs.hash("data/b.csv"),
                fs.ranges("data/a.txt", { bytes = 5 }), fs.ranges("data/a.txt"), try(fs.ranges, "data/a.txt", { bytes = 0 }) }
            """)
        #expect(
            value
                == JSON(
                    """
                    [["a.txt","b.csv","deep","link"],["data/a.txt"],["data/a.txt","data/deep/c.txt"],\
                    ["./data/b.csv","./data/deep","./data/link"],[],\
                    ["data/a.txt","data/b.csv","data/deep","data/deep/c.txt","data/link"],["data/deep/c.txt"],["data/a.txt"],\
                    "file",13,true,"directory","nil",true,false,\
                    "058053d87c818d699cde0f00d670bca0e1c6ad857caa9758ea6a556d7c64fcee",\
                    "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865",\
                    [{"length":8,"offset":0,"path":"data/a.txt"},{"length":5,"offset":8,"path":"data/a.txt"}],\
                    [{"length":13,"offset":0,"path":"data/a.txt"}],"! fs.ranges: bytes: expected at least 1, got 0"]
                    """))
    }

    @Test func `files are made, changed and removed where it was granted`() {
        let value = task(
            "write = { \"out\", \"made\" }",
            """
              return { try(fs.mkdir, "out/x/y"), try(fs.write, "out/x/f", "one"), try(fs.append, "out/x/f", " two"), try(fs.append, "out/new", "n"),
                fs.read("out/x/f"), try(fs.copy, "data/a.txt", "out/copy"), try(fs.rename, "out/copy", "out/x/moved"), try(fs.remove, "out/x"),
                try(fs.remove, "out/x/y"), fs.list("out/x"), try(fs.mkdir, "made/deep"), try(fs.write, "out/none/f", ""), try(fs.write, "out/x", ""),
                try(fs.remove, "out/nix"), try(fs.write, "out/x/f", 5) }
            """)
        #expect(
            value
                == JSON(
                    """
                    ["nil","nil","nil","nil","one two","nil","nil","! fs.remove: 'out/x': Directory not empty","nil",["f","moved"],"nil",\
                    "! fs.write: 'out/none/f': No such file or directory","! fs.write: 'out/x': Is a directory",\
                    "! fs.remove: 'out/nix': No such file or directory","nil"]
                    """))
        #expect(text("d/out/x/f") == "5" && text("d/out/x/moved") == "one\ntwo\nthree" && text("d/out/new") == "n")
    }

    @Test func `nothing is written that was not granted, is hidden, is led to by a link or is the program's own`() {
        let value = task(
            "write = { \"out\", \".hidden\", \".handout\" }",
            """
              return { try(fs.write, "data/a.txt", "x"), try(fs.write, "out/../data/a.txt", "x"), try(fs.write, "out/.h", "x"), try(fs.append, "out/link/a.txt", "x"),
                try(fs.write, "out/link/a.txt", "x"), try(fs.write, "out/away/e.txt", "x"), try(fs.rename, "out/link", "data/l"), try(fs.remove, "data/a.txt"),
                try(fs.copy, "data/a.txt", "/tmp/x"), try(fs.write, ".handout/x", "x"), try(fs.mkdir, "../x"), try(fs.write, "", "x") }
            """, ["--allow", "write=.hidden,.handout"])
        let notGranted = { (call: String, path: String) in
            "! fs.\(call): '\(path)' is not granted: the task asks for it with grant = { write = { \"\(path)\" } }"
        }
        let link = "is or passes through a symbolic link"
        #expect(
            value?.elements.map(\.string) == [
                notGranted("write", "data/a.txt"), notGranted("write", "out/../data/a.txt"),
                "! fs.write: 'out/.h': hidden files and folders are not written",
                "! fs.append: 'out/link/a.txt': \(link)", "! fs.write: 'out/link/a.txt': \(link)",
                "! fs.write: 'out/away/e.txt': \(link)", notGranted("rename", "data/l"),
                notGranted("remove", "data/a.txt"),
                notGranted("copy", "/tmp/x"),
                "! fs.write: '.handout/x' is the program's own, or the store's: it is never written",
                notGranted("mkdir", "../x"), "! fs.write: the path is empty",
            ])
        #expect(text("d/data/a.txt") == "one\ntwo\nthree" && text("elsewhere/e.txt") == "e")
    }

    @Test func `a script does not write itself`() {
        let result = folder.tool(
            "run",
            graphScript(
                "g:task(\"t\", { grant = { write = { \".\" } } }, function() return tostring(select(2, pcall(handout.fs.write, \"t.lua\", \"\"))) end)"
            ), ["--progress", "none"])
        #expect(
            result.json?["t"]?.string == "fs.write: 't.lua' is the program's own, or the store's: it is never written")
    }

    @Test func `outside of the run directory files are read and written that are asked for and allowed`() {
        let elsewhere = folder.path + "/elsewhere"
        folder.write("elsewhere/.secret", "s")
        folder.link("elsewhere/up", to: "../d/data/a.txt")
        let value = task(
            "read = { \"../elsewhere\" }, write = { \"\(elsewhere)\" }",
            """
              return { fs.read("../elsewhere/e.txt"), fs.list("\(elsewhere)"), fs.glob("../elsewhere/*.txt"), try(fs.read, "../elsewhere/.secret"),
                try(fs.read, "../elsewhere/up"), try(fs.write, "../elsewhere/new", "n") }
            """, ["--allow", "read=../elsewhere,write=\(elsewhere)"])
        #expect(
            value
                == JSON(
                    """
                    ["e",["e.txt","up"],["../elsewhere/e.txt"],"! fs.read: '../elsewhere/.secret': hidden files and folders are not read",\
                    "! fs.read: '../elsewhere/up': leads out of the run directory","nil"]
                    """))
        #expect(text("elsewhere/new") == "n")
    }

    @Test func `reading that a link leads to a hidden place is refused`() {
        #expect(
            task("", "return { try(fs.read, \"data/link\"), try(fs.hash, \"data/link\") }")
                == JSON(
                    "[\"! fs.read: 'data/link': hidden files and folders are not read\",\"! fs.hash: 'data/link': hidden files and folders are not read\"]"
                ))
    }

    // MARK: - While planning

    @Test func `planning reads files and lists paths, and tasks see the same`() {
        let script = graphScript(
            """
            local ok, message = pcall(handout.read, "nix")
            local text, names = handout.read("data/a.txt"), handout.glob("data/**/*.txt")
            for i, name in ipairs(names) do g:task("n" .. i, function() return { name, #text } end) end
            g:task("all", function() return { text, message } end)
            """)
        let result = folder.tool("run", script, ["--progress", "none", "--dir", "d"])
        #expect(
            result.output == """
                {
                  "all": ["one\\ntwo\\nthree","read: 'nix': No such file or directory"],
                  "n1": ["data/a.txt",13],
                  "n2": ["data/deep/c.txt",13]
                }

                """)
    }
}
