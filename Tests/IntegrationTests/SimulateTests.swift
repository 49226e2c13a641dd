import Testing

@Suite struct SimulateTests {
    private let instance = """
        {"name": "small", "tasks": [
          {"id": "a", "resources": {"cpu": 1}, "runtime": 4},
          {"id": "b<\\u001b>", "resources": {"cpu": 1}, "runtime": 2, "deps": [{"task": "a", "bytes": 30}]}],
         "workers": [{"id": "slow", "resources": {"cpu": 2}, "price": 1},
                     {"id": "fast", "speed": 2, "resources": {"cpu": 1}, "price": 3}],
         "network": {"bandwidth": 10, "latency": 1}}
        """

    private func folder() -> Folder {
        let folder = Folder()
        folder.write("small.json", instance)
        return folder
    }

    @Test func `one allocator prints its figures and the schedule`() {
        let folder = folder()
        let result = Tool.run(["simulate", "small.json", "--allocator", "heft"], in: folder)
        #expect(result.status == 0)
        #expect(
            result.output == """
                allocator  makespan  cost  utilisation  bytes moved
                heft       3         9     50 %         0

                start  finish  worker  task
                0      2       fast    a
                2      3       fast    b<\\u{1b}>

                """)
    }

    @Test func `several are compared, and a late one is said to be late`() {
        let folder = folder()
        let arguments = ["simulate", "small.json", "--allocator", "time", "--allocator", "cost", "--deadline", "2.5"]
        let result = Tool.run(arguments + ["--evaluations", "100"], in: folder)
        #expect(
            result.output == """
                allocator  makespan  cost  utilisation  bytes moved
                time       3 (late)  9     50 %         0
                cost       3 (late)  9     50 %         0

                """)
    }

    @Test func `as JSON one is an object and several are a list`() {
        let folder = folder()
        let one = Tool.run(
            ["simulate", "small.json", "--allocator", "cost", "--json", "--evaluations", "100"], in: folder)
        #expect(
            one.output == #"{"allocator":"cost","makespan":6.0,"cost":3.0,"utilisation":0.25,"bytes_moved":0.0,"#
                + #""schedule":[{"task":"a","worker":"slow","start":0.0,"finish":4.0},"#
                + #"{"task":"b\u003c\u001b\u003e","worker":"slow","start":4.0,"finish":6.0}]}"# + "\n")
        let two = Tool.run(
            ["simulate", "small.json", "--allocator", "heft", "--allocator", "peft", "--json"], in: folder)
        #expect(two.output.hasPrefix(#"[{"allocator":"heft","#))
        #expect(two.output.hasSuffix("]}]\n"))
    }

    @Test func `the picture escapes names`() {
        let folder = folder()
        let result = Tool.run(["simulate", "small.json", "--allocator", "heft", "--gantt", "out.svg"], in: folder)
        #expect(result.status == 0)
        let picture = String(decoding: contents(of: folder.path + "/out.svg") ?? [], as: UTF8.self)
        #expect(picture.contains("<title>b&lt;\\u{1b}&gt;: 2 to 3</title>"))
        #expect(!picture.contains("\u{1b}") && !picture.contains("b<"))
    }

    @Test func `what cannot be read or chosen is refused`() {
        let folder = folder()
        folder.write("bad.json", #"{"tasks": [{"id": "a"}], "workers": [{"id": "w"}]}"#)
        let bad = Tool.run(["simulate", "bad.json"], in: folder)
        #expect(bad.status == 2)
        #expect(bad.errorText == "bad.json: tasks[0].runtime: missing\n")
        let missing = Tool.run(["simulate", "none.json"], in: folder)
        #expect(missing.status == 3)
        #expect(missing.errorText == "none.json: No such file or directory\n")
        let unknown = Tool.run(["simulate", "small.json", "--allocator", "best"], in: folder)
        #expect(unknown.status == 2)
        #expect(
            unknown.errorText
                == "--allocator: expected time, cost, first-available, load-balanced, locality, heft, peft, cpop, min-min, max-min, lookahead or a file of Lua, got 'best'\n"
        )
    }
}
