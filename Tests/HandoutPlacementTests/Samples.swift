import Glibc
import HandoutCore
import HandoutInstances
import HandoutPlacement

/// Instances for tests.
enum Samples {
    /// Figure 2 of Topcuoglu, Hariri, Wu 2002.
    static let topcuoglu: PlacementInstance = {
        let times: [[Double]] = [
            [14, 16, 9], [13, 19, 18], [11, 13, 19], [13, 8, 17], [12, 13, 10], [13, 16, 9], [7, 15, 11], [5, 11, 14],
            [18, 12, 20], [21, 7, 16],
        ]
        let edges: [(Int, Int, Double)] = [
            (1, 2, 18), (1, 3, 12), (1, 4, 9), (1, 5, 11), (1, 6, 14), (2, 8, 19), (2, 9, 16), (3, 7, 23), (4, 8, 27),
            (4, 9, 23), (5, 9, 13), (6, 8, 15), (7, 10, 17), (8, 10, 11), (9, 10, 13),
        ]
        let tasks = times.indices.map { task in
            PlacementInstance.Task(
                name: "n\(task + 1)", runTime: .perWorker(times[task]), amounts: [10_000],
                inputs: edges.filter { $0.1 == task + 1 }.map { .init(producer: $0.0 - 1, size: .cost($0.2)) })
        }
        return make("topcuoglu", ["cpu"], tasks, (1...3).map { .init(name: "p\($0)", amounts: [10_000], price: 1) })
    }()

    static func make(
        _ name: String, _ resources: [String], _ tasks: [PlacementInstance.Task], _ workers: [PlacementInstance.Worker],
        _ network: PlacementInstance.Network = .init(), pools: [PlacementInstance.Pool] = []
    ) -> PlacementInstance {
        do {
            return try PlacementInstance(
                name: name, resources: resources, tasks: tasks, workers: workers, network: network, pools: pools)
        } catch {
            preconditionFailure("\(name): \(error)")
        }
    }

    /// A random instance: 1 ... 40 tasks, 1 ... 5 workers, 1 ... 4 resources, tables of times, links and all.
    static func random(_ seed: UInt64) -> PlacementInstance {
        var random = SplitMix64(seed: seed)
        let count = 1 + random.below(40), workerCount = 1 + random.below(5), resourceCount = 1 + random.below(4)
        // Large and odd amounts make several words of them.
        let unit: Int64 = random.chance(0.3) ? 7_777_777_777_777 : 10_000
        let isInteger = random.chance(0.5)
        func time(_ most: Int) -> Double {
            isInteger ? Double(random.below(most)) : Double(most) * random.unit()
        }
        let workers = (0..<workerCount).map { worker in
            PlacementInstance.Worker(
                name: "w\(worker)", speed: random.chance(0.5) ? 1 : 0.5 + random.unit(),
                amounts: (0..<resourceCount).map { _ in Int64(worker == 0 ? 8 : random.below(9)) * unit },
                price: time(10))
        }
        let tasks = (0..<count).map { task in
            PlacementInstance.Task(
                name: "t\(task)",
                runTime: random.chance(0.7)
                    ? .base(time(20))
                    : .perWorker((0..<workerCount).map { $0 > 0 && random.chance(0.3) ? .infinity : time(20) }),
                amounts: (0..<resourceCount).map { _ in Int64(random.below(5)) * unit },
                inputs: (0..<random.below(min(task, 3) + 1)).map { _ in
                    .init(
                        producer: random.below(task),
                        size: random.chance(0.3) ? .cost(time(10)) : .bytes(Double(random.below(1000))))
                })
        }
        var network = PlacementInstance.Network(link: .init(bandwidth: 100, latency: time(3)))
        if random.chance(0.3) {
            for _ in 0..<workerCount {
                network.pairs[.init(from: random.below(workerCount), to: random.below(workerCount))] =
                    .init(bandwidth: random.chance(0.2) ? .infinity : 1 + 200 * random.unit(), latency: time(5))
            }
        }
        return make("random \(seed)", (0..<resourceCount).map { "r\($0)" }, tasks, workers, network)
    }

    /// The same with one or two pools that some tasks ask for, and workers whose prices change.
    static func pooled(_ seed: UInt64) -> PlacementInstance {
        let plain = random(seed)
        var random = SplitMix64(seed: seed ^ 0x9001)
        let pools = (0...random.below(2)).map { number in
            PlacementInstance.Pool(name: "p\(number)", amount: Int64(2 + random.below(3)) * 10_000)
        }
        let tasks = plain.tasks.map { task in
            var task = task
            if random.chance(0.6) { task.pooled = pools.map { _ in Int64(random.below(3)) * 10_000 } }
            return task
        }
        let workers = plain.workers.map { worker in
            var worker = worker
            var time = 0.0
            worker.laterPrices = (0..<random.below(4)).map { _ in
                time += 1 + 20 * random.unit()
                return PlacementInstance.PriceStep(from: time, price: 10 * random.unit())
            }
            return worker
        }
        do {
            return try PlacementInstance(
                name: "pooled \(seed)", resources: plain.resources, tasks: tasks, workers: workers,
                network: plain.network, pools: pools)
        } catch {
            preconditionFailure("\(seed): \(error)")
        }
    }

    /// The same in the middle of a run: some of each worker is held for a while, some data come later.
    static func begun(_ seed: UInt64) -> PlacementInstance {
        let plain = random(seed)
        var random = SplitMix64(seed: seed ^ 0xBE60)
        let tasks = plain.tasks.map { task in
            var task = task
            if random.chance(0.5) { task.arrivals = plain.workers.map { _ in 10 * random.unit() } }
            return task
        }
        var occupations: [PlacementInstance.Occupation] = []
        for worker in plain.workers.indices {
            var left = plain.workers[worker].amounts
            for _ in 0..<random.below(4) {
                let amounts = left.map { $0 > 0 ? Int64(random.below(Int($0 / 7_777) + 1)) * 7_777 : 0 }
                for (place, amount) in amounts.enumerated() { left[place] -= amount }
                let from = random.chance(0.7) ? 0 : 10 * random.unit()
                occupations.append(
                    PlacementInstance.Occupation(
                        worker: worker, from: from, until: from + 30 * random.unit(), amounts: amounts))
            }
        }
        do {
            return try PlacementInstance(
                name: "begun \(seed)", resources: plain.resources, tasks: tasks, workers: plain.workers,
                network: plain.network, occupations: occupations)
        } catch {
            preconditionFailure("\(seed): \(error)")
        }
    }

    /// The instance files in the folder that HANDOUT_INSTANCES names.
    static let files: [String] = {
        guard let folder = getenv("HANDOUT_INSTANCES").map({ String(cString: $0) }), let directory = opendir(folder)
        else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasSuffix(".json") && name != "INDEX.json" { names.append("\(folder)/\(name)") }
        }
        return names.sorted()
    }()

    static func read(_ path: String) throws -> PlacementInstance {
        guard let file = fopen(path, "r") else { throw InstanceError(place: path, message: "cannot be opened") }
        defer { fclose(file) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { text += buffer[..<count] }
        return try InstanceFile.read(text)
    }
}
