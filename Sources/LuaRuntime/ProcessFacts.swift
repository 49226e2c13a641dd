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

    /// Chooses the deadline signal, 0: none. False when another is in use already.
    package static func useDeadlineSignal(_ number: Int32) -> Bool { handout_choose_signal(number) == 0 }
}
