import Glibc
import HandoutCore
import HandoutExecutor
import HandoutPlan
import HandoutScheduler
import HandoutStrategy
import LuaRuntime
import Testing

@testable import Handout

/// Runs on a machine whose memory others use, too.
@Suite struct MonitorTests {
    /// Writes what the system says of its memory, in MiB.
    private func write(_ root: String, total: Int, free: Int) {
        guard let file = fopen(root + "/proc/meminfo", "w") else { return }
        fputs("MemTotal: \(total << 10) kB\nMemAvailable: \(free << 10) kB\n", file)
        fclose(file)
    }

    @Test func `a task waits while the machine has not so much memory free, and is not refused`() throws {
        var template = Array("/tmp/handout-monitor-XXXXXX\0".utf8.map { CChar(bitPattern: $0) })
        let root = try #require(mkdtemp(&template).map { String(cString: $0) })
        mkdir(root + "/proc", 0o755)
        defer {
            unlink(root + "/proc/meminfo")
            rmdir(root + "/proc")
            rmdir(root)
        }
        write(root, total: 1024, free: 100)
        let script = Script(
            body: """
                g:task("large", { memory = "512MiB" }, function() return 1 end)
                g:task("small", { memory = "16MiB" }, function() return 2 end)
                """)
        let detected = DetectedResources(root: root, cores: 2, visible: nil)
        let worker = WorkerOffer(capacity: WorkerCapacity(name: "local", totals: detected.totals))
        let trackers = try RunTrackers(
            files: [], monitor: SystemMonitor(detected, root: root), allowance: Allowance(directory: "/"),
            directory: "/", worker: worker)
        #expect(
            trackers.capacity.totals["memory"] == 1024 << 20 && trackers.worker.capacity.totals["memory"] == 96 << 20)
        var options = LocalRunOptions()
        options.slots = 2
        options.trackers = trackers
        let run = try LocalRun(plan: try script.plan(), parameters: [], options: options)
        var done: [Int] = []
        let outcome = try run.run { snapshot, _ in
            // After half a second, the other has given up its memory.
            done.append(snapshot.counts.done)
            if done.count == 5 { write(root, total: 1024, free: 900) }
        }
        #expect(outcome.ok && outcome.counts.done == 2)
        #expect(done.prefix(5).allSatisfy { $0 <= 1 } && done[4] == 1)
        #expect(outcome.seconds >= 0.9)
    }
}
