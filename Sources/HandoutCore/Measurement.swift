/// What the functions among a task's options gave for one attempt. What is not there stays as it was declared.
package struct Measurement: Sendable, Equatable {
    /// By name of the resource: 1/10 000, of memory bytes.
    package var amounts: [String: UInt64]
    /// Nanoseconds; 0: not known.
    package var estimate: UInt64?
    /// Nanoseconds; 0: no limit.
    package var timeout: UInt64?
    package var priority: Int32?

    package init(
        amounts: [String: UInt64] = [:], estimate: UInt64? = nil, timeout: UInt64? = nil, priority: Int32? = nil
    ) {
        self.amounts = amounts
        self.estimate = estimate
        self.timeout = timeout
        self.priority = priority
    }
}

/// What came of the attempts of a task so far, for the functions among its options.
package struct AttemptHistory: Sendable {
    /// How the last attempt ended; nil: there was none.
    package var ended: Ended?
    package var message = ""
    /// Where the last attempt ran, and what it held there; nil: it had not begun.
    package var worker: String?
    package var amounts: [(name: String, amount: UInt64)] = []
    /// How many attempts ended so, by `Ended.rawValue`.
    package var counts = [UInt32](repeating: 0, count: 8)
    /// The most memory that was not enough; nil: there was always enough.
    package var memoryMet: UInt64?

    package init() {}

    /// Another attempt has failed.
    package mutating func note(_ report: FailureReport, held: [(name: String, amount: UInt64)]?) {
        ended = report.ended
        message = report.message
        worker = held == nil ? nil : report.worker
        amounts = held ?? []
        counts[Int(report.ended.rawValue)] += 1
    }
}

/// A function among a task's options gave nothing of use: the attempt failed before it had begun.
package struct MeasurementError: Error, Sendable {
    package var report: FailureReport
    package var neverRetry: Bool
    /// What was raised, encoded; empty: no table.
    package var value: [UInt8]

    package init(report: FailureReport, neverRetry: Bool = false, value: [UInt8] = []) {
        self.report = report
        self.neverRetry = neverRetry
        self.value = value
    }
}

extension RequestTable {
    /// What the tasks with that set of options ask for, where `measurement` says more.
    package func request(ofOptions index: Int, with measurement: Measurement) -> TaskRequest {
        var request = requests[Int(ofOptions[index])]
        for variant in request.variants.indices {
            for (name, amount) in measurement.amounts {
                guard let resource = find(name) else { continue }
                request.variants[variant].amounts.removeAll { $0.resource == resource }
                guard amount > 0 else { continue }
                request.variants[variant].amounts.append(ResourceAmount(resource: resource, amount: amount))
            }
            request.variants[variant].amounts.sort { $0.resource < $1.resource }
            if let estimate = measurement.estimate { request.variants[variant].estimate = estimate }
        }
        request.timeout = measurement.timeout
        return request
    }

    /// The request with names of resources.
    package func named(_ request: TaskRequest) -> NamedRequest {
        NamedRequest(
            variants: request.variants.map { variant in
                var amounts: [String: UInt64] = [:]
                for amount in variant.amounts { amounts[names[Int(amount.resource)]] = amount.amount }
                return NamedRequest.Variant(amounts: amounts)
            }, labels: request.labels, worker: request.worker)
    }
}
