import CLuaShim
package import HandoutCore

/// The fingerprints of a plan's tasks: what in the code and its captured values their results depend on.
package struct PlanFingerprints {
    private let plan: Plan
    private var functions: FunctionFingerprints<PlanPool>

    package init(_ plan: Plan) {
        self.plan = plan
        let program = plan.program
        let classes = plan.functions.classList.buffer.enumerated().map { index, native in
            let file = Int(native.source) < plan.files.count ? plan.files[Int(native.source)] : ""
            // What `load` made is in no file: an index beyond them all, each text its own.
            let source = program.index(ofFile: file) ?? program.sources.count + Int(native.source)
            return FunctionClass(
                source: source, line: native.line, lastLine: native.last_line, variant: Int(native.variant),
                captureNames: plan.functions.captureNames[index])
        }
        functions = FunctionFingerprints(
            program: FingerprintSources(program, bundle: plan.bundle), classes: classes,
            pool: PlanPool(plan.functions))
    }

    /// The fingerprint of a declared task's function.
    package mutating func fingerprint(of task: TaskID) -> Fingerprint {
        // Inputs and maps over graphs have no function.
        guard plan.functions.classes[task.index] != UInt32.max else { return Fingerprint(hashing: [UInt8]()) }
        return functions.fingerprint(
            class: Int(plan.functions.classes[task.index]), captures: plan.functions.captures(of: task))
    }
}

/// The captured values of a plan.
private struct PlanPool: CapturePool {
    private let functions: FunctionColumns
    init(_ functions: FunctionColumns) { self.functions = functions }

    var count: Int { functions.pool.count }

    func value(_ index: Int) -> CapturedValue {
        let entry = functions.pool[index]
        let start = Int(handout_pool_position(entry))
        switch UInt32(handout_pool_kind(entry)) {
        case HANDOUT_POOL_INTEGER.rawValue: return .integer(handout_pool_integer(entry))
        case HANDOUT_POOL_FUNCTION.rawValue: return function(start)
        case HANDOUT_POOL_LIBRARY.rawValue: return .library(name(start))
        case HANDOUT_POOL_MODULE.rawValue: return .module(name(start))
        case HANDOUT_POOL_GLOBALS.rawValue: return .globals
        default:
            let most = functions.poolBytes.count - start
            let size = handout_value_size(functions.poolBytes.base + start, most)
            return .data(UnsafeRawBufferPointer(start: functions.poolBytes.base + start, count: size))
        }
    }

    private func function(_ start: Int) -> CapturedValue {
        let bytes = UnsafeRawPointer(functions.poolBytes.base + start)
        let index = Int(bytes.loadUnaligned(as: UInt32.self))
        let captures = (0..<Int(functions.classList[index].upvalues)).map {
            Int(bytes.loadUnaligned(fromByteOffset: 4 + 4 * $0, as: UInt32.self))
        }
        return .function(class: index, captures: captures)
    }

    private func name(_ start: Int) -> String {
        var length = 0
        guard
            let text = handout_value_string(
                functions.poolBytes.base + start, functions.poolBytes.count - start, &length)
        else { return "" }
        return String(decoding: UnsafeBufferPointer(start: text, count: length), as: UTF8.self)
    }
}
