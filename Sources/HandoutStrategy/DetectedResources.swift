import Glibc
import LuaRuntime

/// What a machine has, as far as this process may use it.
package struct DetectedResources: Sendable, Equatable {
    /// Cores in 1/10 000: what the process may run on, and the quotas of its control groups.
    package var cpu: UInt64
    /// Bytes: of the machine, and the limits of its control groups.
    package var memory: UInt64
    /// Indices of NVIDIA GPUs that CUDA_VISIBLE_DEVICES leaves.
    package var gpus: [String]

    package init(cpu: UInt64, memory: UInt64, gpus: [String] = []) {
        self.cpu = cpu
        self.memory = memory
        self.gpus = gpus
    }

    /// Amounts by resource, as a cluster file would declare them.
    package var totals: [String: UInt64] {
        var totals = ["cpu": cpu, "memory": memory]
        if !gpus.isEmpty { totals["gpu"] = UInt64(gpus.count) * 10_000 }
        return totals
    }

    /// Looks at this machine. Tests give another root, and what the environment says.
    package init(
        root: String = "", cores: Int = ProcessFacts.cores,
        visible: String? = getenv("CUDA_VISIBLE_DEVICES").map { String(cString: $0) }
    ) {
        let groups = ControlGroups(root: root)
        cpu = min(UInt64(max(1, cores)) * 10_000, groups.cpu ?? .max)
        memory = min(SystemFiles(root: root).memory("MemTotal") ?? 0, groups.memory ?? .max)
        gpus = NvidiaDevices(root: root).indices(visible: visible)
    }
}

/// Small files of the system.
struct SystemFiles {
    var root: String

    func text(_ path: String) -> String? {
        // Not FileReading: files of /proc say that they are empty.
        let descriptor = open(root + path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        while bytes.count < 1 << 20 {
            let chunk = [UInt8](unsafeUninitializedCapacity: 16_384) { buffer, count in
                count = max(0, read(descriptor, buffer.baseAddress, buffer.count))
            }
            if chunk.isEmpty { break }
            bytes += chunk
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    func names(in folder: String) -> [String] {
        guard let stream = opendir(root + folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    /// Bytes in use by this process and the programs that it started, and those in turn.
    func memoryOfProcesses() -> UInt64 {
        var bytes: UInt64 = 0
        var open = ["self"]
        var seen: Set<String> = []
        while let process = open.popLast(), seen.count < 10_000 {
            guard seen.insert(process).inserted else { continue }
            let pages = (text("/proc/\(process)/statm") ?? "").split(separator: " ").dropFirst().first
            bytes += (pages.flatMap { UInt64($0) } ?? 0) * UInt64(sysconf(Int32(_SC_PAGESIZE)))
            for thread in names(in: "/proc/\(process)/task") {
                let children = text("/proc/\(process)/task/\(thread)/children") ?? ""
                open += children.split(whereSeparator: \.isWhitespace).map(String.init)
            }
        }
        return bytes
    }

    /// Bytes of a line of /proc/meminfo.
    func memory(_ name: String) -> UInt64? {
        for line in (text("/proc/meminfo") ?? "").split(separator: "\n") where line.hasPrefix(name + ":") {
            return line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }.map { $0 * 1024 }
        }
        return nil
    }
}

/// Limits of the control groups (version 2) that this process is in.
struct ControlGroups {
    /// Cores in 1/10 000; nil: no quota.
    private(set) var cpu: UInt64?
    /// Bytes; nil: no limit.
    private(set) var memory: UInt64?

    /// Bytes that may still be taken: of the tightest of the groups; what can be dropped of what was read counts as free.
    private(set) var memoryFree: UInt64?

    init(root: String) {
        let files = SystemFiles(root: root)
        for folder in ControlGroups.folders(files) {
            if let quota = ControlGroups.quota(files.text(folder + "cpu.max")) { cpu = min(cpu ?? .max, quota) }
            if let limit = files.text(folder + "memory.max")?.split(separator: "\n").first.flatMap({ UInt64($0) }) {
                memory = min(memory ?? .max, limit)
                let used = ControlGroups.used(files, folder)
                memoryFree = min(memoryFree ?? .max, limit - min(limit, used))
            }
        }
    }

    /// Those that the process is in, the innermost first: every group above limits too.
    private static func folders(_ files: SystemFiles) -> [String] {
        let lines = (files.text("/proc/self/cgroup") ?? "").split(separator: "\n")
        guard let own = lines.first(where: { $0.hasPrefix("0::/") }) else { return [] }
        let parts = own.dropFirst(4).split(separator: "/")
        return (0...parts.count).reversed().map { count in
            "/sys/fs/cgroup/" + parts.prefix(count).map { $0 + "/" }.joined()
        }
    }

    private static func used(_ files: SystemFiles, _ folder: String) -> UInt64 {
        let current = files.text(folder + "memory.current")?.split(separator: "\n").first.flatMap { UInt64($0) } ?? 0
        let lines = (files.text(folder + "memory.stat") ?? "").split(separator: "\n")
        let droppable = lines.first { $0.hasPrefix("inactive_file ") }?.dropFirst(14)
        return current - min(current, droppable.flatMap { UInt64($0) } ?? 0)
    }

    /// `200000 100000`: microseconds in each period.
    private static func quota(_ text: String?) -> UInt64? {
        let words = (text ?? "").split { $0 == " " || $0 == "\n" }
        guard words.count == 2, let quota = UInt64(words[0]), let period = UInt64(words[1]), period > 0 else {
            return nil
        }
        return max(1, quota * 10_000 / period)
    }
}

/// GPUs as the driver shows them.
struct NvidiaDevices {
    private var devices: [(index: String, uuid: String)] = []

    init(root: String) {
        let files = SystemFiles(root: root)
        let folder = "/proc/driver/nvidia/gpus"
        for (position, name) in files.names(in: folder).enumerated() {
            let lines = (files.text("\(folder)/\(name)/information") ?? "").split(separator: "\n")
            func value(_ key: String) -> String? {
                lines.first { $0.hasPrefix(key) }.map { line in
                    String(
                        line[line.index(after: line.firstIndex(of: ":") ?? line.startIndex)...].drop {
                            " \t".contains($0)
                        })
                }
            }
            devices.append((value("Device Minor") ?? String(position), value("GPU UUID") ?? ""))
        }
        if devices.isEmpty {
            let numbers = files.names(in: "/dev").filter { $0.hasPrefix("nvidia") }.compactMap { Int($0.dropFirst(6)) }
            devices = numbers.map { (String($0), "") }
        }
        devices.sort { (Int($0.index) ?? 0) < (Int($1.index) ?? 0) }
    }

    /// Those that the variable leaves. As CUDA reads it: what follows an entry that is no device does not count.
    func indices(visible: String?) -> [String] {
        guard let visible else { return devices.map(\.index) }
        var indices: [String] = []
        for entry in visible.split(separator: ",", omittingEmptySubsequences: false) {
            let word = entry.drop { $0 == " " }
            let found = devices.first { $0.index == word || (word.hasPrefix("GPU-") && $0.uuid.hasPrefix(word)) }
            if let found, !indices.contains(found.index) {
                indices.append(found.index)
            } else if word.hasPrefix("MIG-"), !devices.isEmpty {
                indices.append(String(word))
            } else {
                break
            }
        }
        return indices
    }
}
