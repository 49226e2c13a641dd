/// Amounts of all resources side by side in few 64-bit words, so that "does it fit" is one subtraction a word.
///
/// Each resource has a field of as many bits as its largest capacity needs, and a guard bit above. What is free carries
/// set guard bits; subtracting a request clears the guard of every field that it exceeds and borrows from no neighbour.
/// Amounts are first divided by the greatest common divisor of the requests, which changes no sum that matters, so
/// that three or four ordinary resources share one word.
struct PackedAmounts {
    let words: Int
    /// The guard bits of each word.
    let guards: [UInt64]
    private let fields: [Field]

    private struct Field {
        var resource: Int
        var divisor: Int64
        var word: Int
        var shift: Int
    }

    /// Of the amounts of workers.
    init(_ instance: PlacementInstance) {
        self.init(requests: instance.tasks.map(\.amounts), capacities: instance.workers.map(\.amounts))
    }

    /// Of the amounts of pools, which are as those of one worker.
    init(poolsOf instance: PlacementInstance) {
        self.init(
            requests: instance.tasks.map(\.pooled).filter { !$0.isEmpty },
            capacities: [instance.pools.map(\.amount)])
    }

    private init(requests: [[Int64]], capacities: [[Int64]]) {
        var fields: [Field] = []
        var guards: [UInt64] = []
        var used: [Int] = []
        for resource in (capacities.first ?? []).indices {
            let divisor = requests.reduce(0) { PackedAmounts.divisor($0, $1[resource]) }
            guard divisor > 0 else { continue }  // nobody asks for it
            let largest = capacities.reduce(0) { max($0, $1[resource] / divisor) }
            let width = Int64.bitWidth - largest.leadingZeroBitCount + 1
            let word = used.firstIndex { $0 + width <= UInt64.bitWidth } ?? used.count
            if word == used.count {
                used.append(0)
                guards.append(0)
            }
            fields.append(Field(resource: resource, divisor: divisor, word: word, shift: used[word]))
            used[word] += width
            guards[word] |= 1 << UInt64(used[word] - 1)
        }
        words = max(1, used.count)
        self.guards = guards.isEmpty ? [0] : guards
        self.fields = fields
    }

    /// What a worker offers, guard bits set.
    func capacity(_ amounts: [Int64]) -> [UInt64] {
        var packed = guards
        for field in fields { packed[field.word] |= UInt64(amounts[field.resource] / field.divisor) << field.shift }
        return packed
    }

    /// What a task asks for. Meaningful for workers only that have as much.
    func request(_ amounts: [Int64]) -> [UInt64] {
        var packed = [UInt64](repeating: 0, count: words)
        for field in fields {
            let amount = UInt64(amounts[field.resource] / field.divisor)
            packed[field.word] |= amount << field.shift
        }
        return packed
    }

    private static func divisor(_ left: Int64, _ right: Int64) -> Int64 {
        var (left, right) = (left, right)
        while right != 0 { (left, right) = (right, left % right) }
        return left
    }
}
