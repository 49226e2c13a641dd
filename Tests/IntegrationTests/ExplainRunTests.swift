import Testing

/// `handout-lua explain --events`: real runs, while they go on and afterwards.
@Suite struct ExplainRunTests {
    /// `hold` runs until the file that `go` names is there.
    private static let script = """
        local handout = require "handout"
        local go = handout.param "go"
        local g = handout.graph { name = "live", limits = { db = 1 } }
        local load = g:map("load", { over = { 1, 2, 3 }, resources = { db = 1 }, grant = { exec = { "sh" } } }, function(x)
          if x == 1 then
            handout.log("info", "holds")
            handout.exec { "sh", "-c", "while [ ! -e " .. go .. " ]; do sleep 0.02; done" }
          end
          return x
        end)
        local flaky = g:task("flaky", { retries = 1, backoff = "10ms" }, function()
          if handout.task.attempt == 1 then error("not yet", 0) end
          return 1
        end)
        local bad = g:task("bad", function() error("broken", 0) end)
        g:task("report", { needs = { load, flaky } }, function() return 1 end)
        g:task("after_bad", { needs = { bad } }, function() return 1 end)
        return g

        """

    /// The text of an explanation with every time as T.
    private static func timeless(_ text: String) -> String {
        var result = "", isNumber = false
        for character in text {
            let belongs = character.isNumber || isNumber && character == "."
            if belongs && !isNumber && (result.isEmpty || result.last == " ") {
                isNumber = true
                result.append("T")
            } else if !(belongs && isNumber) {
                isNumber = false
                result.append(character)
            }
        }
        return result
    }

    private static func explain(
        _ tasks: [String], in folder: Folder, _ more: [String] = [], script: String = "t.lua"
    ) -> Tool.Result {
        Tool.run(
            ["explain", script] + tasks + ["-p", "go=\(folder.path)/go", "--events", "events.jsonl"] + more, in: folder)
    }

    /// Runs the script; `whileHeld` is called while `load[1]` runs, and what it waits for is written.
    private static func run(_ script: String, in folder: Folder, _ whileHeld: @escaping () -> Void) -> Tool.Result {
        folder.write("t.lua", script)
        var isHeld = false
        return Tool.run(
            [
                "run", "t.lua", "-j8", "-A", "--keep-going", "--events", "events.jsonl", "--progress", "none", "-p",
                "go=\(folder.path)/go",
            ], in: folder
        ) { _, errors in
            guard !isHeld, errors.contains("holds") else { return }
            isHeld = true
            whileHeld()
            folder.write("go", "")
        }
    }

    /// Explains until the answer is there: events are written ten times a second.
    private static func poll(_ tasks: [String], in folder: Folder, until text: String) -> String {
        for _ in 0..<40 {
            let result = explain(tasks, in: folder)
            if timeless(result.output).contains(text) { return timeless(result.output) }
        }
        return timeless(explain(tasks, in: folder).output)
    }

    @Test func `while the run goes on it says what is waited for, and afterwards what was`() {
        let folder = Folder()
        var held: [String] = []
        let result = Self.run(Self.script, in: folder) {
            held.append(Self.poll(["after_bad"], in: folder, until: "after_bad: skipped"))
            held.append(Self.poll(["flaky"], in: folder, until: "flaky: done"))
            held.append(Self.poll(["load[2]", "report", "load[1]", "load"], in: folder, until: "load[2]: ready"))
        }
        #expect(result.status == 1)
        #expect(
            held == [
                """
                after_bad: skipped (t.lua:17)
                  skipped, because 'bad', which it needs, failed
                  as of T s, the last event

                """,
                """
                flaky: done on local, ran from T s to T s (t.lua:11)
                  ready at T s
                  T s: attempt T: placed on local
                  T s: attempt T on local failed (error): not yet at t.lua:12; tried again from T s on
                  T s: attempt T: placed on local
                  as of T s, the last event

                """,
                """
                load[2]: ready since T s, waits (t.lua:4)
                  ready at T s
                  since T s: waits
                    T db wanted, T of T free in the whole run (held by load[1])
                  as of T s, the last event
                  running: load[1] on local since T s

                report: waits for what it needs (t.lua:16)
                  waits for:
                    load[1], running on local since T s
                    load[2], ready
                    load[3], ready
                  as of T s, the last event

                load[1]: runs on local since T s (t.lua:4)
                  ready at T s
                  T s: placed on local
                  as of T s, the last event

                load: its instances go on (t.lua:4)
                  T instances: T done, T running, T waiting; ask for one of them: explain … 'load[1]'
                  as of T s, the last event

                """,
            ])
        let after = Self.explain(["load[2]", "bad"], in: folder)
        #expect(
            Self.timeless(after.output) == """
                load[2]: done on local, ran from T s to T s (t.lua:4)
                  ready at T s
                  T s to T s: waited T s
                    T db wanted, T of T free in the whole run (held by load[1])
                  T s: placed on local
                  the run ended at T s

                bad: failed (t.lua:15)
                  ready at T s
                  T s: placed on local
                  T s: attempt T on local failed (error): broken at t.lua:15
                  the run ended at T s

                """)
    }

    @Test func `the reasons of a strategy's filter come with the events`() {
        let folder = Folder()
        let script = Self.script.replacing(
            "return g\n",
            with: """
                local first = g:task("first", function() return 1 end)
                g:task("night", { needs = { first }, cpu = 2 }, function() return 1 end)
                g:allocator(handout.allocator {
                  filter = function(task, worker)
                    if task.name == "night" and worker.free.cpu < worker.total.cpu + 1 then return false, "not by day" end
                    return true
                  end,
                })
                return g

                """)
        var held = ""
        let result = Self.run(script, in: folder) {
            held = Self.poll(["night"], in: folder, until: "filter said no")
        }
        #expect(result.status == 1)
        #expect(
            held == """
                night: ready since T s, waits (t.lua:19)
                  ready at T s, when first had ended
                  since T s: waits
                    local: the strategy's filter said no: not by day
                  as of T s, the last event
                  running: load[1] on local since T s

                """)
    }

    @Test func `a file that is not whole is read as far as it goes, one of another script is refused`() throws {
        let folder = Folder()
        _ = Self.run(Self.script, in: folder) {}
        let whole = try #require(contents(of: folder.path + "/events.jsonl"))
        let lines = whole.split(separator: UInt8(ascii: "\n"))
        let started = try #require(lines.firstIndex { String(decoding: $0, as: UTF8.self).contains("task_started") })
        folder.write("events.jsonl", Array(lines[...started].joined(separator: [10])) + Array("\n{\"seq\":9,\"ti".utf8))
        #expect(Self.explain(["report"], in: folder).output.contains("report: waits for what it needs"))

        folder.write("other.lua", Self.script.replacing("\"live\"", with: "\"dead\""))
        folder.write("events.jsonl", whole)
        let other = Self.explain(["report"], in: folder, script: "other.lua")
        #expect(other.status == 2 && other.output == "")
        #expect(
            other.errorText == "--events: 'events.jsonl': it is of graph 'live', and other.lua makes graph 'dead': "
                + "expected the script and parameters of that run\n")
        folder.write("other.lua", Self.script.replacing("g:task(\"bad\"", with: "g:task(\"good\""))
        let lacks = Self.explain(["report"], in: folder, script: "other.lua").errorText
        #expect(
            lacks.hasPrefix("--events: 'events.jsonl': line ")
                && lacks.hasSuffix(": other.lua has no task 'bad': expected the script and parameters of that run\n"),
            "\(lacks)")
    }

    @Test func `what is no file of events is one error`() {
        let folder = Folder()
        folder.write("t.lua", Self.script)
        let none = Self.explain(["report"], in: folder)
        #expect(none.status == 3)
        #expect(none.errorText == "--events: 'events.jsonl': No such file or directory\n")
        folder.write("events.jsonl", "")
        #expect(Self.explain(["report"], in: folder).errorText == "--events: 'events.jsonl': no events yet\n")
        folder.write("events.jsonl", "{\"x\":1}\n")
        let wrong = Self.explain(["report"], in: folder)
        #expect(wrong.status == 2)
        #expect(
            wrong.errorText
                == "--events: 'events.jsonl': line 1: expected an event, a JSON object with 'time' and 'kind'\n")
    }
}
