import Testing

/// `handout-lua init`.
@Suite struct InitTests {
    private let folder = Folder()

    @Test func `a new project checks, runs and passes its tests`() {
        let made = Tool.run(["init"], in: folder)
        #expect(
            made.output
                == """
                wrote main.lua
                wrote main_test.lua
                wrote README.md
                wrote .gitignore
                wrote .luarc.json
                wrote .luacheckrc
                wrote stylua.toml
                wrote lua/handout.d.lua
                wrote lua/handout.test.d.lua
                next:
                  handout-lua check main.lua
                  handout-lua run main.lua
                  handout-lua test

                """)
        #expect(made.errorText == "")
        #expect(made.status == 0)
        let checked = Tool.run(["check", "main.lua"], in: folder)
        #expect(checked.errorText == "")
        #expect(checked.status == 0)
        let ran = Tool.run(["run", "main.lua", "-p", "least=6", "--progress", "none"], in: folder)
        #expect(ran.output == "{\n  \"words\": {\"always\":1,\"answer\":2}\n}\n")
        #expect(ran.status == 0)
        let tested = Tool.run(["test"], in: folder)
        #expect(tested.output.hasSuffix("\n3 tests passed\n"))
        #expect(tested.errorText == "")
        #expect(tested.status == 0)
    }

    @Test func `a folder is made, and what it holds is never overwritten`() {
        let made = Tool.run(["init", "deep/project"], in: folder)
        #expect(
            made.output.hasSuffix(
                "next:\n  cd deep/project\n  handout-lua check main.lua\n  handout-lua run main.lua\n  handout-lua test\n"
            ))
        #expect(
            contents(of: folder.path + "/deep/project/lua/handout.d.lua")
                == contents(of: packageFolder + "/lua/handout.d.lua"))
        #expect(made.status == 0)
        folder.write("README.md", "mine")
        let refused = Tool.run(["init"], in: folder)
        #expect(refused.errorText == "init: 'README.md' is already there: nothing was written\n")
        #expect(refused.output == "")
        #expect(refused.status == 2)
        #expect(contents(of: folder.path + "/README.md") == Array("mine".utf8))
        #expect(contents(of: folder.path + "/main.lua") == nil)
    }

    @Test func `a folder that cannot be made`() {
        folder.write("file", "")
        let result = Tool.run(["init", "file/x"], in: folder)
        #expect(result.errorText == "init: 'file/x': Not a directory\n")
        #expect(result.status == 3)
    }
}
