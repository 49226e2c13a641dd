import CLuaShim
package import HandoutCore
import HandoutPlan
import LuaRuntime

/// Asking the functions among the options of tasks.
extension ThreadPool {
    package func measure(_ task: TaskID, attempt: UInt16, after history: AttemptHistory, slot: Int)
        -> Result<Measurement, MeasurementError>
    {
        guard let running = state(of: slot) else {
            return .failure(MeasurementError(report: noMemory(task, attempt)))
        }
        measuring.withLock { $0[slot] = LeaseEntry(task: task, attempt: attempt, retriesLeft: 0) }
        defer { measuring.withLock { $0[slot] = nil } }
        var out = handout_buffer()
        var failure: UnsafeMutablePointer<handout_failure>?
        let status = withNative(history, attempt) {
            running.measure(task.rawValue, $0, &out, &failure)
        }
        defer { handout_failure_free(failure) }
        if status < 0 { dropState(of: slot) }
        let given = EncodedValue(draining: &out)
        guard status == 0 else { return .failure(error(task, attempt, failure)) }
        return .success(Measurement(given))
    }

    package func unmeasured(_ error: inout MeasurementError) {
        let declared = tables.declaredRow(of: error.report.task)
        if error.report.file == nil {
            let place = tables.plan.place(of: declared)
            (error.report.file, error.report.line) = (place.file, place.line)
        }
        let report = error.report
        guard options[Int(optionIndices.base[declared.index])].recovers else { return }
        let message = Array(report.message.utf8)
        guard
            let failure = handout_failure_new(
                Int32(report.ended.rawValue), message, message.count, report.file, UInt32(report.line ?? 0),
                error.value, error.value.count)
        else { return }
        handout_failure_free(lastFailures.updateValue(failure, forKey: report.task))
    }

    private func noMemory(_ task: TaskID, _ attempt: UInt16) -> FailureReport {
        FailureReport(
            task: task, attempt: attempt, ended: .error, message: "no memory left for a Lua state", worker: worker)
    }

    private func error(_ task: TaskID, _ attempt: UInt16, _ failure: UnsafeMutablePointer<handout_failure>?)
        -> MeasurementError
    {
        guard let failure else { return MeasurementError(report: noMemory(task, attempt)) }
        let completion = Completion(
            task: task, attempt: attempt, ended: Ended(rawValue: failure.pointee.ended), nanoseconds: 0)
        let value = failure.pointee.value
        return MeasurementError(
            report: report(completion, failure.pointee), neverRetry: failure.pointee.never_retry != 0,
            value: [UInt8](UnsafeBufferPointer(start: value.data, count: value.length)))
    }

    /// The history as C reads it.
    private func withNative<Result>(
        _ history: AttemptHistory, _ number: UInt16, _ body: (UnsafePointer<handout_attempt>) -> Result
    ) -> Result {
        var native = handout_attempt()
        native.number = UInt32(number)
        native.ended = Int32(history.ended?.rawValue ?? 0)
        withUnsafeMutableBytes(of: &native.counts) { counts in
            history.counts.withUnsafeBytes { counts.copyMemory(from: $0) }
        }
        let claim = NativeClaim(LeaseClaim(variant: 0, amounts: history.amounts, indices: []))
        native.amounts = claim.pointer.pointee.amounts
        native.amount_count = claim.pointer.pointee.amount_count
        var message = history.message
        return withExtendedLifetime(claim) {
            message.withUTF8 { text in
                native.message = UnsafeRawPointer(text.baseAddress)?.assumingMemoryBound(to: CChar.self)
                native.message_length = text.count
                guard let worker = history.worker else { return body(&native) }
                return worker.withCString {
                    native.worker = $0
                    return body(&native)
                }
            }
        }
    }
}

extension Measurement {
    /// From what C gave: names of options and integers.
    fileprivate init(_ given: EncodedValue) {
        self.init()
        for (name, value) in given.members ?? [] {
            guard let number = value.integer else { continue }
            let amount = UInt64(clamping: number)
            switch name {
            case "estimate": estimate = amount
            case "timeout": timeout = amount
            case "priority": priority = Int32(clamping: number)
            default: amounts[name.hasPrefix("resources.") ? String(name.dropFirst(10)) : name] = amount
            }
        }
    }
}
