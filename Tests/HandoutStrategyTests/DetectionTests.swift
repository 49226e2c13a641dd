import Glibc
import HandoutCore
import Testing

@testable import HandoutStrategy

/// What a machine has, read from files made for the test.
@Suite struct DetectionTests {
    private let machine = Machine()

    @Test func `affinity and memory count where no group limits`() {
        machine.write("/proc/meminfo", "MemTotal:       1000 kB\nMemAvailable:    600 kB\n")
        #expect(machine.detect(cores: 4) == DetectedResources(cpu: 40_000, memory: 1_024_000))
    }

    @Test func `the tightest of all groups above limits`() {
        machine.write("/proc/meminfo", "MemTotal:       1000 kB\n")
        machine.write("/proc/self/cgroup", "0::/user/job\n")
        machine.write("/sys/fs/cgroup/user/job/cpu.max", "max 100000\n")
        machine.write("/sys/fs/cgroup/user/job/memory.max", "900000\n")
        machine.write("/sys/fs/cgroup/user/cpu.max", "150000 100000\n")
        machine.write("/sys/fs/cgroup/user/memory.max", "max\n")
        machine.write("/sys/fs/cgroup/memory.max", "500000\n")
        #expect(machine.detect(cores: 4) == DetectedResources(cpu: 15_000, memory: 500_000))
        #expect(machine.detect(cores: 1).cpu == 10_000)
    }

    @Test(
        arguments: [
            (nil, ["0", "1", "2"]), ("2,0", ["2", "0"]), ("", []), ("-1", []), ("0,7,1", ["0"]), ("1,1", ["1"]),
            ("GPU-bb", ["1"]), ("GPU-bb,GPU-x", ["1"]), ("MIG-1", ["MIG-1"]), ("0, 2", ["0", "2"]),
        ] as [(String?, [String])])
    func `CUDA_VISIBLE_DEVICES chooses among the GPUs of the driver`(visible: String?, indices: [String]) {
        for (name, minor, uuid) in [("0000:01", 2, "GPU-cc"), ("0000:02", 0, "GPU-aa"), ("0000:03", 1, "GPU-bb")] {
            machine.write(
                "/proc/driver/nvidia/gpus/\(name)/information",
                "Model: \t\t x\nGPU UUID: \t \(uuid)\nDevice Minor: \t \(minor)\n")
        }
        #expect(machine.detect(cores: 1, visible: visible).gpus == indices)
    }

    @Test func `device files tell where the driver does not`() {
        for name in ["nvidia1", "nvidia0", "nvidiactl", "nvidia-uvm"] { machine.write("/dev/\(name)", "") }
        #expect(machine.detect(cores: 1).gpus == ["0", "1"])
        #expect(machine.detect(cores: 1).totals["gpu"] == 20_000)
    }

    @Test func `this machine has something`() {
        let here = DetectedResources()
        #expect(here.cpu >= 1 && here.memory > 1 << 20)
    }

    @Test func `load is of the time since the sample before`() {
        machine.write("/proc/meminfo", "MemTotal:       1000 kB\nMemAvailable:    600 kB\n")
        machine.write("/proc/loadavg", "1.25 1 1 1/1 1\n")
        machine.write("/proc/stat", "cpu  10 0 10 60 20 0 0 0 5 5\n")
        let monitor = SystemMonitor(DetectedResources(cpu: 10_000, memory: 700_000), root: machine.root)
        #expect(
            monitor.sample()
                == SystemLoad(cpu: 0.2, memoryInUse: 409_600, memoryFree: 614_400, loadAverage: 1.25))
        machine.write("/proc/stat", "cpu  40 0 10 70 20 0 0 0 5 5\n")
        #expect(monitor.sample()?.cpu == 0.75)
    }

    @Test func `of memory that is claimed what is in use counts as usable, and all of the machine at most`() {
        machine.write("/proc/meminfo", "MemTotal:       1000 kB\nMemAvailable:    600 kB\n")
        let monitor = SystemMonitor(DetectedResources(cpu: 10_000, memory: 700_000), step: 1, root: machine.root)
        func usable(_ claimed: UInt64) -> TrackerReading {
            monitor.available(TrackerState(claimed: ["memory": claimed]))
        }
        func total(_ bytes: UInt64) -> TrackerReading { .report(TrackerReport(totals: ["memory": bytes])) }
        #expect(monitor.register() == total(700_000))
        #expect(usable(50_000) == total(614_400))
        // This process, one that it started, and one that this one started: pages of 4 KiB.
        machine.write("/proc/self/statm", "100 5 0 0 0 0 0\n")
        machine.write("/proc/self/task/7/children", "")
        machine.write("/proc/self/task/8/children", "30 31 \n")
        machine.write("/proc/30/statm", "100 3 0 0 0 0 0\n")
        machine.write("/proc/30/task/30/children", "32 \n")
        machine.write("/proc/32/statm", "100 1 0 0 0 0 0\n")
        #expect(usable(30_000) == total(644_400))
        #expect(usable(500_000) == total(614_400 + 9 * UInt64(sysconf(Int32(_SC_PAGESIZE)))))
        machine.write("/proc/meminfo", "MemTotal:       1000 kB\nMemAvailable:    700 kB\n")
        #expect(usable(500_000) == total(700_000))
        let steps = SystemMonitor(DetectedResources(cpu: 10_000, memory: 10 << 20), step: 100_000, root: machine.root)
        #expect(steps.available(TrackerState()) == total(700_000))
    }

    @Test func `what a control group has left counts where it is less`() {
        machine.write("/proc/meminfo", "MemTotal:       1000 kB\nMemAvailable:    600 kB\n")
        machine.write("/proc/stat", "cpu  10 0 10 60 20 0 0 0 5 5\n")
        machine.write("/proc/self/cgroup", "0::/job\n")
        machine.write("/sys/fs/cgroup/job/memory.max", "500000\n")
        machine.write("/sys/fs/cgroup/job/memory.current", "400000\n")
        machine.write("/sys/fs/cgroup/job/memory.stat", "anon 300000\ninactive_file 60000\n")
        let monitor = SystemMonitor(machine.detect(cores: 1), step: 1, root: machine.root)
        #expect(monitor.available(TrackerState()) == .report(TrackerReport(totals: ["memory": 160_000])))
        let load = monitor.sample()
        #expect(load?.memoryFree == 160_000 && load?.memoryInUse == 340_000)
    }

    @Test func `a system that says nothing is not known`() {
        let monitor = SystemMonitor(DetectedResources(cpu: 10_000, memory: 1), root: machine.root)
        #expect(monitor.sample() == nil)
        #expect(monitor.available(TrackerState()) == .unknown("/proc/meminfo has no MemAvailable"))
    }
}

/// A folder that stands for the root of a machine.
private final class Machine {
    let root: String
    /// Files, then their folders, to be removed.
    private var made: [String] = []

    init() {
        let template = strdup("/tmp/handout-machine-XXXXXX")
        defer { free(template) }
        root = template.flatMap { mkdtemp($0) }.map { String(cString: $0) } ?? ""
    }

    deinit {
        for path in made.sorted().reversed() { remove(path) }
        remove(root)
    }

    func write(_ path: String, _ text: String) {
        var folder = root
        for part in path.split(separator: "/").dropLast() {
            folder += "/" + part
            if mkdir(folder, 0o755) == 0 { made.append(folder) }
        }
        made.append(root + path)
        guard let file = fopen(root + path, "w") else { return }
        fputs(text, file)
        fclose(file)
    }

    func detect(cores: Int, visible: String? = nil) -> DetectedResources {
        DetectedResources(root: root, cores: cores, visible: visible)
    }
}
