package import HandoutCore

/// How busy a machine is.
package struct SystemLoad: Sendable, Equatable {
    /// Part of the cores' time that was used since the sample before, 0 to 1; of the first since the start of the system.
    package var cpu: Double
    /// Bytes.
    package var memoryInUse: UInt64
    package var memoryFree: UInt64
    /// Runnable tasks, over a minute.
    package var loadAverage: Double
}

/// Watches cores and memory of this machine while runs go on.
///
/// As a tracker it provides `memory`: what is free now, and what attempts hold, but no more than was detected. So a machine
/// that others use too is not filled beyond what is left.
package final class SystemMonitor: ResourceTracker {
    package let name = "system"
    package let provides = ["memory"]
    package let scope = TrackerScope.worker
    package let interval: UInt64
    private let detected: DetectedResources
    private let files: SystemFiles
    private var last: (busy: UInt64, all: UInt64) = (0, 0)

    /// Tests give another root.
    package init(_ detected: DetectedResources, interval: UInt64 = 5_000_000_000, root: String = "") {
        self.detected = detected
        self.interval = interval
        files = SystemFiles(root: root)
    }

    /// Nil where the system does not say.
    package func sample() -> SystemLoad? {
        guard let total = files.memory("MemTotal"), let free = files.memory("MemAvailable"), let times = times() else {
            return nil
        }
        let all = times.all - min(times.all, last.all)
        let busy = times.busy - min(times.busy, last.busy)
        last = times
        let words = (files.text("/proc/loadavg") ?? "").split(separator: " ")
        return SystemLoad(
            cpu: all > 0 ? Double(busy) / Double(all) : 0, memoryInUse: total - min(total, free), memoryFree: free,
            loadAverage: words.first.flatMap { Double($0) } ?? 0)
    }

    package func available(_ state: TrackerState) -> TrackerReading {
        guard let free = files.memory("MemAvailable") else { return .unknown("/proc/meminfo has no MemAvailable") }
        let usable = min(detected.memory, free + (state.claimed["memory"] ?? 0))
        return .report(TrackerReport(totals: ["memory": usable]))
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
