import CLuaShim
import Glibc

/// What holds for the whole process.
package enum ProcessFacts {
    /// Cores that this process may use.
    package static var cores: Int { Int(handout_cores()) }

    /// Bytes of memory of this machine.
    package static var memory: UInt64 {
        UInt64(max(0, sysconf(Int32(_SC_PHYS_PAGES)))) * UInt64(max(0, sysconf(Int32(_SC_PAGESIZE))))
    }

    /// Path of the program that this process runs; nil where the system does not say.
    package static var executable: String? {
        var path = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink("/proc/self/exe", &path, path.count)
        guard length > 0, length < path.count else { return nil }
        return String(decoding: path[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Chooses the deadline signal, 0: none. False when another is in use already.
    package static func useDeadlineSignal(_ number: Int32) -> Bool { handout_choose_signal(number) == 0 }
}
