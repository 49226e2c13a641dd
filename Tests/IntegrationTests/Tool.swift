import Glibc
import Synchronization

/// The built `handout-lua`, run as a child of the tests.
enum Tool {
    /// What came of a child.
    struct Result {
        /// Exit status; -1: ended by `signal`.
        var status: Int32
        var signal: Int32
        var out: [UInt8]
        var errors: [UInt8]
        /// Most resident memory in bytes.
        var peakMemory: Int
        var seconds: Double
        /// It had to be killed, because it ran past the limit of the test.
        var isKilled: Bool

        var output: String { String(decoding: out, as: UTF8.self) }
        var errorText: String { String(decoding: errors, as: UTF8.self) }
        var json: JSON? { JSON(out) }
    }

    /// Where the program is: beside the test bundle, or in a folder above it.
    static let path: String = {
        var buffer = [CChar](repeating: 0, count: 4096)
        let length = max(0, readlink("/proc/self/exe", &buffer, buffer.count - 1))
        var folder = String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        while let cut = folder.lastIndex(of: "/") {
            folder = String(folder[..<cut])
            if access(folder + "/handout-lua", X_OK) == 0 { return folder + "/handout-lua" }
        }
        return "handout-lua"
    }()

    /// The program was built with a sanitizer.
    static var isSanitized: Bool { path.contains(".build-") }

    /// Where the tasks of all runs are to run that do not say so themselves: `HANDOUT_TEST_ISOLATION=process` looks whether
    /// anything is otherwise there.
    private static let isolation = getenv("HANDOUT_TEST_ISOLATION").map { String(cString: $0) }

    /// Runs it to its end; `whileRunning` is called with its process id after each piece of output.
    static func run(
        _ arguments: [String], in folder: Folder, limit: Double = 60, closedOutput: Bool = false,
        environment: [String] = [], program: String = Tool.path,
        whileRunning: ((_ process: pid_t, _ errorText: String) -> Void)? = nil
    ) -> Result {
        var arguments = arguments
        if let isolation, arguments.first == "run", program == Tool.path, !arguments.contains("--isolation") {
            arguments += ["--isolation", isolation]
        }
        let child = Child(program, arguments, folder: folder.path, environment: environment)
        if closedOutput { child.closeOutput() }
        return child.collect(limit: limit, whileRunning: whileRunning)
    }
}

/// A child process whose output goes to pipes. Its signal mask is empty, whatever that of the calling thread.
private final class Child {
    private let process: pid_t
    private var outputs: [Int32]
    private let begun = Child.now()

    init(_ path: String, _ arguments: [String], folder: String, environment: [String]) {
        (process, outputs) = Child.spawning.withLock { _ in
            Child.spawn(path, arguments, folder: folder, environment: environment)
        }
    }

    /// Held while pipes are made and a child starts, so that no other child inherits the pipes.
    private static let spawning = Mutex(())

    private static func spawn(_ path: String, _ arguments: [String], folder: String, environment more: [String]) -> (
        pid_t, [Int32]
    ) {
        var out: [Int32] = [-1, -1], errors: [Int32] = [-1, -1]
        precondition(pipe(&out) == 0 && pipe(&errors) == 0, "no pipes")
        for end in out + errors { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, out[1], 1)
        posix_spawn_file_actions_adddup2(&actions, errors[1], 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        var none = sigset_t(), all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        // Swift's Glibc has no posix_spawn_file_actions_addchdir_np.
        let command = "/usr/bin/env"
        var words = ([command, "--chdir", folder, path] + arguments).map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] =
            (["PATH=/usr/bin:/bin", "LANG=C.UTF-8"] + more).map { strdup($0) } + [nil]
        var process: pid_t = 0
        let status = posix_spawn(&process, command, &actions, &attributes, &words, &environment)
        precondition(status == 0, "\(path) cannot be started: \(String(cString: strerror(status)))")
        for word in words + environment { free(word) }
        posix_spawn_file_actions_destroy(&actions)
        posix_spawnattr_destroy(&attributes)
        close(out[1])
        close(errors[1])
        return (process, [out[0], errors[0]])
    }

    func closeOutput() {
        close(outputs[0])
        outputs[0] = -1
    }

    func collect(limit: Double, whileRunning: ((pid_t, String) -> Void)?) -> Tool.Result {
        var texts: [[UInt8]] = [[], []]
        var isKilled = false
        while outputs.contains(where: { $0 >= 0 }) {
            var polled = outputs.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            let left = limit - (Child.now() - begun)
            if left <= 0, !isKilled {
                isKilled = true
                kill(process, SIGKILL)
            }
            poll(&polled, 2, isKilled ? -1 : Int32(left * 1000) + 1)
            for index in 0..<2 where polled[index].revents != 0 { read(index, &texts[index]) }
            whileRunning?(process, String(decoding: texts[1], as: UTF8.self))
        }
        var status: Int32 = 0
        var usage = rusage()
        while wait4(process, &status, 0, &usage) < 0 && errno == EINTR {}
        let signal = status & 0x7F
        return Tool.Result(
            status: signal == 0 ? (status >> 8) & 0xFF : -1, signal: signal, out: texts[0], errors: texts[1],
            peakMemory: usage.ru_maxrss * 1024, seconds: Child.now() - begun, isKilled: isKilled)
    }

    private func read(_ index: Int, _ text: inout [UInt8]) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = Glibc.read(outputs[index], &buffer, buffer.count)
        if count > 0 {
            text += buffer.prefix(count)
        } else {
            close(outputs[index])
            outputs[index] = -1
        }
    }

    static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

/// A folder of its own for each test, which goes away with the value.
final class Folder {
    let path: String

    init() {
        var template = Array("/tmp/handout-test-XXXXXX\0".utf8.map { CChar(bitPattern: $0) })
        let made = mkdtemp(&template).map { String(cString: $0) } ?? "/nonexistent"
        path =
            realpath(made, nil).map { resolved in
                defer { free(resolved) }
                return String(cString: resolved)
            } ?? made
    }

    deinit { Folder.remove(path) }

    private static func remove(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            unlink(path)
            return
        }
        if let stream = opendir(path) {
            while let entry = readdir(stream) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != "." && name != ".." { remove(path + "/" + name) }
            }
            closedir(stream)
        }
        rmdir(path)
    }

    func folder(_ name: String) { mkdir(path + "/" + name, 0o700) }
    func fifo(_ name: String) { mkfifo(path + "/" + name, 0o600) }
    func link(_ name: String, to target: String) { symlink(target, path + "/" + name) }

    func write(_ name: String, _ bytes: [UInt8]) {
        guard let file = fopen(path + "/" + name, "w") else { return }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }

    func write(_ name: String, _ text: String) { write(name, Array(text.utf8)) }

    /// Writes `t.lua` and runs a command on it.
    func tool(
        _ command: String, _ script: String, _ arguments: [String] = [], limit: Double = 60, environment: [String] = []
    ) -> Tool.Result {
        write("t.lua", script)
        return Tool.run([command, "t.lua"] + arguments, in: self, limit: limit, environment: environment)
    }
}

/// Most memory that this process ever had resident: what a child's own peak begins with.
func peakMemory() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024
}

/// A sanitizer is built in: its own memory is resident too, so that bounds of ours say nothing.
let memoryIsPadded = dlsym(nil, "__asan_init") != nil || dlsym(nil, "__tsan_init") != nil

/// The bytes of a file, or nil.
func contents(of path: String) -> [UInt8]? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = fread(&buffer, 1, buffer.count, file)
        if count == 0 { return bytes }
        bytes += buffer.prefix(count)
    }
}

/// The package's folder, from which fixtures are read.
let packageFolder: String = {
    let parts = #filePath.split(separator: "/").dropLast(3)
    return "/" + parts.joined(separator: "/")
}()

/// A graph script: `handout`, `g` and `f` are there, and the body's first line is line 4.
func graphScript(_ body: String) -> String {
    """
    local handout = require "handout"
    local g = handout.graph("x")
    local f = function() end
    \(body)
    return g

    """
}
