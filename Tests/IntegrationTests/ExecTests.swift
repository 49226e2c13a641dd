import Glibc
import Testing

/// `handout.exec`: programs that tasks start.
@Suite struct ExecTests {
    private let folder = Folder()

    /// Runs one task whose function has `exec` and `try`.
    private func task(
        _ body: String, options: String = "",
        grant: String = "exec = { \"sh\", \"cat\", \"head\", \"sort\", \"nosuch\", \"./program\" }",
        _ arguments: [String] = [], environment: [String] = []
    ) -> Tool.Result {
        let script = graphScript(
            """
            local function try(words)
              local ok, value = pcall(handout.exec, words)
              if not ok then return "! " .. tostring(value) end
              value.seconds = value.seconds >= 0 or nil
              return value
            end
            g:task("t", { grant = { \(grant) }, \(options) }, function()
              local exec, sh = handout.exec, function(text) return handout.exec{ "sh", "-c", text } end
              \(body)
            end)
            """)
        return folder.tool(
            "run", script, ["--progress", "none", "--json", "-A", "-j", "1"] + arguments, limit: 30,
            environment: environment)
    }

    private func value(_ body: String, grant: String? = nil, environment: [String] = []) -> JSON? {
        let result =
            grant.map { task(body, grant: $0, environment: environment) } ?? task(body, environment: environment)
        #expect(result.errorText == "")
        return result.json?["outputs"]?["t"]
    }

    @Test func `a program's output, errors and status come back`() {
        #expect(
            value(
                """
                return { try{ "sh", "-c", "echo out; echo err >&2" }, try{ "cat", stdin = "text" }, try{ "sh", "-c", "exit 3", check = false },
                  try{ "sh", "-c", "kill -9 $$", check = false }, try{ "sh", "-c", "echo $0 $1", 5, 1.5 } }
                """)
                == JSON(
                    """
                    [{"code":0,"seconds":true,"stderr":"err\\n","stdout":"out\\n"},{"code":0,"seconds":true,"stderr":"","stdout":"text"},\
                    {"code":3,"seconds":true,"stderr":"","stdout":""},{"code":137,"seconds":true,"signal":9,"stderr":"","stdout":""},\
                    {"code":0,"seconds":true,"stderr":"","stdout":"5 1.5\\n"}]
                    """))
    }

    @Test func `what fails is said with the end of its errors`() {
        folder.write("program", "no program")
        let said = value(
            """
              return { try{ "sh", "-c", "echo why >&2; exit 3" }, try{ "sh", "-c", "exit 4" }, try{ "sh", "-c", "kill -15 $$" }, try{ "nosuch" }, try{ "./program" },
                try{ "ls" }, try{}, try{ "sh", true }, try{ "sh", chek = true }, try{ "cat", stdin = "a", stdin_file = "b" }, try{ "cat", stdin_file = "nix" },
                try{ "sh", "-c", "a\\0b" }, try{ "sh", cwd = "nix" }, try{ "sh", env = { ["a=b"] = 1 } }, try{ "sh", env = 1 }, try{ "cat", stdout = "file" }, try{ { "cat" }, 5 },
                try{ "sh", "-c", "while :; do :; done", timeout = "50ms" }, #tostring(select(2, pcall(exec, { "sh", "-c", "yes | head -c 9000 >&2; exit 1" }))) }
            """)
        #expect(
            said?.elements.compactMap(\.string) == [
                "! exec: 'sh' exited 3: why", "! exec: 'sh' exited 4", "! exec: 'sh' was ended by signal 15",
                "! exec: 'nosuch' was not found in PATH", "! exec: './program' is no program",
                "! exec: 'ls' is not granted: the task asks for it with grant = { exec = { \"ls\" } }",
                "! exec: expected a program and its arguments, got none",
                "! exec: argument 1: expected a string or a number, got true",
                "! exec: unknown option \"chek\" (did you mean 'check'?)",
                "! exec: stdin and stdin_file: expected one of them", "! exec: stdin: No such file or directory",
                "! exec: argument 2: a zero byte",
                "! exec: 'sh' cannot be started in '\(folder.path)/nix': No such file or directory",
                "! exec: env: expected names of variables as keys", "! exec: env: expected a table of names and values",
                "! exec: stdout: 'file' is not granted: the task asks for it with grant = { write = { \"file\" } }",
                "! exec: part 2 of the pipeline: expected a table of words",
                "! exec: 'sh' ran longer than 0.05 s (timeout)",
            ])
        #expect(said?.elements.last == .integer("exec: 'sh' exited 1: ".utf8.count + 2048))
    }

    @Test func `a pipeline fails if any part does`() {
        #expect(
            value(
                """
                return { try{ { "sh", "-c", "echo b; echo a" }, { "sort" }, { "cat" } }, try{ { "sh", "-c", "exit 2" }, { "cat" }, check = false },
                  try{ { "sh", "-c", "echo x; echo no >&2; exit 5" }, { "cat" } }, try{ { "cat" }, { "head", "-c", "3" }, stdin = ("x"):rep(1 << 20), check = false }.stdout,
                  try{ { "cat" }, { "nosuch" } } }
                """)
                == JSON(
                    """
                    [{"code":0,"codes":[0,0,0],"seconds":true,"stderr":"","stdout":"a\\nb\\n"},{"code":2,"codes":[2,0],"seconds":true,"stderr":"","stdout":""},\
                    "! exec: 'sh' exited 5: no","xxx","! exec: 'nosuch' was not found in PATH"]
                    """))
    }

    @Test func `files as input and output, and the folder`() {
        folder.write("in", "from a file")
        folder.folder("sub")
        #expect(
            value(
                "return tostring(select(2, pcall(exec, { \"cat\", stdout = \"out/a\" })))",
                grant: "exec = { \"cat\" }, write = { \"out\" }") == .string("exec: stdout: No such file or directory"))
        folder.folder("out")
        #expect(
            value(
                """
                exec{ "cat", stdin_file = "in", stdout = "out/a" }
                exec{ "sh", "-c", "echo one; echo two >&2", stdout = "out/both", stderr = "out/both" }
                exec{ "cat", stdin = ("x"):rep(300000), stdout = "out/big" }
                local here = exec{ "sh", "-c", "pwd", cwd = "sub" }
                return { handout.fs.read("out/a"), handout.fs.read("out/both"), handout.fs.stat("out/big").size, here.stdout, here.stderr,
                  exec{ "cat", stdin_file = "in", stdout = "out/a" }.stdout == nil }
                """, grant: "exec = { \"cat\", \"sh\" }, write = { \"out\" }")
                == JSON("[\"from a file\",\"one\\ntwo\\n\",300000,\"\(folder.path)/sub\\n\",\"\",true]"))
    }

    @Test func `a program has the variables that it was given and no others`() {
        let text = value(
            """
            local lines = {}
            for line in sh("env").stdout:gmatch("[^\\n]+") do
              local name, text = line:match("^([^=]+)=(.*)$")
              if name == "TMPDIR" then text = text == handout.task.scratch end
              if name ~= "PWD" and name ~= "_" and name ~= "SHLVL" and name ~= "OLDPWD" then lines[name] = text end
            end
            lines.set = exec{ "sh", "-c", "echo $A $LANG $OMP_NUM_THREADS", env = { A = 5, LANG = "C" } }.stdout
            return lines
            """, grant: "exec = { \"sh\" }, env = { \"SOME\", \"NONE\" }",
            environment: ["SOME=value", "OTHER=hidden", "HOME=/home/x"])
        #expect(
            text
                == JSON(
                    """
                    {"HOME":"/home/x","LANG":"C.UTF-8","OMP_NUM_THREADS":"1","PATH":"/usr/bin:/bin","SOME":"value","TMPDIR":true,"set":"5 C 1\\n"}
                    """))
    }

    @Test func `the folder of an attempt is there for it only`() {
        folder.folder("tmp")
        let result = task(
            "sh('cd $TMPDIR && mkdir -p a/b && echo x > a/b/f && chmod 0 a/b'); return handout.task.scratch",
            environment: ["TMPDIR=\(folder.path)/tmp"])
        let scratch = result.json?["outputs"]?["t"]?.string ?? ""
        let run = result.json?["run"]?.string ?? "?"
        #expect(scratch.hasPrefix("\(folder.path)/tmp/handout-\(run)-"))
        #expect(access(scratch, F_OK) != 0)
    }

    // MARK: - Ends

    /// Whether every process whose number is in the file is gone, after at most 5 seconds.
    private func areGone(_ name: String, count: Int) -> Bool {
        let begun = time(nil)
        while time(nil) - begun <= 5 {
            let text = String(decoding: contents(of: folder.path + "/" + name) ?? [], as: UTF8.self)
            let processes = text.split(separator: "\n").compactMap { pid_t($0) }
            if processes.count == count, processes.allSatisfy({ kill($0, 0) != 0 && errno == ESRCH }) { return true }
            poll(nil, 0, 10)
        }
        return false
    }

    private let tree = "sh('sleep 60 & echo $! > pids; sleep 60 & echo $! >> pids; echo $$ >> pids; wait')"

    /// The folders of attempts are gone, or will be in a moment.
    private func isWithoutScratch() -> Bool {
        for _ in 0..<500 {
            if Oracle.output("ls -d '\(folder.path)'/handout-* 2>/dev/null").isEmpty { return true }
            poll(nil, 0, 10)
        }
        return false
    }

    @Test func `a timeout ends the program and what it started`() {
        let result = task(tree, options: "timeout = 0.3")
        #expect(result.json?["failures"]?[0]?["kind"]?.string == "timeout")
        #expect(result.json?["failures"]?[0]?["message"]?.string == "timeout of 0.3 s reached")
        #expect(result.json?["failures"]?[0]?["line"] == .integer(11))
        #expect(result.seconds < 20)
        #expect(areGone("pids", count: 3))
    }

    @Test func `what a program leaves behind is ended with it`() {
        let result = task("return sh('sleep 60 & echo $! > pids; echo done').stdout")
        #expect(result.json?["outputs"]?["t"]?.string == "done\n")
        #expect(result.seconds < 20)
        #expect(areGone("pids", count: 1))
    }

    @Test(arguments: [2, 3])
    func `interrupts end it`(count: Int) {
        var sent = 0
        folder.write(
            "t.lua",
            graphScript(
                """
                g:task("t", { grant = { exec = { "sh" } } }, function()
                  handout.exec{ "sh", "-c", "sleep 60 & echo $! > pids; echo $$ >> pids; echo started > started; wait" }
                end)
                g:task("watch", { grant = { exec = { "sh" } } }, function()
                  handout.exec{ "sh", "-c", "until [ -e started ]; do :; done" }
                  handout.log("info", "now")
                end)
                """))
        let result = Tool.run(
            ["run", "t.lua", "-A", "-j", "2", "--progress", "none"], in: folder, limit: 30,
            environment: ["TMPDIR=\(folder.path)"]
        ) {
            process, errors in
            guard errors.contains("now"), sent < count else { return }
            while sent < count {
                sent += 1
                kill(process, SIGINT)
                poll(nil, 0, count == 2 ? 250 : 60)  // signals at once are one
            }
        }
        #expect(!result.isKilled && (result.status == 130 || result.signal == SIGINT))
        #expect(areGone("pids", count: 2))
        #expect(isWithoutScratch())
    }

    /// Looked at every now and then: what it holds, and what those hold that it started.
    @Test(arguments: [
        "exec{ { 'head', '-c', '80000000', '/dev/zero' }, { 'tail', '-c', '80000000' }, { 'sleep', '60' } }",
        "sh('head -c 80000000 /dev/zero | tail -c 80000000 | sleep 60')",
    ])
    func `programs that hold more than the memory of the attempt are ended`(call: String) {
        let result = task(
            call, options: "memory = \"48MiB\"", grant: "exec = { \"sh\", \"head\", \"tail\", \"sleep\" }")
        #expect(result.json?["failures"]?[0]?["kind"]?.string == "memory")
        #expect(result.json?["failures"]?[0]?["message"]?.string == "memory limit of 48 MiB reached")
        #expect(result.seconds < 20)
    }

    @Test func `very many variables do not outlast a deadline`() {
        let result = task(
            "local env = {} for i = 1, 200000 do env['v' .. i] = '' end exec{ 'cat', env = env }",
            options: "timeout = 0.5")
        #expect(result.json?["failures"]?[0]?["kind"]?.string == "timeout")
        #expect(result.seconds < 20)
    }

    @Test func `output beyond the memory of the attempt ends it`() {
        let result = task("return #exec{ \"cat\", \"/dev/zero\" }.stdout", options: "memory = \"16MiB\"")
        #expect(result.json?["failures"]?[0]?["kind"]?.string == "memory")
        #expect(result.json?["failures"]?[0]?["message"]?.string == "memory limit of 16 MiB reached")
        #expect(memoryIsPadded || result.peakMemory <= max(peakMemory(), 128 << 20))
    }

    @Test func `many programs run beside each other`() {
        let script = graphScript(
            """
            local over = {}
            for i = 1, 60 do over[i] = i end
            g:map("m", { over = over, cpu = 0, grant = { exec = { "sh" } } }, function(i)
              return tonumber(handout.exec{ "sh", "-c", "echo $0", i }.stdout)
            end)
            """)
        let result = folder.tool("run", script, ["--progress", "none", "-A", "-j", "8"])
        #expect(result.json?["m"]?.elements == (1...60).map { .integer($0) })
    }
}
