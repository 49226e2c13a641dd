package import HandoutCore

/// Rows with options that are functions: these are asked before each attempt, and the row is ready when they have answered.
extension SchedulerCore {
    /// The functions have answered; nil: with what was declared. False: stale, nothing was changed.
    @discardableResult
    package mutating func measured(
        _ task: TaskID, attempt: UInt16, _ measurement: Measurement?, into output: inout SchedulerOutput
    ) -> Bool {
        let row = task.index
        guard let placer, isMeasuring(row, attempt) else { return false }
        if let measurement {
            let options = Int(optionIndices[declaredRow(of: row)])
            placer.setRequest(graph.requests.request(ofOptions: options, with: measurement), row: row)
        }
        placer.measurements[UInt32(row)] = Placer.Measured(attempt: attempt, priority: measurement?.priority)
        makeReady(row, key: readyKey(row), slot: -1, &output)
        return true
    }

    /// A function gave nothing of use: the attempt has failed and never ran. False: stale, nothing was changed.
    @discardableResult
    package mutating func unmeasured(
        _ task: TaskID, attempt: UInt16, _ failure: Failure, now: UInt64, into output: inout SchedulerOutput
    ) -> Bool {
        let row = task.index
        guard isMeasuring(row, attempt) else { return false }
        attempts[row] = attempt
        attemptFailed(row, attempt, failure, now, &output)
        return true
    }

    /// What an attempt of the task would ask for.
    package func request(of task: TaskID, with measurement: Measurement) -> NamedRequest {
        let options = Int(optionIndices[declaredRow(of: task.index)])
        return graph.requests.named(graph.requests.request(ofOptions: options, with: measurement))
    }

    /// Some options of the task are functions.
    package func isMeasured(_ task: TaskID) -> Bool {
        hasMeasured && isMeasured(declared: declaredRow(of: task.index))
    }

    /// Nothing more need be asked for now: what is ready asks for many different things. Not where a function may say that what
    /// is not asked yet comes first.
    package var isCrowded: Bool {
        guard let placer, counts.ready > 0, placer.isCrowded(slots: configuration.slots) else { return false }
        return !graph.options.contains(where: \.measuresPriority)
    }

    package var hasMeasured: Bool { placer?.hasMeasured ?? false }

    func isMeasured(declared row: Int) -> Bool { hasMeasured && graph.options[Int(optionIndices[row])].isMeasured }

    private func isMeasuring(_ row: Int, _ attempt: UInt16) -> Bool {
        row < status.count && state(row) == RowState.measuring && attempts[row] + 1 == attempt
    }

    /// Asks what functions say of the row's next attempt, unless they have said it. One that makes a substitute result has
    /// what the attempt before had.
    mutating func asks(_ row: Int, _ placer: Placer, _ output: inout SchedulerOutput) -> Bool {
        guard isMeasured(declared: declaredRow(of: row)) else { return false }
        let attempt = attempts[row] + 1
        if placer.measurements[UInt32(row)]?.attempt == attempt { return false }
        if attempt > 1, failures[UInt32(row)]?.isRecovering ?? false { return false }
        setState(row, RowState.measuring)
        output.actions.append(.measure(TaskID(row), attempt: attempt))
        return true
    }
}
