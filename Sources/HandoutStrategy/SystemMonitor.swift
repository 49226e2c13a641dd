package import HandoutCore

/// How busy a machine is.
package struct SystemLoad: Sendable, Equatable {
    /// Part of the cores' time that was used since the sample before, 0 to 1; of the first since the start of the system.
    package var cpu: Double
    /// Bytes, by everyone: of the machine, or of the control group whose limit is tighter.
    package var memoryInUse: UInt64
    /// Bytes that could be taken without others having to give up any.
    package var memoryFree: UInt64
    /// Runnable tasks, over a minute.
    package var loadAverage: Double
}

/// Watches cores and memory of this machine while runs go on.
///
/// As a tracker it provides `memory`: what is free now and, up to what attempts hold, what this process and its programs use
/// already; no more than was detected. So a machine that others use too is not filled beyond what is left.
package final class SystemMonitor: ResourceTracker {
    package let name = "system"
    package let provides = ["memory"]
    package let scope = TrackerScope.worker
    package let interval: UInt64
    private let detected: DetectedResources
    /// Totals are multiples of it, downwards: a change of a few bytes is none.
    private let step: UInt64
    private let files: SystemFiles
    private var last: (busy: UInt64, all: UInt64) = (0, 0)

    /// - Parameters:
    ///   - detected: what there is at most.
    ///   - interval: nanoseconds between readings.
    ///   - step: bytes that totals are multiples of.
    ///   - root: another one, for tests.
    package init(
        _ detected: DetectedResources = DetectedResources(), interval: UInt64 = 1_000_000_000, step: UInt64 = 16 << 20,
        root: String = ""
    ) {
        self.detected = detected
        self.step = max(1, step)
        self.interval = interval
        files = SystemFiles(root: root)
    }

    /// Nil where the system does not say.
    package func sample() -> SystemLoad? {
        guard let all = files.memory("MemTotal"), let free = free(), let times = times() else { return nil }
        let total = min(all, ControlGroups(root: files.root).memory ?? .max)
        let ticks = times.all - min(times.all, last.all)
        let busy = times.busy - min(times.busy, last.busy)
        last = times
        let words = (files.text("/proc/loadavg") ?? "").split(separator: " ")
        return SystemLoad(
            cpu: ticks > 0 ? Double(busy) / Double(ticks) : 0, memoryInUse: total - min(total, free), memoryFree: free,
            loadAverage: words.first.flatMap { Double($0) } ?? 0)
    }

    /// All that there is: what needs more could never run.
    package func register() -> TrackerReading? { .report(TrackerReport(totals: ["memory": detected.memory])) }

    package func available(_ state: TrackerState) -> TrackerReading {
        guard let free = free() else { return .unknown("/proc/meminfo has no MemAvailable") }
        // What is claimed and not yet in use is free to the system, but not to anyone else.
        let own = min(state.claimed["memory"] ?? 0, files.memoryOfProcesses())
        let usable = min(detected.memory, free + own)
        return .report(TrackerReport(totals: ["memory": usable == detected.memory ? usable : usable / step * step]))
    }

    private func free() -> UInt64? {
        files.memory("MemAvailable").map { min($0, ControlGroups(root: files.root).memoryFree ?? .max) }
    }

    /// Ticks of all cores since the start of the system: of work, and in all.
    private func times() -> (busy: UInt64, all: UInt64)? {
        let lines = (files.text("/proc/stat") ?? "").split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix("cpu ") }) else { return nil }
        // user nice system idle iowait irq softirq steal; what follows is in these already.
        let ticks = line.split(separator: " ").dropFirst().prefix(8).compactMap { UInt64($0) }
        guard ticks.count >= 4 else { return nil }
        let all = ticks.reduce(0, +)
        let idle = ticks[3] + (ticks.count > 4 ? ticks[4] : 0)
        return (all - idle, all)
    }
}
