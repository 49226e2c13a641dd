import HandoutCore
import HandoutScheduler

/// Options that are functions: asked outside the gate, by a thread that is free.
extension CoordinatorState {
    /// The next attempt whose options are to be asked for. Others that wait are for other threads.
    mutating func nextMeasurement() -> Step? {
        guard measured < measurements.count, !core.isCrowded else { return nil }
        let next = measurements[measured]
        measured += 1
        if measured == measurements.count {
            measurements.empty()
            measured = 0
        } else if idle > 0 {
            wakesOne = true
        }
        return .measure(next.task, attempt: next.attempt, after: histories[next.task] ?? AttemptHistory())
    }

    /// The functions have answered.
    mutating func measured(
        _ task: TaskID, _ attempt: UInt16, _ answer: Result<Measurement, MeasurementError>, now: UInt64
    ) {
        switch answer {
        case .success(let measurement):
            if let error = problem(task, attempt, measurement) {
                unmeasured(error, now)
            } else {
                core.measured(task, attempt: attempt, measurement, into: &output)
            }
        case .failure(let error): unmeasured(error, now)
        }
        perform()
        wakesOne = wakesOne || idle > 0 && core.counts.ready > 1
    }

    private mutating func unmeasured(_ error: MeasurementError, _ now: UInt64) {
        var error = error
        link.unmeasured(&error)
        let report = error.report
        pending[key(report.task, report.attempt)] = report
        histories[report.task, default: AttemptHistory()].note(report, held: nil)
        describe(report)
        core.unmeasured(
            report.task, attempt: report.attempt, Failure(report.ended, neverRetry: error.neverRetry), now: now,
            into: &output)
    }

    /// Why the attempt cannot be made with what the functions said; nil: it can.
    private func problem(_ task: TaskID, _ attempt: UInt16, _ measurement: Measurement) -> MeasurementError? {
        func error(_ ended: Ended, _ message: String, neverRetry: Bool = false) -> MeasurementError {
            MeasurementError(
                report: FailureReport(task: task, attempt: attempt, ended: ended, message: message, worker: worker),
                neverRetry: neverRetry)
        }
        if let memory = measurement.amounts["memory"], let met = histories[task]?.memoryMet,
            !RetryPolicy.isMore(memory, than: met, ofTask: core.configuration.taskMemory)
        {
            return error(
                .memory,
                "option 'memory': \(Capacity.text(memory, of: "memory")) is no more than was not enough before: "
                    + Capacity.text(met, of: "memory"), neverRetry: true)
        }
        let request = core.request(of: task, with: measurement)
        return capacity.problem(of: request, limits: limits, graph: graph).map { error(.error, $0) }
    }

    /// An attempt of a task whose options are functions has ended: the next one's are told of it.
    mutating func note(_ completion: Completion, slot: Int) {
        let task = completion.task
        guard let ended = completion.ended, core.isMeasured(task) else {
            histories.removeValue(forKey: task)
            return
        }
        guard let report = pending[key(task, completion.attempt)], !report.isOfRecovery else { return }
        let held = core.leaseClaim(ofSlot: slot)?.amounts ?? []
        histories[task, default: AttemptHistory()].note(report, held: held)
        guard ended == .memory else { return }
        let memory = held.first { $0.name == "memory" }?.amount ?? core.configuration.taskMemory
        let met = histories[task]?.memoryMet ?? 0
        histories[task]?.memoryMet = max(memory, met)
    }
}
