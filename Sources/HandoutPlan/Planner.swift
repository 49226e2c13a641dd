import CLuaShim
package import HandoutCore
package import LuaRuntime
import Synchronization

/// A parameter as the user gave it.
package struct GivenParameter: Sendable {
    package enum Value: Sendable {
        /// Text of `-p name=text`, read by the type of the default.
        case text([UInt8])
        /// A value of a parameter file.
        case value(EncodedValue)
    }
    package var name: String
    package var value: Value

    package init(name: String, value: Value) {
        self.name = name
        self.value = value
    }
}

/// What planning may use, and what the graph may ask for.
package struct PlanLimits: Sendable {
    /// CPU time in nanoseconds.
    package var time: UInt64 = 10_000_000_000
    /// Bytes.
    package var memory: UInt64 = 1 << 30
    /// What there is to run tasks on: those that could never run are refused.
    package var capacity = Capacity()

    package init() {}
}

/// Runs scripts in a planning sandbox (`lua-api.md`, section 2) and yields their graphs.
package struct Planner: Sendable {
    package var limits: PlanLimits
    package var seed: UInt64
    /// What `handout.read` and `handout.glob` read beneath: absolute, without links. Nil: they raise.
    package var directory: String?
    /// Receives what the script prints, line by line.
    package var print: @Sendable (String) -> Void

    package init(
        limits: PlanLimits = PlanLimits(), seed: UInt64 = 0, print: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.limits = limits
        self.seed = seed
        self.print = print
    }

    /// Plans a program; `inputs` are values of its graph's inputs. Runs on a thread of its own, so that its deadline holds whatever the caller's signal mask is.
    ///
    /// - Throws: `PlanRefusal` with every problem found.
    package func plan(
        _ program: ProgramSources, parameters: [GivenParameter] = [], inputs: [GivenParameter] = []
    ) throws(PlanRefusal) -> Plan {
        guard let slot = LeaseSlot() else {
            throw PlanRefusal(problems: [PlanProblem(code: "memory", message: "not enough memory to plan")])
        }
        let given = ParameterStorage(parameters)
        let givenInputs = ParameterStorage(inputs)
        let host = PlanHost(sources: program, log: printer(), capacity: limits.capacity)
        let result = PlanResult()
        let thread: NativeThread
        do {
            thread = try NativeThread(slot: slot) { [limits, seed, directory] in
                let entry = program.entry
                var config = handout_plan_config()
                config.source = UnsafeRawPointer(entry.text.base).assumingMemoryBound(to: CChar.self)
                config.source_length = entry.text.count
                config.chunk_name = entry.chunkName.base
                config.host = host.native
                config.parameters = given.base
                config.parameter_count = given.count
                config.inputs = UnsafePointer(givenInputs.base)
                config.input_count = givenInputs.count
                config.seed = seed
                config.memory = limits.memory
                config.slot = slot.pointer
                config.time = limits.time
                result.plan = directory.withCStringOrNil { path in
                    config.run_directory = path
                    return handout_plan_run(&config)
                }
            }
        } catch {
            throw PlanRefusal(
                problems: [PlanProblem(code: "thread", message: "no thread could be started (errno \(error.code))")])
        }
        while !thread.join(within: 50_000_000) {
            // The thread, and all that it uses, is left as it is: nothing can stop it.
            if slot.isStuck { throw stuck(program) }
        }
        guard let plan = result.plan else {
            throw PlanRefusal(problems: [PlanProblem(code: "memory", message: "not enough memory to plan")])
        }
        defer { handout_plan_free(plan) }
        var problems = problems(of: plan.pointee)
        problems += unusedParameters(given, known: parameterNames(plan.pointee))
        guard problems.isEmpty, plan.pointee.ended == 0 else {
            throw PlanRefusal(problems: problems, leftOut: Int(plan.pointee.errors_left_out))
        }
        return adopt(&plan.pointee, program)
    }

    private func stuck(_ program: ProgramSources) -> PlanRefusal {
        let seconds = Double(limits.time) / 1e9
        return PlanRefusal(
            problems: [
                PlanProblem(
                    code: "timeout",
                    message: "planning took longer than \(seconds) s of CPU time, in a library function "
                        + "that cannot be stopped (--plan-time sets it)", file: program.entry.file)
            ])
    }

    /// Prints lines until 64 KiB have been printed (`lua-api.md`, section 2).
    private func printer() -> @Sendable (UInt32, Int, UnsafeBufferPointer<UInt8>) -> Void {
        let printed = Mutex(0)
        return { [print] _, _, text in
            let before = printed.withLock { printed in
                defer { printed += text.count + 1 }
                return printed
            }
            if before + text.count + 1 <= 65_536 {
                print(String(decoding: text, as: UTF8.self))
            } else if before <= 65_536 {
                print("(more than 64 KiB: the rest is left out)")
                printed.withLock { $0 = 65_537 }
            }
        }
    }

    private func problems(of plan: handout_plan) -> [PlanProblem] {
        (0..<Int(plan.error_count)).map { index in
            let error = plan.errors[index]
            return PlanProblem(
                code: String(cString: error.code), message: error.message.map { String(cString: $0) } ?? "",
                file: error.file.map { String(cString: $0) }, line: error.line > 0 ? Int(error.line) : nil)
        }
    }

    private func parameterNames(_ plan: handout_plan) -> [String] {
        (0..<Int(plan.parameter_count)).map { String(cString: plan.parameters[$0].name) }
    }

    /// Parameters given that the script never asked for. Only said of a script that came to its end.
    private func unusedParameters(_ given: ParameterStorage, known: [String]) -> [PlanProblem] {
        given.unusedNames.map { name in
            let nearest = NearestName.find(name, among: known)
            let hint = nearest.map { " (did you mean '\($0)'?)" } ?? ""
            return PlanProblem(
                code: "parameter", message: "parameter '\(TextEscape.shown(name))' is not one of the script's\(hint)")
        }
    }

    private func adopt(_ plan: inout handout_plan, _ program: ProgramSources) -> Plan {
        let count = Int(plan.count)
        let nameBytes = Int(plan.name_bytes_length)
        let outputs = (0..<Int(plan.output_count)).map { index in
            let output = plan.outputs[index]
            let name = UnsafeBufferPointer(
                start: plan.name_bytes + Int(output.name_offset), count: Int(output.name_length))
            return (name: String(decoding: name, as: UTF8.self), task: TaskID(rawValue: output.task))
        }
        let referenceOffsets = Column(adopting: plan.reference_offsets, count: count + 1)
        let functions = FunctionColumns(&plan)
        let graph = GraphColumns(
            name: plan.name.map { String(cString: $0) } ?? "graph",
            kinds: Column(adopting: plan.kinds, count: count),
            optionIndices: Column(adopting: plan.options, count: count),
            referenceOffsets: referenceOffsets,
            references: Column(adopting: plan.references, count: Int(referenceOffsets[count])),
            nameOffsets: Column(adopting: plan.name_offsets, count: count + 1),
            nameBytes: Column(adopting: plan.name_bytes, count: nameBytes),
            lines: Column(adopting: plan.lines, count: count),
            options: (0..<Int(plan.option_set_count)).map { TaskOptions(plan.option_sets[$0]) },
            declaredOutputs: outputs, templates: templates(of: plan), requests: functions.requests(plan),
            deadline: plan.deadline, weight: plan.weight)
        plan.reference_offsets = nil
        plan.kinds = nil
        plan.options = nil
        plan.references = nil
        plan.name_offsets = nil
        plan.name_bytes = nil
        plan.lines = nil
        program.seal()
        return Plan(
            graph: graph, program: program, functions: functions,
            parameters: parameters(of: plan), strategy: PlannedStrategy(plan), recordings: recordings(of: plan),
            hasUserGlobals: plan.user_globals != 0, seed: seed,
            files: (0..<Int(plan.source_count)).map { plan.sources[$0].map { String(cString: $0) } ?? "" },
            cost: (plan.cpu_nanoseconds, plan.peak_memory))
    }

    private func templates(of plan: handout_plan) -> [GraphTemplate] {
        (0..<Int(plan.template_count)).map { index in
            let native = plan.templates[index]
            let outputs = (0..<Int(native.output_count)).map { number in
                let output = plan.template_outputs[Int(native.output_first) + number]
                let name = UnsafeBufferPointer(
                    start: plan.name_bytes + Int(output.name_offset), count: Int(output.name_length))
                return (
                    name: String(decoding: name, as: UTF8.self), nameOffset: Int(output.name_offset),
                    task: TaskID(rawValue: output.task)
                )
            }
            return GraphTemplate(
                rows: Int(native.first)..<Int(native.first) + Int(native.count),
                inputs: (0..<Int(native.input_count)).map {
                    TaskID(rawValue: plan.template_inputs[Int(native.input_first) + $0])
                }, outputs: outputs)
        }
    }

    private func recordings(of plan: handout_plan) -> [Bundle.Recording] {
        (0..<Int(plan.recording_count)).map { index in
            let recording = plan.recordings[index]
            return Bundle.Recording(
                call: String(cString: recording.call), argument: String(cString: recording.argument),
                result: [UInt8](UnsafeBufferPointer(start: recording.result, count: recording.length)))
        }
    }

    private func parameters(of plan: handout_plan) -> [PlanParameter] {
        (0..<Int(plan.parameter_count)).map { index in
            let parameter = plan.parameters[index]
            return PlanParameter(
                name: String(cString: parameter.name), help: parameter.help.map { String(cString: $0) },
                value: EncodedValue(
                    bytes: [UInt8](UnsafeBufferPointer(start: parameter.value.data, count: parameter.value.length))),
                line: Int(parameter.line))
        }
    }
}

extension Optional<String> {
    /// Calls `body` with the text as a C string, or with nil.
    fileprivate func withCStringOrNil<Result>(_ body: (UnsafePointer<CChar>?) -> Result) -> Result {
        guard let text = self else { return body(nil) }
        return text.withCString { body($0) }
    }
}

/// Why a script was not planned; never empty.
package struct PlanRefusal: Error, Sendable {
    package var problems: [PlanProblem]
    /// Problems beyond the hundred that are kept.
    package var leftOut = 0

    package init(problems: [PlanProblem], leftOut: Int = 0) {
        self.problems = problems
        self.leftOut = leftOut
    }
}

/// What the planning thread leaves behind.
private final class PlanResult: @unchecked Sendable {
    // @unchecked: written by the planning thread, read after it was joined.
    var plan: UnsafeMutablePointer<handout_plan>?
}

extension TaskOptions {
    init(_ set: handout_option_set) {
        self.init()
        priority = set.priority
        retries = set.retries
        arity = set.arity
        timeout = set.timeout
        backoffFirst = set.backoff_first
        backoffFactor = set.backoff_factor
        backoffMax = set.backoff_max
        cpu = set.cpu
        memory = set.memory
        estimate = set.estimate
        let flags = UInt32(set.flags)
        always = flags & HANDOUT_FLAG_ALWAYS.rawValue != 0
        optional = flags & HANDOUT_FLAG_OPTIONAL.rawValue != 0
        isInline = flags & HANDOUT_FLAG_INLINE.rawValue != 0
        recovers = flags & HANDOUT_FLAG_RECOVERS.rawValue != 0
        isMeasured = flags & HANDOUT_FLAG_MEASURED.rawValue != 0
        measuresMemory = flags & HANDOUT_FLAG_MEASURES_MEMORY.rawValue != 0
        measuresPriority = flags & HANDOUT_FLAG_MEASURES_PRIORITY.rawValue != 0
        isProcess = flags & HANDOUT_FLAG_PROCESS.rawValue != 0
        grant = set.grant
    }
}
