import HandoutCore

/// Chooses, for what is ready, among the workers that could have it (`lua-api.md`, section 6).
///
/// It chooses only among legal moves: the scheduler asks about workers where a task fits, and looks again before it places
/// anything. So an allocator cannot claim more than there is, hold a run up for ever, or change a result.
package enum Allocator: Sendable, Hashable {
    /// The first worker, in the order of joining, on which it fits.
    case firstAvailable
    /// The worker that was given the least work so far, of those the one with the most left over.
    case loadBalanced
    /// The worker that has most of the inputs. A task waits up to `slack` nanoseconds for one that is busy, if what it
    /// saves is more.
    case locality(slack: UInt64)
    /// The worker that asks the least for the time that it takes.
    case cost
    /// The worker on which it ends first.
    case fastest
    /// As a plan of the whole graph says (`PlacementPlan`).
    case planned
    /// As a strategy in Lua answers, by class and worker; `perTask`: for each task.
    case scored(perTask: Bool)
    /// As a strategy in Lua answers, a round at a time.
    case rounds
    /// Any worker, by a seed: for tests. Correctness must not depend on the choice.
    case random(seed: UInt64)

    /// Names on the command line and in `g:allocator`.
    package static let names = ["first-available", "load-balanced", "cost", "time", "locality"]
}

/// Where and in which order the rows of a graph are to run.
package struct PlacementPlan: Sendable {
    /// By declared row: number of the worker, -1: any.
    package var workers: [Int32]
    /// By declared row: the smaller the sooner.
    package var order: [UInt32]

    package init(workers: [Int32], order: [UInt32]) {
        self.workers = workers
        self.order = order
    }
}
