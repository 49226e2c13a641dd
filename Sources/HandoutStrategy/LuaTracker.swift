import CLuaShim
package import HandoutCore
package import HandoutPlan
package import LuaRuntime

/// The trackers of a file (`lua-api.md`, section 10), which share a Lua state.
///
/// All calls are made on the thread of the slot that was given, so that deadlines hold. After a limit was met the file is
/// run again with the next call.
package final class LuaTrackerFile {
    private let storage: FileStorage
    private var native: OpaquePointer
    package private(set) var trackers: [LuaTracker] = []

    /// - Parameters:
    ///   - allowance: what the worker allows; a tracker whose grant goes beyond is refused.
    ///   - directory: what relative paths begin from: absolute, without links.
    ///   - log: receives what trackers log and print.
    /// - Throws: `PlanRefusal` with every problem found.
    package init(
        _ sources: ProgramSources, allowance: Allowance, directory: String, worker: String, slot: LeaseSlot? = nil,
        limits: FileLimits = FileLimits(),
        log: @escaping @Sendable (_ level: Int, _ text: String) -> Void = { _, _ in }
    ) throws(PlanRefusal) {
        storage = FileStorage(
            sources, slot: slot, limits: limits, allowance: allowance, directory: directory, worker: worker, log: log)
        native = try LuaTrackerFile.make(storage)
        var problems: [PlanProblem] = []
        for index in 0..<handout_trackers_count(native) {
            let tracker = LuaTracker(self, index, handout_trackers_facts(native, index).pointee)
            problems += tracker.refused(by: allowance, file: sources.entry.file)
            trackers.append(tracker)
        }
        guard problems.isEmpty else { throw PlanRefusal(problems: problems) }
    }

    deinit { handout_trackers_free(native) }

    private static func make(_ storage: FileStorage) throws(PlanRefusal) -> OpaquePointer {
        guard let native = handout_trackers_new(storage.config) else {
            throw PlanRefusal(code: "memory", "\(storage.program.entry.file): not enough memory")
        }
        let problems = handout_trackers_problems(native).pointee
        guard problems.count == 0 else {
            let refusal = PlanRefusal(problems)
            handout_trackers_free(native)
            throw refusal
        }
        return native
    }

    /// Calls a function of a tracker.
    ///
    /// - Throws: `StrategyProblem` with what was wrong.
    fileprivate func call(
        _ index: UInt32, _ function: handout_tracker_function, time: UInt64, amounts: [String: UInt64] = [:],
        now: Double = 0, task: String = "", attempt: UInt32 = 0
    ) throws(StrategyProblem) -> (given: Bool, report: TrackerReport, reason: String?) {
        try renew()
        let memory = NativeMemory()
        var call = handout_tracker_call()
        call.amounts = memory.array(
            amounts.sorted { $0.key < $1.key }.map {
                handout_cluster_amount(
                    name: memory.text($0.key + "\0").bytes, amount: $0.value, index_first: 0, index_count: 0, indexed: 0
                )
            })
        call.amount_count = UInt32(amounts.count)
        call.now = now
        call.task = memory.text(task + "\0").bytes
        call.attempt = attempt
        call.time = time
        var answer = handout_tracker_answer()
        let ended = handout_trackers_call(native, index, Int32(function.rawValue), &call, &answer)
        guard ended == 0 else { throw StrategyProblem(ended: ended, handout_trackers_problem(native)) }
        return (answer.given != 0, TrackerReport(answer), answer.reason.map { String(cString: $0) })
    }

    private func renew() throws(StrategyProblem) {
        guard handout_trackers_are_dead(native) != 0 else { return }
        do throws(PlanRefusal) {
            let fresh = try LuaTrackerFile.make(storage)
            handout_trackers_free(native)
            native = fresh
        } catch {
            let first = error.problems.first
            throw StrategyProblem(
                kind: .raised, message: first?.message ?? "it could not be run again", file: first?.file,
                line: first?.line)
        }
    }

}

/// A tracker in Lua.
package final class LuaTracker: ResourceTracker {
    package let name: String
    package let provides: [String]
    package let scope: TrackerScope
    package let interval: UInt64
    /// What it asks for.
    package let grants: [(kind: GrantKind, name: String)]
    /// It wants to be asked before attempts hold something, or told afterwards.
    package var keepsClaims: Bool { has.request || has.release }
    private unowned let file: LuaTrackerFile
    private let index: UInt32
    private let has: (register: Bool, probe: Bool, request: Bool, release: Bool)
    private static let claimTime: UInt64 = 1_000_000_000

    fileprivate init(_ file: LuaTrackerFile, _ index: UInt32, _ facts: handout_tracker_facts) {
        self.file = file
        self.index = index
        name = String(cString: facts.name)
        provides = (0..<Int(facts.provide_count)).map { number in
            facts.provides[number].map { String(cString: $0) } ?? ""
        }
        scope = facts.of_cluster != 0 ? .cluster : .worker
        interval = facts.every
        has = (facts.has.0 != 0, facts.has.1 != 0, facts.has.2 != 0, facts.has.3 != 0)
        let grant = facts.grant.map { Array(UnsafeBufferPointer(start: $0, count: facts.grant_length)) }
        grants = grant.map { LuaTracker.grants(EncodedValue(bytes: $0)) } ?? []
    }

    private static func grants(_ value: EncodedValue) -> [(kind: GrantKind, name: String)] {
        (value.members ?? []).flatMap { member -> [(kind: GrantKind, name: String)] in
            guard let kind = GrantKind(rawValue: member.name) else { return [] }
            return (member.value.elements ?? []).compactMap { element in
                element.text.map { (kind, String(decoding: $0, as: UTF8.self)) }
            }
        }
    }

    fileprivate func refused(by allowance: Allowance, file: String) -> [PlanProblem] {
        grants.filter { !allowance.allows($0.kind, $0.name) }.map { grant in
            let shown = "\(grant.kind.rawValue)=\(TextEscape.shown(grant.name))"
            return PlanProblem(
                code: "grant",
                message: "tracker '\(name)': grant: \(shown) is not allowed by this worker (--allow \(shown))",
                file: file)
        }
    }

    // MARK: Calls

    package func register() -> TrackerReading? {
        guard has.register else { return nil }
        return reading { () throws(StrategyProblem) in
            try file.call(index, HANDOUT_TRACKER_REGISTER, time: probeTime)
        }
    }

    package func available(_ state: TrackerState) -> TrackerReading {
        guard has.probe else { return .report(TrackerReport()) }
        return reading { () throws(StrategyProblem) in
            try file.call(
                index, HANDOUT_TRACKER_PROBE, time: probeTime, amounts: state.claimed, now: state.now)
        }
    }

    package func request(_ claim: ResourceClaim) -> TrackerAnswer {
        guard has.request else { return .granted }
        do throws(StrategyProblem) {
            let answer = try file.call(
                index, HANDOUT_TRACKER_REQUEST, time: LuaTracker.claimTime, amounts: claim.amounts, task: claim.task,
                attempt: claim.attempt)
            return answer.given ? .granted : .refused(answer.reason)
        } catch {
            return .failed(TrackerProblem(error))
        }
    }

    package func release(_ claim: ResourceClaim) -> TrackerProblem? {
        guard has.release else { return nil }
        do throws(StrategyProblem) {
            _ = try file.call(
                index, HANDOUT_TRACKER_RELEASE, time: LuaTracker.claimTime, amounts: claim.amounts, task: claim.task,
                attempt: claim.attempt)
            return nil
        } catch {
            return TrackerProblem(error)
        }
    }

    /// A probe that takes longer than it is asked for again is too slow.
    private var probeTime: UInt64 { max(interval, 10_000_000_000) }

    private func reading(
        _ call: () throws(StrategyProblem) -> (given: Bool, report: TrackerReport, reason: String?)
    ) -> TrackerReading {
        do throws(StrategyProblem) {
            let answer = try call()
            return answer.given ? .report(answer.report) : .unknown(answer.reason)
        } catch {
            return .failed(TrackerProblem(error))
        }
    }
}

extension TrackerProblem {
    fileprivate init(_ problem: StrategyProblem) {
        self.init(message: problem.message, file: problem.file, line: problem.line)
    }
}

extension TrackerReport {
    fileprivate init(_ answer: handout_tracker_answer) {
        self.init(price: answer.has_price != 0 ? answer.price : nil)
        for index in 0..<Int(answer.amount_count) {
            totals[String(cString: answer.amounts[index].name)] = answer.amounts[index].amount
        }
        guard answer.has_labels != 0 else { return }
        let labels = (0..<Int(answer.label_count)).map { answer.labels[$0] }
        self.labels = Dictionary(
            labels.map { (String(cString: $0.name), String(cString: $0.value)) },
            uniquingKeysWith: { first, _ in first })
    }
}
