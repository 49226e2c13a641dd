import HandoutCore

/// What a run has done so far, for whoever plans again what is left of it.
package final class RunProgress {
    /// One that runs, or has ended well.
    package struct Attempt: Sendable, BitwiseCopyable {
        package var row: UInt32
        /// Number of the worker.
        package var worker: Int32
        package var variant: UInt8
        /// Nanoseconds of the run's clock at which it was placed, and at which its end was told of.
        package var begun: UInt64
        package var finish: UInt64
        /// Nanoseconds that it ran; its data came before.
        package var took: UInt64
    }

    /// In the order of their ends.
    package internal(set) var ended: [Attempt] = []
    /// Counts what no plan knows of: attempts that failed or were lost, workers that came, went, or are other ones now.
    package internal(set) var surprises = 0
    /// Elements that declared maps and reduces have, by row, as far as they are known.
    package internal(set) var elements: [Int: Int] = [:]
}

/// Plans the rest of a run again while it goes on.
package protocol RunReplanner: AnyObject {
    /// A plan to follow from now on; nil: the run goes on as it does. Asked whenever something has happened, before more is
    /// placed.
    func newPlan(_ core: borrowing SchedulerCore, now: UInt64) -> PlacementPlan?
    /// When it is to be asked even if nothing happens, in nanoseconds of the run's clock; nil: never.
    var nextLook: UInt64? { get }
    /// Plans that were made, and those of them that were better than going on.
    var counts: (made: Int, taken: Int) { get }
}

extension SchedulerCore {
    /// What a plan asks about a row.
    package enum RowStanding: Sendable {
        /// It may still run, now or later.
        case open
        case running
        case done
        /// It has no value and will have none: it failed, was skipped, or no target needs it.
        case gone
    }

    package func standing(of row: Int) -> RowStanding {
        switch state(row) {
        case RowState.running: .running
        case RowState.done: .done
        case let state where RowState.hasEnded(state): .gone
        default: .open
        }
    }

    /// Keeps what happens from now on. Before `start`; of runs that have workers.
    package func keepProgress() -> RunProgress {
        let progress = RunProgress()
        placer?.progress = progress
        return progress
    }

    /// Attempts that run now, by row. O(attempts log attempts).
    package func runningAttempts() -> [RunProgress.Attempt] {
        guard let placer, placer.hasWorkers else { return [] }
        return placer.claims.map { row, claim in
            RunProgress.Attempt(
                row: row, worker: claim.worker, variant: claim.variant, begun: claim.begun, finish: 0, took: 0)
        }.sorted { $0.row < $1.row }
    }

    /// Follows another plan from now on: what is ready is ranked, bound to workers and put off anew. What runs goes on.
    /// O(ready log ready).
    package mutating func replace(_ plan: PlacementPlan) {
        guard let placer else { preconditionFailure("plans are for runs that have workers") }
        placer.plan = plan
        placer.allocator = .planned
        var told = SchedulerOutput()  // they were told of as ready before
        for row in placer.takeAllReady() where state(row) == RowState.ready {
            pushPlaced(row, key: readyKey(row), placer, &told)
        }
        placer.forgetInactive()
    }
}

extension Placer {
    /// Empties all queues; rows in them, each once, in their order.
    fileprivate func takeAllReady() -> [Int] {
        var rows: Set<Int> = []
        for queue in classes {
            queue.queue.forEach { for row in $0.first..<$0.first + $0.count { rows.insert(Int(row)) } }
            queue.queue.removeAll()
        }
        for entry in held.entries { rows.insert(entry.row) }
        held = HeldRows()
        reservation = nil
        return rows.sorted()
    }
}
