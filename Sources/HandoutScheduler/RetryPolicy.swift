package import HandoutCore

/// Whether a failed attempt is followed by another, and after which pause (`lua-api.md`, section 7).
package enum RetryPolicy {
    /// This crash of a task's runner is final.
    static let finalCrash: UInt8 = 3
    /// This many lost attempts in a row are final.
    static let finalLost: UInt8 = 10

    /// Notes the attempt in `record` and says whether another one follows. `mayGetMore`: a function says how much memory the
    /// next attempt has; one that met its limit is not tried again with no more.
    static func allowsRetry(_ ended: Ended, retries: UInt8, mayGetMore: Bool = false, record: inout FailureRecord)
        -> Bool
    {
        if ended == .lost {
            record.lostInARow += 1
            return record.lostInARow < finalLost
        }
        record.lostInARow = 0
        switch ended {
        case .result, .cancelled, .lost: return false
        case .memory: if !mayGetMore { return false }
        case .crash:
            record.crashes += 1
            if record.crashes >= finalCrash { return false }
        case .error, .timeout: break
        }
        guard record.retriesUsed < retries else { return false }
        record.retriesUsed += 1
        return true
    }

    /// Whether an attempt with so much memory may follow one that met the limit `met`. `ofTask`: the limit of a task that
    /// claims none.
    package static func isMore(_ memory: UInt64, than met: UInt64, ofTask: UInt64) -> Bool {
        (memory == 0 ? ofTask : memory) > met
    }

    /// The pause before retry `number` (from 1) in nanoseconds: the same for the same seed, task and attempt.
    package static func pause(options: TaskOptions, retry number: Int, seed: UInt64, task: TaskID, attempt: UInt16)
        -> UInt64
    {
        guard options.backoffFirst > 0, number > 0 else { return 0 }
        var pause = Double(options.backoffFirst)
        let cap = options.backoffMax > 0 ? Double(options.backoffMax) : .greatestFiniteMagnitude
        // At most 100 steps; a product has the same rounding everywhere, a library's power function has not.
        var step = 1
        while step < number && pause < cap {
            pause *= options.backoffFactor
            step += 1
        }
        pause = min(pause, cap)
        var generator = SplitMix64(seed: SplitMix64.mix(seed ^ UInt64(task.rawValue) << 16 ^ UInt64(attempt)))
        pause *= 0.8 + 0.4 * generator.unit()
        guard pause > 0 else { return 0 }
        return pause < 0x1p62 ? UInt64(pause) : 1 << 62
    }
}
