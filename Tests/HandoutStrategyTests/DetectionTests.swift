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
        #expect(
            monitor.available(TrackerState(claimed: ["memory": 50_000]))
                == .report(TrackerReport(totals: ["memory": 664_400])))
        #expect(
            monitor.available(TrackerState(claimed: ["memory": 500_000]))
                == .report(TrackerReport(totals: ["memory": 700_000])))
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
