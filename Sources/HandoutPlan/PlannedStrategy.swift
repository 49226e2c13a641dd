import CLuaShim

/// What `g:allocator` of a graph was given.
package enum PlannedStrategy: Sendable, Equatable {
    /// One that is built in; options are durations in nanoseconds.
    case builtIn(String, options: [String: UInt64])
    /// One in Lua: the script is run for it in a state of its own. Where it stands.
    case lua(file: String?, line: Int)

    init?(_ plan: handout_plan) {
        switch UInt32(plan.allocator) {
        case HANDOUT_ALLOCATOR_BUILT_IN.rawValue:
            var options: [String: UInt64] = [:]
            if let option = plan.allocator_option { options[String(cString: option)] = plan.allocator_duration }
            self = .builtIn(plan.allocator_name.map { String(cString: $0) } ?? "", options: options)
        case HANDOUT_ALLOCATOR_LUA.rawValue:
            let source = Int(plan.allocator_place >> 24)
            let file = source < Int(plan.source_count) ? plan.sources[source].map { String(cString: $0) } : nil
            self = .lua(file: file, line: Int(plan.allocator_place & 0xFF_FFFF))
        default: return nil
        }
    }
}
