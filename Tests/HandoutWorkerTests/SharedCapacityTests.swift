import HandoutExecutor
import Testing

/// How runs share cores and memory, in virtual time.
@Suite struct SharedCapacityTests {
    private typealias Amounts = SharedCapacity.Amounts

    /// Runs of which each always has something ready, all leases as long.
    private final class Runs {
        let capacity: SharedCapacity
        let lease: UInt64
        var time: UInt64 = 0
        var numbers: [Int] = []
        var wants: [Amounts] = []
        /// Nanoseconds of leases.
        var had: [UInt64] = []
        /// By run, when its leases end.
        private var ends: [[UInt64]] = []

        init(cores: UInt64, memory: UInt64 = 1, lease: UInt64 = 1_000_000) {
            capacity = SharedCapacity(cpu: cores * 10_000, memory: memory)
            self.lease = lease
        }

        func join(weight: Double, cores: UInt64 = 1, memory: UInt64 = 0) {
            numbers.append(capacity.join(weight: weight, wake: {}))
            wants.append(Amounts(cpu: cores * 10_000, memory: memory))
            had.append(0)
            ends.append([])
        }

        /// Everybody asks for as much as they can get, the last to have joined first.
        func run(for span: UInt64, only busy: [Int]? = nil) {
            let end = time + span
            while time < end {
                for run in numbers.indices.reversed() {
                    var before: Amounts?
                    if let place = ends[run].firstIndex(where: { $0 <= time }) {
                        ends[run].remove(at: place)
                        before = wants[run]
                    }
                    guard busy?.contains(run) ?? true else {
                        if let before { capacity.release(numbers[run], before, time: time) }
                        capacity.wantsNothing(numbers[run])
                        continue
                    }
                    while capacity.acquire(numbers[run], wants[run], insteadOf: before, time: time) {
                        before = nil
                        ends[run].append(time + lease)
                        had[run] += lease
                    }
                }
                time += lease / 4
            }
        }

        func share(_ run: Int) -> Double { Double(had[run]) / Double(had.reduce(0, +)) }
    }

    @Test func `cores are given by weight`() {
        for cores in 1...3 as ClosedRange<UInt64> {
            let runs = Runs(cores: cores)
            runs.join(weight: 3)
            runs.join(weight: 1)
            runs.run(for: 1_000_000_000)
            #expect((0.74...0.76).contains(runs.share(0)), "\(cores) cores: \(runs.share(0))")
        }
    }

    @Test func `what one leaves over the others have, and nobody saves up`() {
        let runs = Runs(cores: 2)
        runs.join(weight: 1)
        runs.join(weight: 1)
        runs.run(for: 1_000_000_000, only: [0])
        #expect(runs.had[1] == 0 && runs.had[0] > 1_900_000_000)
        let before = runs.had
        runs.run(for: 400_000_000)
        let first = runs.had[0] - before[0], second = runs.had[1] - before[1]
        #expect((0.95...1.05).contains(Double(first) / Double(second)), "\(first) \(second)")
    }

    @Test func `a wide task has its turn among narrow ones`() {
        let runs = Runs(cores: 4)
        runs.join(weight: 1)
        runs.join(weight: 1)
        runs.join(weight: 1, cores: 4)
        runs.run(for: 1_000_000_000)
        // Time times the share that it holds is what counts: four cores for as long as the others have four together, half each.
        let wide = Double(runs.had[2]) * 4, narrow = Double(runs.had[0])
        #expect((0.8...1.25).contains(wide / narrow), "\(wide / narrow)")
    }

    @Test func `what a run held is free when it leaves`() {
        let capacity = SharedCapacity(cpu: 10_000, memory: 1)
        let one = capacity.join(weight: 1, wake: {}), other = capacity.join(weight: 1, wake: {})
        let core = Amounts(cpu: 10_000, memory: 0)
        #expect(capacity.acquire(one, core, insteadOf: nil, time: 0))
        #expect(!capacity.acquire(other, core, insteadOf: nil, time: 1))
        #expect(capacity.isWaitedFor(besides: one) && !capacity.isWaitedFor(besides: other))
        capacity.leave(one)
        #expect(capacity.acquire(other, core, insteadOf: nil, time: 2))
    }
}
