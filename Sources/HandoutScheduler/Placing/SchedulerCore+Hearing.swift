package import HandoutCore

/// Something that a strategy is told (`lua-api.md`, section 8).
package struct HeardEvent: Sendable {
    package enum Kind: Sendable {
        case run(RunEvent.Kind)
        /// By number of the worker.
        case worker(WorkerNotice, Int)
    }
    /// Nanoseconds on the run's own clock.
    package var time: UInt64
    package var kind: Kind
}

extension Placer {
    /// Keeps what happened for a strategy that wants to know, at the moment of the event that is being handled.
    func hear(_ kind: HeardEvent.Kind) {
        if hears { heard.append(HeardEvent(time: now, kind: kind)) }
    }

    /// The run has started: workers that were there before are told of after it.
    func hearStart() {
        guard hears, let start = heard.popLast() else { return }
        heard.insert(start, at: 0)
        guard !hasWorkers else { return }
        for worker in 0..<workers.count { hear(.worker(.joined, worker)) }
    }

    /// Some of the amounts are of resources that a tracker is asked for.
    func isGuarded(_ queue: ClassQueue, _ variant: Int) -> Bool {
        !guarded.isEmpty && queue.request.variants[variant].amounts.contains { guarded.contains(Int($0.resource)) }
    }
}

extension SchedulerCore {
    /// A strategy was not told yet of something that happened.
    package var hasHeard: Bool { placer.map { !$0.heard.isEmpty } ?? false }

    /// What happened since this was last asked, in order; nothing unless the configuration asks for it.
    package func takeHeard() -> [HeardEvent] {
        guard let placer, !placer.heard.isEmpty else { return [] }
        defer { placer.heard.removeAll(keepingCapacity: true) }
        return placer.heard
    }

    /// Keeps what happened for those who asked for it.
    @inline(never)
    func note(_ kind: RunEvent.Kind, _ now: UInt64, _ output: inout SchedulerOutput) {
        if configuration.recordsEvents { output.events.append(RunEvent(time: now, kind: kind)) }
        guard let placer, placer.hears else { return }
        placer.now = now
        placer.hear(.run(kind))
    }

    @inline(never)
    func noteStart(_ row: Int, _ attempt: UInt16, _ slot: Int, _ now: UInt64, _ output: inout SchedulerOutput) {
        let claim = placer.flatMap { placer in
            placer.hasWorkers ? placer.claims[UInt32(row)] : self.claim(ofSlot: slot, placer)
        }
        note(
            .taskStarted(TaskID(row), attempt: attempt, slot: UInt16(slot), variant: claim?.variant ?? 0), now, &output)
    }

    /// The row became ready, at the moment of the event that is being handled.
    @inline(never)
    func noteReady(_ row: Int, _ output: inout SchedulerOutput) {
        note(.taskReady(TaskID(row), attempt: attempts[row] + 1), moment, &output)
    }

    /// Amounts by name that an attempt of the row holds with a variant, from 0; of memory bytes, else 1/10 000.
    package func amounts(of task: TaskID, variant: Int) -> [(name: String, amount: UInt64)] {
        guard let placer else { return [] }
        let variants = placer.classes[requestClass(of: task.index, placer)].request.variants
        guard variant < variants.count else { return [] }
        return variants[variant].amounts.map { (placer.requests.names[Int($0.resource)], $0.amount) }
    }

    /// The name of the worker that an event's slot is of.
    package func workerName(ofSlot slot: Int) -> String {
        guard let placer else { return configuration.local.capacity.name }
        let worker = placer.hasWorkers ? slot : 0
        return worker < placer.workers.count ? placer.workers.facts[worker].offer.capacity.name : ""
    }
}
