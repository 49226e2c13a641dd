/// Where and when each task of an instance runs.
package struct Schedule: Sendable, Equatable {
    package struct Entry: Sendable, Equatable {
        package var worker: Int
        package var start: Double
        package var finish: Double

        package init(worker: Int, start: Double, finish: Double) {
            self.worker = worker
            self.start = start
            self.finish = finish
        }
    }

    /// One a task.
    package var entries: [Entry]

    package init(entries: [Entry]) { self.entries = entries }

    /// When the last task ends; 0 without tasks.
    package var makespan: Double { entries.reduce(0) { max($0, $1.finish) } }

    /// Price at the start × share held × time, over all tasks, in units of the prices.
    package func cost(in instance: PlacementInstance) -> Double {
        entries.indices.reduce(0) { sum, task in
            sum + instance.price(of: task, on: entries[task].worker, at: entries[task].start)
        }
    }

    /// The mean part of the workers that is held until the last task ends, 0 … 1: of each task's greatest share.
    package func utilisation(in instance: PlacementInstance) -> Double {
        let whole = makespan * Double(instance.workers.count)
        guard whole > 0 else { return 0 }
        let held = entries.indices.reduce(0.0) { sum, task in
            let entry = entries[task]
            return sum + instance.share(of: task, on: entry.worker) * (entry.finish - entry.start)
        }
        return held / whole
    }

    /// Bytes that go from one worker to another, once an input.
    package func bytesMoved(in instance: PlacementInstance) -> Double {
        var sum = 0.0
        for (task, entry) in instance.tasks.enumerated() {
            for input in entry.inputs where entries[input.producer].worker != entries[task].worker {
                if case .bytes(let bytes) = input.size { sum += bytes }
            }
        }
        return sum
    }
}
