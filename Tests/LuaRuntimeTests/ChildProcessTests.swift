import Glibc
import LuaRuntime
import Synchronization
import Testing

struct ChildProcessTests {
    /// What a child started by the current thread says of its own blocked signals.
    private static func signalsOfChild() throws -> [String] {
        var pipes: [Int32] = [0, 0]
        try #require(pipe(&pipes) == 0)
        let null = open("/dev/null", O_RDWR)
        let child = try ChildProcess(
            ["/bin/grep", "^SigBlk:", "/proc/self/status"], standardInput: null,
            standardOutput: pipes[1], standardError: null)
        close(pipes[1])
        close(null)
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(pipes[0], &buffer, buffer.count)
            if count <= 0 { break }
            text += buffer[0..<count]
        }
        close(pipes[0])
        #expect(child.wait() == 0)
        return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    private static let clean = ["SigBlk:\t0000000000000000"]

    @Test func `a child of a pool thread has an empty signal mask`() throws {
        let result = Mutex<[String]>([])
        let slot = try #require(LeaseSlot())
        let thread = try NativeThread(slot: slot) {
            let lines = (try? ChildProcessTests.signalsOfChild()) ?? []
            result.withLock { $0 = lines }
        }
        thread.join()
        #expect(result.withLock { $0 } == ChildProcessTests.clean)
    }

    @Test func `a child of a thread made after an await has an empty signal mask`() async throws {
        await Task.yield()
        let lines = try await Task.detached { try ChildProcessTests.signalsOfChild() }.value
        #expect(lines == ChildProcessTests.clean)
    }

    @Test func `a program that is not there is an error with its code`() {
        #expect(throws: SpawnError.self) {
            try ChildProcess(["/no/such/program"], standardInput: 0, standardOutput: 1, standardError: 2)
        }
    }
}
