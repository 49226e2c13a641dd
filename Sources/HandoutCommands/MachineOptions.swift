import ArgumentParser
import CLuaShim
import HandoutCore
import HandoutScheduler
import LuaRuntime

/// What tasks may take of this machine.
struct MachineOptions: ParsableArguments {
    @Option(
        name: .customShort("j", allowingJoined: true),
        help: ArgumentHelp("Threads, and cores for tasks. Default: the cores.", valueName: "n"))
    var threads: Int?

    @Option(
        name: .customLong("resource"),
        help: ArgumentHelp(
            "So much more of a resource of this machine: a number, of memory a size.", valueName: "name=amount"))
    var resources: [String] = []

    func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("-j: expected 1 to 1024, got \(threads)")
        }
    }

    /// Cores that this process may use.
    static var cores: Int { Int(handout_cores()) }

    var slots: Int { threads ?? MachineOptions.cores }

    /// This machine as a worker: as many cores as slots, its memory, and what `--resource` adds.
    func worker() throws(CommandFailure) -> WorkerOffer {
        var totals = ["cpu": UInt64(slots) * 10_000, "memory": ProcessFacts.memory]
        var devices = 0
        for text in resources {
            let (name, amount) = try MachineOptions.amount(text)
            if name == "gpu" {
                guard amount % 10_000 == 0 && amount <= 10_000_000 else {
                    throw CommandFailure(.usage, "--resource gpu: expected a whole number up to 1000")
                }
                devices += Int(amount / 10_000)
            } else {
                let (sum, overflow) = totals[name, default: 0].addingReportingOverflow(amount)
                totals[name] = overflow ? UInt64.max / 2 : sum
            }
        }
        var indices: [String: [String]] = [:]
        if devices > 0 {
            indices["gpu"] = (0..<devices).map(String.init)
            totals["gpu"] = UInt64(devices) * 10_000
        }
        return WorkerOffer(capacity: WorkerCapacity(name: "local", totals: totals), indices: indices)
    }

    func capacity() throws(CommandFailure) -> Capacity {
        Capacity(workers: [try worker().capacity], coresFlag: "-j")
    }

    /// Reads `name=amount`: of memory bytes, else 1/10 000.
    static func amount(_ text: String) throws(CommandFailure) -> (name: String, amount: UInt64) {
        let shown = TextEscape.shown(text)
        guard let equals = text.firstIndex(of: "=") else {
            throw CommandFailure(.usage, "--resource: expected name=amount, got '\(shown)'")
        }
        let name = String(text[..<equals])
        let value = String(text[text.index(after: equals)...])
        let isName =
            !name.isEmpty && name.utf8.count <= 200
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "/"):
                    true
                default: false
                }
            }
        guard isName else {
            throw CommandFailure(
                .usage, "--resource: a name is 1 to 200 letters, digits, '_', '-' and '/', got '\(shown)'")
        }
        if name == "memory" {
            var bytes: UInt64 = 0
            guard handout_size_from_text(value, &bytes) == 0 else {
                throw CommandFailure(
                    .usage, "--resource memory: expected a size such as 512MiB, got '\(TextEscape.shown(value))'")
            }
            return (name, bytes)
        }
        guard let number = Double(value), number.isFinite, number >= 0, number <= 1e9 else {
            throw CommandFailure(
                .usage,
                "--resource \(name): expected a number from 0 to 1000000000, got '\(TextEscape.shown(value))'")
        }
        return (name, UInt64((number * 10_000).rounded()))
    }
}
