import HandoutCore

/// Chooses, for what is ready, among the workers that could have it (`lua-api.md`, section 6).
///
/// It chooses only among legal moves: the scheduler asks about workers where a task fits, and looks again before it places
/// anything. So an allocator cannot claim more than there is, hold a run up for ever, or change a result.
package enum Allocator: Sendable, Hashable {
    /// The first worker, in the order of joining, on which it fits.
    case firstAvailable
    /// The worker that has the least to do with the task: what it was given so far and the task there, by expected run time
    /// times share; of those the one with the most left over.
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

/// Where and in which order tasks are to run.
package struct PlacementPlan: Sendable {
    package struct Entry: Sendable, BitwiseCopyable {
        /// Number of the worker; -1: any.
        package var worker: Int32
        /// The smaller the sooner.
        package var order: UInt32
        /// Nanoseconds of the run's clock before which it is not placed.
        package var notBefore: UInt64

        package init(worker: Int32, order: UInt32, notBefore: UInt64 = 0) {
            self.worker = worker
            self.order = order
            self.notBefore = notBefore
        }
    }

    private var entries: [UInt64: Entry] = [:]

    package init() {}

    /// - Parameters:
    ///   - declared: the declared row that a row is or is made of.
    ///   - element: which instance of a map, or node of a reduce, from 0; nil: the declared row itself.
    package subscript(declared: Int, element: Int?) -> Entry? {
        get { entries[PlacementPlan.key(declared, element)] }
        set { entries[PlacementPlan.key(declared, element)] = newValue }
    }

    private static func key(_ declared: Int, _ element: Int?) -> UInt64 {
        UInt64(declared) << 32 | UInt64(element.map { $0 + 1 } ?? 0)
    }
}
