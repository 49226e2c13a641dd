import Testing

/// Calls in tasks, each put wrongly, and all that they say.
@Suite struct TaskRefusalTests {
    private struct Call {
        var text: String
        var said: String

        init(_ text: String, _ said: String) {
            self.text = text
            self.said = said
        }
    }

    /// Runs each in an attempt of its own: the messages, from line 1 of `t`.
    private func expect(_ calls: [Call], grant: String = "", sourceLocation: SourceLocation = #_sourceLocation) {
        let folder = Folder()
        folder.write("data", "1\n2\n")
        let texts = calls.map { "[==[\($0.text)]==]" }.joined(separator: ",\n")
        let result = folder.tool(
            "run",
            graphScript(
                """
                g:map("m", { over = {
                \(texts) }, grant = { \(grant) } }, function(text)
                  local good, wrong = pcall(load("local handout = require 'handout' " .. text, "=t"))
                  return good and "nothing" or tostring(wrong)
                end)
                """), ["-A", "--json", "--progress", "none"])
        let found = result.json?["outputs"]?["m"]?.elements.compactMap(\.string) ?? [result.errorText]
        #expect(found.count == calls.count, sourceLocation: sourceLocation)
        for (call, said) in zip(calls, found) {
            #expect(said == call.said, "\(call.text)", sourceLocation: sourceLocation)
        }
    }

    @Test func `progress, log, fail and retry`() {
        expect([
            Call("handout.progress(2)", "t:1: progress: expected a fraction from 0 to 1, got 2.0"),
            Call("handout.progress('x')", "t:1: bad argument #1 to 'progress' (number expected, got string)"),
            Call("handout.log('loud', 'x')", "t:1: bad argument #1 to 'log' (invalid option 'loud')"),
            Call("handout.log('info')", "t:1: bad argument #2 to 'log' (string expected, got no value)"),
            Call("handout.fail()", "t:1: bad argument #1 to 'fail' (string expected, got no value)"),
            Call("handout.retry()", "t:1: bad argument #1 to 'retry' (string expected, got no value)"),
            Call("handout.retry('m', 5)", "t:1: bad argument #2 to 'retry' (table expected, got number)"),
            Call(
                "handout.retry('m', { after = 'x' })",
                "t:1: retry: after: expected a duration such as \"1h30m\" or seconds, got \"x\""),
            Call(
                "handout.retry('m', { ended = 'crash' })",
                "t:1: retry: ended: expected \"error\", \"memory\" or \"timeout\""),
            Call(
                "handout.retry('m', { aftr = 1 })", "t:1: retry: unknown option \"aftr\" (did you mean 'after'?)"),
        ])
    }

    @Test func `what is read-only, and what is there while planning only`() {
        let planning = ["graph('x')", "param('x')", "read('x')", "glob('x')"].map { call in
            Call(
                "handout.\(call)",
                "t:1: handout.\(call.prefix { $0 != "(" }) is only there while planning, not in a task")
        }
        expect(
            planning + [
                Call("handout.task.id = 1", "t:1: handout.task is read-only"),
                Call("handout.x = 1", "t:1: handout is read-only: 'x' cannot be assigned"),
                Call("x = 1", "t:1: globals are read-only in a task: 'x' cannot be assigned"),
                Call("string.x = 1", "t:1: string is read-only: 'x' cannot be assigned"),
                Call(
                    "require('nix')", "t:1: module 'nix' was not required while planning: require it outside the task"),
                Call("handout.reads({})", "t:1: handout.reads is not available in this version"),
            ])
    }

    @Test func `what Lua has elsewhere`() {
        let files = ": use handout.read while planning, handout.fs in a task"
        expect([
            Call("io.open('x')", "t:1: io.open is not available\(files)"),
            Call("io.write('x')", "t:1: io.write is not available: use print, or handout.fs in a task"),
            Call("io.popen('x')", "t:1: io.popen is not available: use handout.exec in a task"),
            Call("os.execute('x')", "t:1: os.execute is not available: use handout.exec in a task"),
            Call("os.exit(1)", "t:1: os.exit is not available: use error"),
            Call(
                "os.getenv('x')",
                "t:1: os.getenv is not available: use handout.param while planning, handout.env in a task"),
            Call("os.tmpname()", "t:1: os.tmpname is not available: use handout.task.scratch in a task"),
            Call("dofile('x')", "t:1: dofile is not available: use require"),
            Call("loadfile('x')", "t:1: loadfile is not available: use require"),
            Call("debug.getinfo(1)", "t:1: debug.getinfo is not available"),
            Call("package.loadlib('x')", "t:1: package.loadlib is not available: use require with Lua source"),
            Call("assert(os.time() > 0 and os.clock() and os.date() and os.difftime(1, 0) == 1)", "nothing"),
            Call(
                "setmetatable({}, { __gc = print })",
                "t:1: a metatable with __gc is not available: use a <close> variable"),
        ])
    }

    @Test func `grants that are missing`() {
        func lacking(_ call: String, _ kind: String, _ name: String) -> String {
            "t:1: \(call): '\(name)' is not granted: the task asks for it with grant = { \(kind) = { \"\(name)\" } }"
        }
        expect([
            Call("handout.env('X')", lacking("env", "env", "X")),
            Call("handout.env('')", "t:1: bad argument #1 to 'env' (expected the name of a variable)"),
            Call("handout.host.x()", lacking("host", "host", "x")),
            Call("handout.exec{ 'ls' }", lacking("exec", "exec", "ls")),
            Call("handout.fs.write('x', 'y')", lacking("fs.write", "write", "x")),
            Call("handout.fs.append('x', 'y')", lacking("fs.append", "write", "x")),
            Call("handout.fs.mkdir('x')", lacking("fs.mkdir", "write", "x")),
            Call("handout.fs.remove('x')", lacking("fs.remove", "write", "x")),
            Call("handout.fs.rename('x', 'y')", lacking("fs.rename", "write", "x")),
            Call("handout.fs.copy('data', 'y')", lacking("fs.copy", "write", "y")),
        ])
    }

    @Test func `exec`() {
        expect(
            [
                Call("handout.exec('ls')", "t:1: bad argument #1 to 'exec' (table expected, got string)"),
                Call("handout.exec{}", "t:1: exec: expected a program and its arguments, got none"),
                Call("handout.exec{ '' }", "t:1: exec: the program's name is empty"),
                Call("handout.exec{ 'sh', {} }", "t:1: exec: argument 1: expected a string or a number, got a table"),
                Call("handout.exec{ 'sh', chek = 1 }", "t:1: exec: unknown option \"chek\" (did you mean 'check'?)"),
                Call("handout.exec{ { 'sh' }, 'x' }", "t:1: exec: part 2 of the pipeline: expected a table of words"),
                Call("handout.exec{ 'sh', stdin = 5 }", "t:1: exec: stdin: expected a string"),
                Call(
                    "handout.exec{ 'sh', stdin = 'a', stdin_file = 'b' }",
                    "t:1: exec: stdin and stdin_file: expected one of them"),
                Call("handout.exec{ 'sh', stdin_file = 'nix' }", "t:1: exec: stdin: No such file or directory"),
                Call("handout.exec{ 'sh', stdout = {} }", "t:1: exec: stdout: expected a path"),
                Call("handout.exec{ 'sh', check = 1 }", "t:1: exec: check: expected true or false"),
                Call(
                    "handout.exec{ 'sh', timeout = 'x' }",
                    "t:1: exec: timeout: expected a duration such as \"1h30m\" or seconds, got \"x\""),
                Call("handout.exec{ 'sh', env = 5 }", "t:1: exec: env: expected a table of names and values"),
                Call(
                    "handout.exec{ 'sh', env = { ['a=b'] = 1 } }", "t:1: exec: env: expected names of variables as keys"
                ),
                Call(
                    "handout.exec{ 'sh', env = { a = {} } }",
                    "t:1: exec: env: expected a string or a number, got a table"),
                Call("handout.exec{ 'sh', env = { a = 'x\\0y' } }", "t:1: exec: env: a zero byte"),
                Call("handout.exec{ 'sh', 'a\\0b' }", "t:1: exec: argument 1: a zero byte"),
                Call("handout.exec{ 'nosuch' }", "t:1: exec: 'nosuch' was not found in PATH"),
                Call("handout.exec{ 'sh', '-c', 'echo no >&2; exit 3' }", "t:1: exec: 'sh' exited 3: no"),
                Call("handout.exec{ 'sh', '-c', 'kill -9 $$' }", "t:1: exec: 'sh' was ended by signal 9"),
            ], grant: "exec = { \"sh\", \"nosuch\", \"x\" }")
    }

    @Test func `fs`() {
        expect(
            [
                Call("handout.fs.read('')", "t:1: fs.read: the path is empty"),
                Call("handout.fs.read('a\\0b')", "t:1: fs.read: 'a\\x00b': a path has no zero byte"),
                Call("handout.fs.read('nix')", "t:1: fs.read: 'nix': No such file or directory"),
                Call("handout.fs.read('.')", "t:1: fs.read: '.': is a directory"),
                Call("handout.fs.read('.x')", "t:1: fs.read: '.x': hidden files and folders are not read"),
                Call(
                    "handout.fs.read('data', { offset = -1 })",
                    "t:1: fs.read: offset: expected a whole number, at least 0"),
                Call(
                    "handout.fs.read('data', { length = 'x' })",
                    "t:1: fs.read: length: expected a whole number, at least 0"),
                Call(
                    "handout.fs.read('data', { lenght = 1 })",
                    "t:1: fs.read: unknown option \"lenght\" (did you mean 'length'?)"),
                Call(
                    "assert(handout.fs.read('data', { offset = math.maxinteger, length = math.maxinteger }) == '')",
                    "nothing"),
                Call("handout.fs.read('data', 5)", "t:1: bad argument #2 to 'read' (table expected, got number)"),
                Call("handout.fs.lines('data', { chunk = 0 })", "t:1: fs.lines: chunk: expected at least 1, got 0"),
                Call(
                    "handout.fs.ranges('data', { bytes = 'x' })",
                    "t:1: fs.ranges: bytes: expected a size such as \"512MiB\", got \"x\""),
                Call("handout.fs.ranges('data', { bytes = 0 })", "t:1: fs.ranges: bytes: expected at least 1, got 0"),
                Call("handout.fs.list('nix')", "t:1: fs.list: 'nix': No such file or directory"),
                Call("handout.fs.list('data')", "t:1: fs.list: 'data': Not a directory"),
                Call("handout.fs.hash('.')", "t:1: fs.hash: '.': Is a directory"),
                Call("handout.fs.copy('nix', 'out')", "t:1: fs.copy: 'nix': No such file or directory"),
                Call("handout.fs.write('out', {})", "t:1: bad argument #2 to 'write' (string expected, got table)"),
                Call("handout.fs.write('.x', 'y')", "t:1: fs.write: '.x': hidden files and folders are not written"),
                Call("handout.fs.remove('out')", "t:1: fs.remove: 'out': No such file or directory"),
                Call("handout.fs.rename('out', 'out')", "t:1: fs.rename: 'out': No such file or directory"),
            ], grant: "write = { \"out\" }")
    }
}
