import Glibc
import Testing

/// Trackers in runs, with the whole program.
@Suite struct TrackerRunTests {
    private func folder(_ script: String, _ tracker: String) -> Folder {
        let folder = Folder()
        folder.write("s.lua", "local handout = require 'handout'\nlocal g = handout.graph 's'\n\(script)\nreturn g\n")
        folder.write("t.lua", "local handout = require 'handout'\n\(tracker)\n")
        return folder
    }

    /// `environment`: more of it, such as another `PATH`.
    private func run(_ folder: Folder, _ more: [String] = [], environment: [String] = []) -> Tool.Result {
        let arguments = ["run", "s.lua", "--tracker", "t.lua", "-j", "2", "--progress", "none", "--events", "e.jsonl"]
        return Tool.run(environment + [Tool.path] + arguments + more, in: folder, program: "/usr/bin/env")
    }

    private func events(_ folder: Folder, _ kinds: String...) -> [JSON] {
        (contents(of: folder.path + "/e.jsonl") ?? []).split(separator: UInt8(ascii: "\n"))
            .compactMap { JSON(Array($0)) }.filter { kinds.contains($0["kind"]?.string ?? "") }
    }

    @Test func `licences of a server and a price in a file are what the worker has`() {
        let folder = folder(
            "g:map('m', { over = { 1, 2, 3 }, resources = { matlab = 2 } }, function(x) return x end)",
            """
            return {
              handout.tracker {
                name = "flexlm", provides = { "matlab" }, scope = "cluster", every = "10s",
                grant = { exec = { "lmutil" } },
                probe = function(state)
                  local r = handout.exec { "lmutil", "lmstat", "-f", "MATLAB", check = false, timeout = "5s" }
                  local total, used = r.stdout:match "Total of (%d+) licenses? issued;%s+Total of (%d+)"
                  if not total then return nil, "lmstat: no answer" end
                  return { matlab = math.max(0, tonumber(total) - (tonumber(used) - state.claimed.matlab)) }
                end,
              },
              handout.tracker {
                name = "spot", every = "1m", grant = { read = { "PRICE" } },
                probe = function() return { price = tonumber(handout.fs.read "PRICE") } end,
              },
            }
            """.replacing("PRICE", with: "price"))
        folder.write("price", "2.5\n")
        folder.write(
            "lmutil",
            "#!/bin/sh\n[ \"$*\" = \"lmstat -f MATLAB\" ] || exit 1\n"
                + "echo 'Users of MATLAB:  (Total of 7 licenses issued;  Total of 4 licenses in use)'\n")
        chmod(folder.path + "/lmutil", 0o755)
        let path = ["PATH=\(folder.path):/usr/bin:/bin"]
        let refused = run(folder, environment: path)
        #expect(refused.status == 2)
        #expect(
            refused.errorText
                == "t.lua: tracker 'flexlm': grant: exec=lmutil is not allowed by this worker (--allow exec=lmutil)\n")
        let run = run(folder, ["--allow", "exec=lmutil"], environment: path)
        #expect(run.output == "{\n  \"m\": [1,2,3]\n}\n", "\(run.errorText)")
        let joined = events(folder, "worker_joined").first
        #expect(joined?["total"]?["matlab"]?.integer == 3 && joined?["price"]?.double == 2.5)
    }

    @Test func `what is found while the run goes on holds: a task waits, and runs when there is enough`() throws {
        let folder = folder(
            """
            g:task("a", { resources = { lic = 2 } }, function() return handout.task.amounts.lic end)
            """,
            """
            local totals = { 1, 2 }
            return handout.tracker {
              name = "t", provides = { "lic" }, every = "1s",
              register = function() return { lic = 5 } end,
              probe = function(state)
                assert(state.worker == "local" and state.claimed.lic)
                return { lic = table.remove(totals, 1) or 2, price = #totals, labels = { left = tostring(#totals) } }
              end,
            }
            """)
        let run = run(folder)
        #expect(run.output == "{\n  \"a\": 2\n}\n" && run.errorText.isEmpty, "\(run.errorText)")
        let changes = events(folder, "worker_joined", "worker_changed", "task_started")
        #expect(changes.map { $0["kind"]?.string } == ["worker_joined", "worker_changed", "task_started"])
        #expect(changes.prefix(2).map { $0["total"]?["lic"]?.integer } == [1, 2])
        #expect(changes.prefix(2).map { $0["labels"]?["left"]?.string } == ["1", "0"])
        #expect(changes.prefix(2).map { $0["price"]?.integer } == [1, 0])
        #expect((changes.last?["time"]?.double ?? 0) >= 1)
    }

    @Test func `a task that needs more than there ever was is refused, also by its labels`() {
        let folder = folder(
            """
            g:task("a", { resources = { lic = 3 } }, function() end)
            g:task("b", { where = { zone = "us" } }, function() end)
            g:task("c", { where = { zone = "eu" }, resources = { lic = 2 } }, function() end)
            """,
            "return handout.tracker { name = 't', provides = { 'lic' }, "
                + "probe = function() return { lic = 2, labels = { zone = 'eu' } } end }")
        let run = run(folder)
        #expect(run.status == 2)
        #expect(
            run.errorText == """
                s.lua:3: task 'a': needs 3 lic, more than any worker has: worker 'local' has 2
                s.lua:4: task 'b': needs a worker of zone us, which none is; there is eu

                """)
    }

    @Test func `what is not known three times in a row is not there, with one warning; what runs goes on`() {
        let folder = folder(
            """
            local a = g:task("a", { resources = { lic = 1 } }, function()
              local begun = os.time() while os.time() < begun + 4 do end
              return 1
            end)
            g:task("b", { needs = a, resources = { lic = 1 } }, function(x) return x + 1 end)
            """,
            """
            local n = 0
            return handout.tracker {
              name = "t", provides = { "lic" }, every = "1s",
              probe = function() n = n + 1 if n > 1 and n < 6 then return nil, "busy" end return { lic = 1 } end,
            }
            """)
        let run = run(folder)
        #expect(run.output == "{\n  \"b\": 2\n}\n")
        #expect(run.errorText == "warning: tracker 't' has not answered 3 times in a row: busy\n")
        #expect(events(folder, "worker_changed").map { $0["total"]?["lic"]?.integer } == [0, 1])
        #expect(
            events(folder, "warning").map { $0["message"]?.string } == [
                "tracker 't' has not answered 3 times in a row: busy"
            ])
        #expect(events(folder, "warning").map { $0["code"]?.string } == ["tracker"])
    }

    @Test func `a tracker is asked before an attempt and told after it; refused, the task waits`() {
        let folder = folder(
            "g:map('m', { over = { 1, 2 }, resources = { lic = 1.5 } }, function(x) return x end)",
            """
            local held, refused = {}, 0
            return handout.tracker {
              name = "t", provides = { "lic", "other" }, every = "1s",
              register = function() return { lic = 3, other = 1 } end,
              request = function(claim)
                if claim.task == "m[2]" and refused < 1 then refused = refused + 1 return false, "not now" end
                held[claim.task] = claim.amounts.lic
                print("request", claim.task, claim.attempt, claim.amounts.lic, claim.amounts.cpu)
              end,
              release = function(claim) print("release", claim.task, held[claim.task]) end,
            }
            """)
        let run = run(folder)
        #expect(run.output == "{\n  \"m\": [1,2]\n}\n")
        #expect(
            run.errorText == """
                tracker: request\tm[1]\t1\t1.5\tnil
                tracker: release\tm[1]\t1.5
                tracker: request\tm[2]\t1\t1.5\tnil
                tracker: release\tm[2]\t1.5

                """)
        let started = events(folder, "task_started")
        #expect(started.map { $0["task"]?.string } == ["m[1]", "m[2]"])
        #expect((started.last?["time"]?.double ?? 0) >= 1)
    }

    @Test func `an endless request counts as refused, with one warning, and the tracker begins anew`() {
        let folder = folder(
            "g:task('a', { resources = { lic = 1 } }, function() return 1 end)",
            """
            return handout.tracker {
              name = "t", provides = { "lic" }, every = "1s", grant = { write = { "seen" } },
              register = function() return { lic = 1 } end,
              request = function()
                if handout.fs.exists "seen" then return true end
                handout.fs.write("seen", "")
                while true do end
              end,
            }
            """)
        let run = run(folder)
        #expect(run.output == "{\n  \"a\": 1\n}\n")
        #expect(run.errorText == "warning: t.lua:8: tracker 't': request: it ran longer than 1 s\n")
        #expect(events(folder, "warning").map { $0["line"]?.integer } == [8])
        #expect(events(folder, "task_started").count == 1 && run.seconds >= 2)
    }

    @Test func `errors are warned of once with their place, and a probe that hangs does not hold up the end of a run`()
    {
        let folder = folder(
            """
            g:task("a", { resources = { lic = 1 } }, function()
              local begun = os.time() while os.time() < begun + 3 do end
              return 1
            end)
            """,
            """
            local n = 0
            return {
              handout.tracker {
                name = "t", provides = { "lic" }, every = "1s",
                register = function() return { lic = 1 } end,
                probe = function() n = n + 1 if n > 1 then error "no" end end,
                release = function() error "gone" end,
              },
            }
            """)
        folder.write(
            "u.lua",
            """
            local n = 0
            return require "handout".tracker {
              name = "u", every = "1s", probe = function() n = n + 1 while n > 1 do end return { price = 1 } end,
            }
            """)
        let run = run(folder, ["--tracker", "u.lua"])
        #expect(run.output == "{\n  \"a\": 1\n}\n")
        #expect(
            run.errorText == """
                warning: t.lua:7: tracker 't': probe: no
                warning: t.lua:8: tracker 't': release: gone

                """)
        #expect(run.seconds < 8)
    }

    @Test func `two trackers of one resource, and files that are none, are refused`() {
        let one =
            "return handout.tracker { name = 't', provides = { 'lic' }, probe = function() return { lic = 1 } end }"
        let folder = folder("g:task('a', function() end)", one)
        folder.write("u.lua", "local handout = require 'handout'\n" + one.replacing("'t'", with: "'u'"))
        let twice = run(folder, ["--tracker", "u.lua"])
        #expect(twice.status == 2)
        #expect(twice.errorText == "tracker 'u': resource 'lic' is provided by tracker 't' before\n")
        folder.write("u.lua", "return 5")
        let none = run(folder, ["--tracker", "u.lua"])
        #expect(none.status == 2)
        #expect(
            none.errorText
                == "u.lua: the file returned 5, expected trackers (return handout.tracker{ ... }, or a list of them)\n")
        let missing = run(folder, ["--tracker", "v.lua"])
        #expect(missing.status == 3)
        #expect(missing.errorText == "--tracker: v.lua: cannot be read: No such file or directory\n")
    }

    @Test func `with --monitor there is no more memory than the machine has free`() throws {
        let folder = folder("g:map('m', { over = { 1, 2 }, memory = '16MiB' }, function(x) return x end)", "")
        let arguments = ["run", "s.lua", "--monitor", "--progress", "none", "--events", "e.jsonl"]
        let run = Tool.run(arguments, in: folder)
        #expect(run.output == "{\n  \"m\": [1,2]\n}\n" && run.errorText.isEmpty, "\(run.errorText)")
        #expect(events(folder, "task_started").map { $0["amounts"]?["memory"]?.integer } == [16 << 20, 16 << 20])
        folder.write(
            "s.lua",
            """
            local g = require("handout").graph "s"
            g:task("n", { memory = "900TiB" }, function() end)
            return g
            """)
        let refused = Tool.run(arguments, in: folder)
        #expect(refused.status == 2)
        #expect(refused.errorText.hasPrefix("s.lua:2: task 'n': needs 900TiB memory, more than any worker has: "))
    }
}
