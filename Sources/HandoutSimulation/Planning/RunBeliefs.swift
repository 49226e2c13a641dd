/// How much longer tasks take than was expected, by worker and by name, as far as a run has shown it.
///
/// A factor of a worker and one of a name that has more than one task, found in turn. Each begins at what holds for all
/// tasks, by the weight of one or two mean tasks, so that a single odd one does not count for much.
struct RunBeliefs {
    struct Sample {
        var worker: Int
        /// The declared row.
        var name: Int
        /// Seconds; of one that still runs, what it has run so far.
        var expected: Double
        var took: Double
    }

    private(set) var overall = 1.0
    private var workers: [Int: Double] = [:]
    private var names: [Int: Double] = [:]

    /// `repeated`: names of more than one task.
    init(_ samples: [Sample], repeated: Set<Int>) {
        let samples = samples.filter { $0.expected > 0 }
        let expected = samples.reduce(0) { $0 + $1.expected }
        guard expected > 0 else { return }
        let mean = expected / Double(samples.count)
        overall = (samples.reduce(0) { $0 + $1.took } + mean) / (expected + mean)
        for _ in 0..<3 {
            workers = fit(samples, by: \.worker, prior: (2 * mean * overall, 2 * mean)) { names[$0.name] ?? 1 }
            let named = samples.filter { repeated.contains($0.name) }
            names = fit(named, by: \.name, prior: (mean, mean)) { workers[$0.worker] ?? overall }
        }
    }

    /// Factors in order of first appearance, so that sums are the same each time.
    private func fit(
        _ samples: [Sample], by key: KeyPath<Sample, Int>, prior: (took: Double, expected: Double),
        other: (Sample) -> Double
    ) -> [Int: Double] {
        var took: [Int: Double] = [:]
        var expected: [Int: Double] = [:]
        for sample in samples {
            took[sample[keyPath: key], default: prior.took] += sample.took
            expected[sample[keyPath: key], default: prior.expected] += sample.expected * other(sample)
        }
        return took.reduce(into: [:]) { $0[$1.key] = $1.value / (expected[$1.key] ?? 1) }
    }

    func factor(worker: Int, name: Int) -> Double { (workers[worker] ?? overall) * (names[name] ?? 1) }
}
