import CLuaShim

/// What holds for the whole process.
package enum ProcessFacts {
    /// Cores that this process may use.
    package static var cores: Int { Int(handout_cores()) }

    /// Chooses the deadline signal, 0: none. False when another is in use already.
    package static func useDeadlineSignal(_ number: Int32) -> Bool { handout_choose_signal(number) == 0 }
}
