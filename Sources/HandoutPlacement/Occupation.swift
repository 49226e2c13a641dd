/// What is held of a worker and of pools by something that is no task of the instance: a run that goes on, or a worker that
/// will have left.
extension PlacementInstance {
    package struct Occupation: Sendable, Equatable {
        package var worker: Int
        package var from: Double
        /// Infinite ends would leave a task without any place: the last moment is always free.
        package var until: Double
        /// An amount for each resource of the worker, and for each pool, in 1/10 000; empty: of none.
        package var amounts: [Int64]
        package var pooled: [Int64]

        package init(worker: Int, from: Double = 0, until: Double, amounts: [Int64], pooled: [Int64] = []) {
            self.worker = worker
            self.from = from
            self.until = until
            self.amounts = amounts
            self.pooled = pooled
        }
    }

    /// It begins in the middle of a run: something is held, or data come later to some workers than to others.
    var hasPast: Bool { !occupations.isEmpty || tasks.contains { !$0.arrivals.isEmpty } }

    /// What is free over time: from each moment to the next, beside what is occupied; never less than nothing.
    func free(of capacity: [Int64], _ held: [(from: Double, until: Double, amounts: [Int64])]) -> [FreeStep] {
        let held = held.filter { $0.until > max(0, $0.from) && $0.until.isFinite }
        let moments = Set([0] + held.flatMap { [max(0, $0.from), $0.until] }).sorted()
        var steps: [FreeStep] = []
        for moment in moments {
            var left = capacity
            for entry in held where entry.from <= moment && entry.until > moment {
                for (place, amount) in entry.amounts.enumerated() { left[place] = max(0, left[place] - amount) }
            }
            if steps.last?.amounts != left { steps.append(FreeStep(from: moment, amounts: left)) }
        }
        return steps
    }

    struct FreeStep: Equatable {
        var from: Double
        var amounts: [Int64]
    }
}

/// The profiles that schedules of an instance begin with, where it begins in the middle of a run.
final class InitialProfiles {
    /// One a worker, and one for all pools.
    private let profiles: UnsafeMutablePointer<Profile>
    private let count: Int

    /// Nil where nothing is occupied.
    init?(_ instance: PlacementInstance, _ packed: PackedAmounts) {
        guard !instance.occupations.isEmpty else { return nil }
        count = instance.workers.count + 1
        profiles = .allocate(capacity: count)
        for worker in instance.workers.indices {
            let held = instance.occupations.filter { $0.worker == worker }.map { ($0.from, $0.until, $0.amounts) }
            let steps = instance.free(of: instance.workers[worker].amounts, held)
            (profiles + worker).initialize(to: InitialProfiles.profile(steps, packed))
        }
        let held = instance.occupations.filter { !$0.pooled.isEmpty }.map { ($0.from, $0.until, $0.pooled) }
        let steps = instance.free(of: instance.pools.map(\.amount), held)
        let pools = PackedAmounts(poolsOf: instance)
        (profiles + count - 1).initialize(to: InitialProfiles.profile(steps, pools))
    }

    private static func profile(_ steps: [PlacementInstance.FreeStep], _ packed: PackedAmounts) -> Profile {
        var profile = Profile(words: packed.words)
        profile.reset(steps.map { ($0.from, packed.capacity($0.amounts)) })
        return profile
    }

    deinit {
        for place in 0..<count { profiles[place].deallocate() }
        profiles.deallocate()
    }

    @inline(__always) subscript(place: Int) -> Profile { profiles[place] }

    /// Moments at which something changes.
    var moments: [Double] { (0..<count).flatMap { profiles[$0].moments } }
}
