import Glibc
import Testing

/// What tasks ask for, and what a run allows them.
@Suite struct GrantTests {
    private let folder = Folder()

    private func run(_ body: String, _ arguments: [String] = [], environment: [String] = []) -> Tool.Result {
        folder.tool(
            "run", graphScript(body), ["--progress", "none", "-j", "1"] + arguments, environment: environment)
    }

    private let asking = """
        g:task("align", { grant = { exec = { "true" }, read = { "/usr" } } }, function() return handout.exec{ "true" }.code end)
        g:map("m", { over = { 1 }, grant = { exec = { "true" }, env = { "SOME" } } }, function() return handout.env("SOME") end)
        """

    // MARK: - Before anything runs

    @Test func `a run is refused that does not allow what its tasks ask for, one line a thing`() {
        let result = run(asking)
        #expect(result.status == 2)
        #expect(result.output == "")
        #expect(
            result.errorText == """
                t.lua:4: task 'align' asks for exec 'true': allow it with --allow exec=true (or -A for all that the script asks for)
                t.lua:4: task 'align' asks for read '/usr': allow it with --allow read=/usr (or -A for all that the script asks for)
                t.lua:5: task 'm' asks for env 'SOME': allow it with --allow env=SOME (or -A for all that the script asks for)

                """)
    }

    @Test func `what is allowed comes from options and from the environment`() {
        let outputs = "{\n  \"align\": 0,\n  \"m\": [\"value\"]\n}\n"
        let some = "SOME=value"
        for arguments in [
            ["-A"], ["--allow", "all"], ["--allow", "exec=false,true,read=/usr", "--allow", "env=SOME"],
            ["--allow", "exec=true", "--allow", "read=/", "--allow", "env=OTHER,SOME"],
        ] {
            let result = run(asking, arguments, environment: [some])
            #expect(result.errorText == "")
            #expect(result.output == outputs)
        }
        for allow in ["all", "exec=true read=/usr env=SOME", "exec=true,read=/usr,env=SOME"] {
            #expect(run(asking, environment: [some, "HANDOUT_ALLOW=\(allow)"]).output == outputs)
        }
    }

    @Test func `what cannot be allowed is said`() {
        let cases = [
            (
                "exe=a",
                "expected all, or exec=, read=, write=, env= or host= and names, got 'exe=a' (did you mean 'exec'?)"
            ),
            ("", "expected all, or exec=, read=, write=, env= or host= and names, got ''"),
            ("exec=", "expected a name after 'exec=', got 'exec='"),
            ("exec=a,", "expected a name after 'exec=', got 'exec=a,'"),
        ]
        for (text, said) in cases {
            let result = run("", ["--allow", text])
            #expect(result.status == 2)
            #expect(result.errorText == "--allow: \(said)\n")
        }
        #expect(run("", environment: ["HANDOUT_ALLOW=x"]).errorText.hasPrefix("HANDOUT_ALLOW: expected all"))
    }

    @Test func `check lists what is asked for, with json too`() {
        let lines = folder.tool("check", graphScript(asking)).output
        #expect(
            lines == """
                graph 'x': 2 tasks, 0 edges, depth 1
                task 'align' asks for exec 'true'
                task 'align' asks for read '/usr'
                task 'm' asks for env 'SOME'

                """)
        #expect(
            folder.tool("check", graphScript(asking), ["--json"]).json?["asks"]
                == JSON(
                    """
                    [{"kind":"exec","name":"true","task":"align"},{"kind":"read","name":"/usr","task":"align"},\
                    {"kind":"env","name":"SOME","task":"m"}]
                    """))
    }

    @Test(arguments: [("y", 0), ("n", 2), ("", 2)])
    func `on a terminal the user is asked once`(answer: String, status: Int) {
        folder.write("t.lua", graphScript("g:task(\"t\", { grant = { exec = { \"true\" } } }, function() end)"))
        let command = "echo '\(answer)' | script -qec \"'\(Tool.path)' run t.lua --progress none\" /dev/null"
        let result = Tool.run(["-c", command], in: folder, program: "/bin/sh")
        #expect(Int(result.status) == status)
        #expect(result.output.contains("t.lua:4: task 't' asks for exec 'true'"))
        #expect(result.output.contains("Allow this for the run? [y/N] "))
    }

    // MARK: - The environment and secrets

    @Test func `secrets are read by tasks and shown in no log, message or event`() {
        folder.write("token", "from-a-file\n")
        let result = run(
            """
            g:task("t", { grant = { env = { "TOKEN", "SOME", "NONE" } } }, function()
              handout.log("info", "%s %s", handout.env("TOKEN"), handout.env("SOME"))
              print(handout.env("TOKEN") .. handout.env("TOKEN"))
              handout.progress(0.5, handout.env("SOME"))
              assert(handout.env("NONE") == nil and #handout.env("TOKEN") == 11)
              error("it was " .. handout.env("TOKEN"))
            end)
            """, ["-A", "--secret", "TOKEN=@token", "--events", "events", "--json"], environment: ["SOME=some-value"])
        #expect(result.json?["failures"]?[0]?["message"]?.string == "t.lua:9: it was ***")
        let shown =
            result.output + result.errorText
            + String(decoding: contents(of: folder.path + "/events") ?? [], as: UTF8.self)
        #expect(shown.contains("*** ***") && shown.contains("******"))
        #expect(!shown.contains("from-a-file") && !shown.contains("some-value"))
    }

    @Test func `what is wrong with a secret is said, without its value`() {
        #expect(run("", ["--secret", "NIX"]).errorText == "--secret: 'NIX' is not set in the environment\n")
        #expect(
            run("", ["--secret", "A=b"]).errorText
                == "--secret: expected NAME or NAME=@file, got a value on the command line\n")
        #expect(
            run("", ["--secret", "A=@none"]).errorText == "--secret A: 'none': No such file or directory\n")
    }

    @Test func `a refused grant is not tried again`() {
        let result = run(
            "g:task(\"t\", { retries = 3 }, function() return handout.env(\"HOME\") end)", ["--json"])
        #expect(result.json?["failures"]?.elements.count == 1)
        #expect(result.json?["failures"]?[0]?["attempt"] == .integer(1))
        #expect(
            result.json?["failures"]?[0]?["message"]?.string
                == "t.lua:4: env: 'HOME' is not granted: the task asks for it with grant = { env = { \"HOME\" } }")
    }

    @Test func `a graph's grant is that of its tasks which have none`() {
        let result = folder.tool(
            "run",
            """
            local handout = require "handout"
            local g = handout.graph{ name = "x", grant = { env = { "SOME" } } }
            g:task("a", function() return handout.env("SOME") end)
            g:task("b", { grant = {} }, function() return tostring(select(2, pcall(handout.env, "SOME"))) end)
            return g
            """, ["-A", "--progress", "none"], environment: ["SOME=1"])
        #expect(
            result.output == """
                {
                  "a": "1",
                  "b": "env: 'SOME' is not granted: the task asks for it with grant = { env = { \\"SOME\\" } }"
                }

                """)
    }
}
