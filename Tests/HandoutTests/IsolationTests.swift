import Glibc
import Handout
import Testing

/// Runs of a program that has its tasks run in processes.
struct IsolationTests {
    /// The built program for runners: in a folder above the test bundle.
    private static let runner: String = {
        var buffer = [CChar](repeating: 0, count: 4096)
        let length = max(0, readlink("/proc/self/exe", &buffer, buffer.count - 1))
        var folder = String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        while let cut = folder.lastIndex(of: "/") {
            folder = String(folder[..<cut])
            if access(folder + "/handout-runner", X_OK) == 0 { return folder + "/handout-runner" }
        }
        return "handout-runner"
    }()

    @Test func `tasks in processes call the program's functions by grant`() async throws {
        var host = HostFunctions()
        host.expose("add") { arguments in .integer((arguments[0].integerValue ?? 0) + (arguments[1].integerValue ?? 0))
        }
        var options = options(allow: [.host("add")])
        options.isolation = .process(runner: IsolationTests.runner)
        let run = try await start(
            program(
                """
                local m = g:map("m", { over = { 1, 2, 3 }, grant = { host = { "add" } } }, function(x)
                  handout.log("info", "adds")
                  return handout.host.add(x, 10)
                end)
                g:task("killed", { optional = true, timeout = 0.1 }, function()
                  return (("a"):rep(100)):find(("a*"):rep(40) .. "b")
                end)
                g:task("sum", { needs = { m } }, function(list) return list[1] + list[2] + list[3] end)
                """), options: options, host: host)
        let result = try await run.result
        #expect(result["sum"] == 36)
        #expect(result.failures.map(\.kind) == [.timeout])
    }

    @Test func `a runner that is none is refused`() async throws {
        var options = options()
        options.isolation = .process(runner: "/nonexistent/handout-runner")
        let error = await #expect(throws: ScriptError.self) {
            _ = try await start(program("g:task('a', function() end)"), options: options)
        }
        #expect(
            error?.problems.map(\.message) == [
                "process isolation: there is no program '/nonexistent/handout-runner' ('swift build' makes it)"
            ])
        options.isolation = .thread
        let asked = await #expect(throws: ScriptError.self) {
            _ = try await start(
                program("g:task('a', { isolation = 'process' }, function() end)"), options: options)
        }
        #expect(asked?.problems.first?.message == "task 'a': option 'isolation': no program was named for it")
    }
}
