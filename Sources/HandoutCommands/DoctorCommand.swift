import ArgumentParser
import CLuaShim
import Glibc
import HandoutCore
import HandoutStrategy
import LuaRuntime

/// `handout-lua doctor`: what of this machine matters to runs, and what is missing.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration.verb(
        "doctor", abstract: "Say what this machine offers to runs, and what is missing.")

    @Flag(help: "Print the findings as JSON.")
    var json = false

    private struct Finding {
        var name: String
        var ok: Bool
        var text: String
    }

    func run() throws {
        let findings = [version, cores, memory] + load() + [files, isolation, directory, terminal]
        if json {
            let entries = findings.map {
                "{\"name\":\(TextEscape.json($0.name)),\"ok\":\($0.ok),\"text\":\(TextEscape.json($0.text))}"
            }
            try StandardOutput.line(
                "{\"ok\":\(findings.allSatisfy(\.ok)),\"findings\":[\(entries.joined(separator: ","))]}")
        } else {
            for finding in findings {
                try StandardOutput.line("\(finding.ok ? "ok " : "!! ") \(finding.name): \(finding.text)")
            }
        }
        if !findings.allSatisfy(\.ok) { throw CommandFailure(.environment) }
    }

    private var version: Finding { Finding(name: "version", ok: true, text: Version.text) }

    private var cores: Finding {
        Finding(name: "cores", ok: true, text: "\(handout_cores()): the default of run -j")
    }

    private var memory: Finding {
        let bytes = UInt64(max(0, sysconf(Int32(_SC_PHYS_PAGES)))) * UInt64(max(0, sysconf(Int32(_SC_PAGESIZE))))
        return Finding(name: "memory", ok: true, text: "\(bytes >> 20) MiB")
    }

    /// What `run --monitor` watches, over a fifth of a second.
    private func load() -> [Finding] {
        let monitor = SystemMonitor()
        _ = monitor.sample()
        usleep(200_000)
        guard let load = monitor.sample() else {
            return [Finding(name: "memory now", ok: false, text: "/proc does not say: run --monitor gives nothing out")]
        }
        let percent = Int((load.cpu * 100).rounded())
        return [
            Finding(
                name: "memory now", ok: true,
                text: "\(load.memoryFree >> 20) MiB free, \(load.memoryInUse >> 20) MiB in use"),
            Finding(
                name: "load", ok: true,
                text: "\(percent) % of the cores' time in use, \(load.loadAverage) tasks runnable over a minute"),
        ]
    }

    private var files: Finding {
        handout_has_openat2() != 0
            ? Finding(name: "files", ok: true, text: "openat2 keeps tasks inside the run directory")
            : Finding(
                name: "files", ok: false,
                text: "this kernel has no openat2 (Linux 5.6): tasks cannot read files by handout.fs")
    }

    private var isolation: Finding {
        guard let runner = Isolation.runner, access(runner, X_OK) == 0 else {
            return Finding(
                name: "isolation", ok: false,
                text: "no program 'handout-runner' beside this one: --isolation process cannot be used")
        }
        if LuaVersion.hasStandingHook {
            return Finding(name: "isolation", ok: true, text: "a sanitizer build: runner processes are not confined")
        }
        return handout_can_confine() != 0
            ? Finding(name: "isolation", ok: true, text: "runner processes are confined by seccomp")
            : Finding(
                name: "isolation", ok: false,
                text: "runner processes can be killed, but this kernel has no seccomp to confine them")
    }

    private var directory: Finding {
        access(".", R_OK) == 0
            ? Finding(name: "run directory", ok: true, text: "readable")
            : Finding(name: "run directory", ok: false, text: "not readable: \(String(cString: strerror(errno)))")
    }

    private var terminal: Finding {
        Finding(
            name: "progress", ok: true,
            text: Terminal.standard.isTerminal ? "a live line (standard error is a terminal)" : "plain lines")
    }
}

/// `handout-lua completions`: a completion script for a shell.
struct CompletionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration.verb(
        "completions", abstract: "Print the completion script of a shell: bash, zsh or fish.")

    @Argument(help: "bash, zsh or fish.")
    var shell: String

    func run() throws {
        guard let kind = CompletionShell(rawValue: shell) else {
            throw CommandFailure(.usage, "completions: expected bash, zsh or fish, got '\(TextEscape.shown(shell))'")
        }
        try StandardOutput.line(HandoutLua.completionScript(for: kind))
    }
}
