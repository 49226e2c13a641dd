import HandoutPlan
import LuaRuntime

/// How a program is to be run.
public struct RunOptions: Sendable {
    /// What runs the tasks. Default: as many threads of this process as there are cores.
    public var workers = Workers.local(threads: nil)
    /// Where tasks run. Default: on the threads themselves.
    public var isolation = Isolation.thread
    /// What tasks may do beyond computing, where they also ask for it (`grant`). Default: nothing.
    public var allow: Set<Permission> = []
    /// Values that `handout.env` gives by name, without any permission where a task asks for them; events and messages show
    /// `***` instead.
    public var secrets: [String: String] = [:]
    public var limits = Limits()
    /// Of `math.random`, and of the spread of pauses before retries. Default: 0.
    public var seed: UInt64 = 0
    /// Output names, else ids of tasks: only they and what they need are run. Default: all.
    public var targets: [String] = []
    /// After a failure, what does not depend on it goes on. Default: false, the first failure ends the run.
    public var keepGoing = false
    /// The run directory, which the relative paths of tasks start from. Default: the current directory.
    public var directory = "."
    /// Files of trackers (`handout.tracker`), which say what this machine has while the run goes on; their parameters and
    /// inputs have no meaning. What they ask for must be in `allow`. Default: none.
    public var trackers: [Program] = []
    /// A task that says a `memory` waits while the machine has not so much free, or the control groups that limit this
    /// process. Default: false, there is as much as the machine has.
    public var monitorsMemory = false
    /// The run's events are kept for `Run.events`: about 100 bytes each until they are read. Default: true.
    public var recordsEvents = true
    /// The signal that ends Lua code whose deadline has passed. It is the whole process's: the first run that is started
    /// decides, and a later one that asks for another is refused. Nil, the default: what is in use, at first SIGURG.
    public var deadlineSignal: DeadlineSignal?
    /// Receives what the script prints while it is planned, and what trackers print, a line at a time, on a thread of the run.
    /// Default: dropped.
    public var print: @Sendable (String) -> Void = { _ in }

    public init() {}

    /// What runs the tasks.
    public struct Workers: Sendable, Hashable {
        var threads: Int?
        var shared: SharedWorkers?

        /// Threads of this process, 1 to 1024; nil: as many as there are cores.
        public static func local(threads: Int?) -> Workers { Workers(threads: threads) }

        /// Threads of this process that runs share.
        public static func shared(_ workers: SharedWorkers) -> Workers {
            Workers(threads: workers.threads, shared: workers)
        }
    }

    /// How far tasks are kept from the program that runs them.
    public struct Isolation: Sendable, Hashable {
        var isProcess: Bool
        var runner: String?

        /// In a sandboxed Lua state on a thread. Code inside a library function cannot be stopped there: when a deadline
        /// passes in one, the run ends. A script whose tasks ask for a process is refused.
        public static let thread = Isolation(isProcess: false, runner: nil)
        /// In processes of the program `handout-runner`, which the system confines: one for each thread. A crash, or code
        /// that has to be killed, costs the attempt that ran.
        ///
        /// - Parameter runner: path of the program.
        public static func process(runner: String) -> Isolation { Isolation(isProcess: true, runner: runner) }
        /// On threads, unless a task of the script asks for `isolation = "process"`.
        ///
        /// - Parameter runner: path of the program.
        public static func thread(runner: String) -> Isolation { Isolation(isProcess: false, runner: runner) }
    }

    /// Something that a run allows its tasks, where they ask for it. A script that asks for more is refused.
    public struct Permission: Sendable, Hashable {
        enum Kind: Sendable, Hashable {
            case grant(GrantKind, String)
            case readDirectory
            case everything
        }
        let kind: Kind

        /// To call this function of the program (`grant.host`).
        public static func host(_ name: String) -> Permission { Permission(kind: .grant(.host, name)) }
        /// To read this file, or what is beneath this folder (`grant.read`). Relative to the run directory.
        public static func read(_ path: String) -> Permission { Permission(kind: .grant(.read, path)) }
        /// To write this file, or beneath this folder (`grant.write`). Relative to the run directory.
        public static func write(_ path: String) -> Permission { Permission(kind: .grant(.write, path)) }
        /// To run this program of the machine (`grant.exec`).
        public static func exec(_ name: String) -> Permission { Permission(kind: .grant(.exec, name)) }
        /// To read this variable of the environment (`grant.env`).
        public static func environment(_ name: String) -> Permission { Permission(kind: .grant(.env, name)) }
        /// To read beneath the run directory, but hidden files and folders: tasks without asking for it, and the script
        /// while it is planned.
        public static var readDirectory: Permission { Permission(kind: .readDirectory) }
        /// Whatever the script asks for: for scripts that are trusted.
        public static var everything: Permission { Permission(kind: .everything) }
    }

    /// What planning and tasks may use at most.
    public struct Limits: Sendable, Hashable {
        /// CPU time that the script may take until it has returned its graph.
        public var planningTime: Duration
        /// Bytes that it may use meanwhile.
        public var planningMemory: Int
        /// Bytes that an attempt may use whose task says no `memory`.
        public var taskMemory: Int

        public init(
            planningTime: Duration = .seconds(10), planningMemory: Int = 1 << 30, taskMemory: Int = 256 << 20
        ) {
            self.planningTime = planningTime
            self.planningMemory = planningMemory
            self.taskMemory = taskMemory
        }
    }

    /// How Lua code is ended when its deadline has passed.
    public enum DeadlineSignal: Sendable, Hashable {
        /// By this signal, whose handler is replaced; a signal that is not for us is passed on to the one that was there.
        case number(Int32)
        /// By none: deadlines and `cancel(.now)` hold only where Lua code calls a function of `handout` or a library
        /// function that may take long. A loop that calls nothing goes on.
        case off
    }
}

/// The name that `RunOptions.limits` has in short.
public typealias Limits = RunOptions.Limits

extension Duration {
    /// Whole nanoseconds; negative durations are 0.
    var nanoseconds: UInt64 {
        let parts = components
        guard parts.seconds >= 0 else { return 0 }
        let (product, isLarge) = UInt64(parts.seconds).multipliedReportingOverflow(by: 1_000_000_000)
        return isLarge ? UInt64.max : product + UInt64(max(0, parts.attoseconds) / 1_000_000_000)
    }
}
