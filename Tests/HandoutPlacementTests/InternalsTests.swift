import HandoutCore
import Testing

@testable import HandoutPlacement

@Suite struct GenerationSchemeTests {
    @Test func `both schemes give valid schedules under every rule`() {
        for seed in 0..<100 as Range<UInt64> {
            let instance = Samples.random(seed)
            let model = Model(instance)
            for rule in PriorityRule.allCases {
                let table = Timetable(model)
                table.fillSerially(by: rule.priorities(model))
                #expect(ScheduleChecker.problem(table.schedule, instance) == nil, "\(rule) serial, seed \(seed)")
                table.clear()
                table.fillInParallel(by: rule.priorities(model))
                #expect(ScheduleChecker.problem(table.schedule, instance) == nil, "\(rule) parallel, seed \(seed)")
            }
        }
    }

    /// The parallel scheme never leaves a worker idle while a task could run there: after a long task that could start.
    @Test func `the parallel scheme starts what can start`() {
        let tasks: [PlacementInstance.Task] = [
            .init(name: "short", runTime: .base(1), amounts: [10_000]),
            .init(name: "wide", runTime: .base(5), amounts: [20_000], inputs: [.init(producer: 0, size: .bytes(0))]),
            .init(name: "long", runTime: .base(9), amounts: [10_000]),
        ]
        let instance = Samples.make("three", ["cpu"], tasks, [.init(name: "w", amounts: [20_000])])
        let table = Timetable(Model(instance))
        table.fillInParallel(by: [3, 2, 1])
        #expect(table.schedule.entries.map(\.start) == [0, 9, 0])
        table.clear()
        table.fillSerially(by: [3, 2, 1])
        #expect(table.schedule.entries.map(\.start) == [0, 1, 6])
    }
}

@Suite struct ProfileTests {
    /// Against a count of what is held at every whole moment.
    @Test func `a profile finds the earliest room, and gives room back`() {
        for seed in 0..<200 as Range<UInt64> {
            var random = SplitMix64(seed: seed)
            let words = 1 + random.below(2)
            // Fields of four bits with a guard bit above.
            let guards = [UInt64](repeating: 16, count: words), capacity = [UInt64](repeating: 16 + 10, count: words)
            var profile = Profile(words: words)
            defer { profile.deallocate() }
            profile.reset(capacity)
            var free = [[Int]](repeating: [Int](repeating: 10, count: words), count: 400)
            var held: [(request: [UInt64], start: Int, finish: Int)] = []
            for _ in 0..<60 {
                if !held.isEmpty && random.chance(0.3) {
                    let entry = held.remove(at: random.below(held.count))
                    profile.release(entry.request, from: Double(entry.start), to: Double(entry.finish))
                    for time in entry.start..<entry.finish {
                        for word in 0..<words { free[time][word] += Int(entry.request[word]) }
                    }
                    continue
                }
                let request = (0..<words).map { _ in UInt64(1 + random.below(10)) }
                let duration = 1 + random.below(6), ready = random.below(20)
                let start = profile.earliest(request, guards, least: 1, from: Double(ready), for: Double(duration))
                let expected = (ready...).first { moment in
                    (moment..<moment + duration).allSatisfy { time in
                        (0..<words).allSatisfy { free[time][$0] >= Int(request[$0]) }
                    }
                }
                #expect(Int(start) == expected, "seed \(seed)")
                let finish = Int(start) + duration
                profile.reserve(request, from: start, to: Double(finish))
                for time in Int(start)..<finish {
                    for word in 0..<words { free[time][word] -= Int(request[word]) }
                }
                held.append((request, Int(start), finish))
            }
        }
    }
}

@Suite struct NumberTests {
    @Test func `logarithm and exponential are inverse and right to nine places`() {
        #expect(abs(logarithm(10) - 2.302585092994046) < 1e-9)
        #expect(abs(logarithm(1e-6) + 13.815510557964274) < 1e-8)
        #expect(abs(exponential(1) - 2.718281828459045) < 1e-9)
        #expect(logarithm(0) == -.infinity)
        for exponent in -20...20 {
            let value = Double(exponent) / 3
            #expect(abs(logarithm(exponential(value)) - value) < 1e-8)
        }
    }

    @Test func `a stable sort keeps the order of equal ones`() {
        var random = SplitMix64(seed: 3)
        for count in [0, 1, 2, 11, 12, 13, 100, 1000] {
            let keys = (0..<count).map { _ in Double(random.below(7)) }
            var list = (0..<Int32(count)).map { $0 }
            let sort = StableSort(capacity: count)
            list.withUnsafeMutableBufferPointer { list in
                guard let base = list.baseAddress else { return }
                keys.withUnsafeBufferPointer { keys in
                    guard let keys = keys.baseAddress else { return }
                    sort.sort(base, count, by: keys)
                }
            }
            let expected = (0..<Int32(count)).sorted { (keys[Int($0)], $0) < (keys[Int($1)], $1) }
            #expect(list == expected)
        }
    }
}

@Suite struct RepeatedDecodingTests {
    /// Moves that are given up and moves that are kept, in turn, on instances with and without pools.
    @Test func `what is restored gives the schedule that decoding the whole list gives`() {
        for seed in 0..<40 as Range<UInt64> {
            let instance = seed % 2 == 0 ? Samples.random(seed) : Samples.pooled(seed)
            let model = Model(instance)
            let other = Decoder(instance, model, lowerBound: 0, budget: PlanningBudget())
            let decoder = Decoder(instance, model, lowerBound: 0, budget: PlanningBudget())
            let repeated = RepeatedDecoding(decoder)
            let candidate = Candidate(count: model.count)
            candidate.list.update(from: model.order, count: model.count)
            other.chooseWorkers(candidate)
            repeated.begin(candidate)
            var random = SplitMix64(seed: seed)
            for step in 0..<60 {
                let place = random.below(model.count)
                let task = Int(candidate.list[place])
                let before = candidate.workers[task]
                let choices = model.eligible(task)
                candidate.workers[task] = random.chance(0.2) ? -1 : choices[random.below(choices.count)]
                let limit = random.chance(0.3) ? other.best.makespan : Double.infinity
                let expected = other.decode(candidate, limit: limit)
                let found = repeated.decode(candidate, from: place, moved: place, limit: limit)
                // One that reaches the limit exactly may be given up or not, by rounding.
                let isAtLimit = abs(found - limit) <= 1e-9 * limit && expected == .infinity
                #expect(found == expected || isAtLimit, "seed \(seed), step \(step)")
                if found < .infinity && expected < .infinity {
                    #expect(decoder.forward.schedule == other.forward.schedule, "seed \(seed), step \(step)")
                }
                if found < .infinity && expected < .infinity && random.chance(0.3) {
                    candidate.workers[task] = decoder.forward.workers[task]
                    repeated.begin(candidate)
                } else {
                    candidate.workers[task] = before
                }
            }
        }
    }
}
