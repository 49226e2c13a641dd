/// Cores and memory of a process that several runs share, by the weight of each.
///
/// A lease of a run is admitted when what its tasks claim is free, and nobody who waits has had less for its weight. What a run
/// has had is the time for which it held something, times the larger of its shares of cores and memory (dominant resource
/// fairness; Ghodsi and others, NSDI 2011), divided by its weight: at each moment the run with the least is next (stride
/// scheduling; Waldspurger 1995). A run that had nothing to do takes up where the others are: nobody saves up.
package final class SharedCapacity: @unchecked Sendable {
    // @unchecked: `state` is touched with the gate locked.
    /// What the tasks of a lease claim: 1/10 000 of a core, and bytes.
    package struct Amounts: Sendable, Equatable {
        package var cpu: UInt64
        package var memory: UInt64

        package init(cpu: UInt64, memory: UInt64) {
            self.cpu = cpu
            self.memory = memory
        }

        var isNothing: Bool { cpu == 0 && memory == 0 }

        func fits(in free: Amounts) -> Bool { cpu <= free.cpu && memory <= free.memory }

        static func += (sum: inout Amounts, more: Amounts) {
            sum.cpu += more.cpu
            sum.memory += more.memory
        }

        static func -= (sum: inout Amounts, less: Amounts) {
            sum.cpu -= min(sum.cpu, less.cpu)
            sum.memory -= min(sum.memory, less.memory)
        }
    }

    private struct Member {
        let number: Int
        let weight: Double
        let wake: @Sendable () -> Void
        /// Nanoseconds times share, over weight, until `since`.
        var service = 0.0
        var since: UInt64 = 0
        var held = Amounts(cpu: 0, memory: 0)
        /// What it waits for; nil: for nothing.
        var wanted: Amounts?

        /// Nothing of it is ready.
        var isIdle = true

        var isActive: Bool { !isIdle || !held.isNothing }
    }

    private struct State {
        var members: [Member] = []
        var joined = 0
        var free: Amounts
    }

    /// All there is.
    package let total: Amounts
    private let gate = Gate()
    private var state: State

    package init(cpu: UInt64, memory: UInt64) {
        total = Amounts(cpu: max(1, cpu), memory: max(1, memory))
        state = State(free: total)
    }

    /// A run takes part from now on. Returns its number.
    ///
    /// - Parameters:
    ///   - weight: above 0.
    ///   - wake: called when what the run waits for may be there: it is to ask again. It must not wait for anything.
    package func join(weight: Double, wake: @escaping @Sendable () -> Void) -> Int {
        locked { state in
            state.joined += 1
            state.members.append(Member(number: state.joined, weight: weight, wake: wake))
            return state.joined
        }
    }

    /// The run is over: what it held is free.
    package func leave(_ number: Int) {
        let wake = locked { state -> (@Sendable () -> Void)? in
            guard let place = place(number, state) else { return nil }
            state.free += state.members[place].held
            state.members.remove(at: place)
            return first(state, now: nil)
        }
        wake?()
    }

    /// Claims for a lease. False: the run waits, and is woken.
    ///
    /// - Parameters:
    ///   - before: what the slot held until now, and gives back: at once, so that nobody comes in between.
    ///   - time: nanoseconds of the monotonic clock.
    package func acquire(_ number: Int, _ amounts: Amounts, insteadOf before: Amounts?, time: UInt64) -> Bool {
        let (isAdmitted, wake) = locked { state -> (Bool, (@Sendable () -> Void)?) in
            guard let place = place(number, state) else { return (true, nil) }
            if let before { giveBack(before, place, &state, time) }
            if !state.members[place].isActive { enter(place, &state, time) }
            state.members[place].isIdle = false
            guard amounts.isNothing || amounts.fits(in: room(for: place, state, time)) else {
                state.members[place].wanted = amounts
                return (false, before == nil ? nil : first(state, now: time))
            }
            settle(place, &state, time)
            state.members[place].held += amounts
            state.members[place].wanted = nil
            state.free -= amounts
            return (true, nil)
        }
        wake?()
        return isAdmitted
    }

    /// What is free, but for what those want who come first: also where it is not enough for them yet, so that a wide task is
    /// not kept waiting by narrow ones.
    private func room(for place: Int, _ state: State, _ time: UInt64) -> Amounts {
        let own = state.members[place]
        let ownService = service(own, time)
        var room = state.free
        for other in state.members where other.number != own.number {
            guard let wanted = other.wanted else { continue }
            let theirs = service(other, time)
            if theirs < ownService || theirs == ownService && other.number < own.number { room -= wanted }
        }
        return room
    }

    private func giveBack(_ amounts: Amounts, _ place: Int, _ state: inout State, _ time: UInt64) {
        settle(place, &state, time)
        state.members[place].held -= amounts
        state.free += amounts
    }

    /// The lease has ended.
    package func release(_ number: Int, _ amounts: Amounts, time: UInt64) {
        let wake = locked { state -> (@Sendable () -> Void)? in
            guard let place = place(number, state) else { return nil }
            giveBack(amounts, place, &state, time)
            return first(state, now: time)
        }
        wake?()
    }

    /// Nothing of the run is ready: nobody has to wait for it.
    package func wantsNothing(_ number: Int) {
        let wake = locked { state -> (@Sendable () -> Void)? in
            guard let place = place(number, state) else { return nil }
            state.members[place].isIdle = true
            guard state.members[place].wanted != nil else { return nil }
            state.members[place].wanted = nil
            return first(state, now: nil)
        }
        wake?()
    }

    /// Another run waits.
    package func isWaitedFor(besides number: Int) -> Bool {
        locked { $0.members.contains { $0.number != number && $0.wanted != nil } }
    }

    // MARK: -

    private func locked<Result>(_ body: (inout State) -> Result) -> Result { gate.withLock { body(&state) } }

    private func place(_ number: Int, _ state: State) -> Int? { state.members.firstIndex { $0.number == number } }

    private func service(_ member: Member, _ time: UInt64) -> Double {
        let cores = Double(member.held.cpu) / Double(total.cpu)
        let share = max(cores, Double(member.held.memory) / Double(total.memory))
        return member.service + share * Double(time > member.since ? time - member.since : 0) / member.weight
    }

    private func settle(_ place: Int, _ state: inout State, _ time: UInt64) {
        state.members[place].service = service(state.members[place], time)
        state.members[place].since = max(state.members[place].since, time)
    }

    private func enter(_ place: Int, _ state: inout State, _ time: UInt64) {
        settle(place, &state, time)
        let least = state.members.filter(\.isActive).map { service($0, time) }.min() ?? 0
        state.members[place].service = max(state.members[place].service, least)
    }

    /// Who waits and has had the least, when that fits now.
    private func first(_ state: State, now time: UInt64?) -> (@Sendable () -> Void)? {
        let time = time ?? state.members.map(\.since).max() ?? 0
        let first = state.members.filter { $0.wanted != nil }.min { service($0, time) < service($1, time) }
        guard let first, let wanted = first.wanted, wanted.fits(in: state.free) else { return nil }
        return first.wake
    }
}

/// A run's part of a capacity that it shares: what its slots hold of it.
struct SharedPart {
    /// A slot that goes on with the same claim is not asked again for so long: handing a core over costs some microseconds.
    private static let quantum: UInt64 = 2_000_000

    let capacity: SharedCapacity
    let number: Int
    private var held: [SharedCapacity.Amounts?]
    private var since: [UInt64]
    private var isIdle = true

    init(_ capacity: SharedCapacity, number: Int, slots: Int) {
        self.capacity = capacity
        self.number = number
        held = Array(repeating: nil, count: slots)
        since = Array(repeating: 0, count: slots)
    }

    /// The slot's next lease claims so much. False: it has to wait.
    mutating func admit(_ slot: Int, _ amounts: SharedCapacity.Amounts, time: UInt64) -> Bool {
        let before = held[slot]
        if before == amounts, time < since[slot] + SharedPart.quantum || !capacity.isWaitedFor(besides: number) {
            return true
        }
        isIdle = false
        held[slot] = nil
        guard capacity.acquire(number, amounts, insteadOf: before, time: time) else { return false }
        held[slot] = amounts
        since[slot] = time
        return true
    }

    /// The slot has nothing to run.
    mutating func release(_ slot: Int, time: UInt64) {
        guard let has = held[slot] else { return }
        held[slot] = nil
        capacity.release(number, has, time: time)
    }

    /// Nothing is ready in the run.
    mutating func wantsNothing() {
        guard !isIdle else { return }
        isIdle = true
        capacity.wantsNothing(number)
    }
}
