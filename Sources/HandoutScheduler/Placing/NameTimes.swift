/// Mean measured run times of tasks by name: of each declared row, whose instances and nodes are of one name.
struct NameTimes {
    private var means: [Double] = []
    private var counts: [UInt32] = []

    /// An attempt ended well; `time`: nanoseconds times the worker's speed. O(1) amortised.
    mutating func note(_ declared: Int, of rows: Int, _ time: Double) {
        guard time > 0 else { return }
        if means.isEmpty {
            means = Array(repeating: 0, count: rows)
            counts = Array(repeating: 0, count: rows)
        }
        counts[declared] &+= 1
        means[declared] += (time - means[declared]) / Double(max(1, counts[declared]))
    }

    /// Nanoseconds at speed 1; nil: none of the name has ended.
    subscript(declared: Int) -> Double? {
        declared < means.count && counts[declared] > 0 ? means[declared] : nil
    }
}
