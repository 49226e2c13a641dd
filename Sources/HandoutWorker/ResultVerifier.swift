import CLuaShim
import HandoutCore
import LuaRuntime

/// Runs what a slot has done once more, each task in a state of its own, and compares (`--verify`).
///
/// Completions of the slot are not collected before: the inputs are still there.
final class ResultVerifier: @unchecked Sendable {
    // @unchecked: used by the thread of its slot, but for the lease, whose C side keeps what others touch atomic.
    let lease: LeaseSlot
    private let state: (LeaseSlot) -> TaskState?
    private let shared: SharedMemory?
    private let note: @Sendable (TaskID, String) -> Void

    /// Nil: no memory. `state` makes one for a lease; `note` receives a task and how its second result differs.
    init?(
        shared: SharedMemory?, state: @escaping (LeaseSlot) -> TaskState?,
        note: @escaping @Sendable (TaskID, String) -> Void
    ) {
        guard let lease = LeaseSlot() else { return nil }
        self.lease = lease
        self.state = state
        self.shared = shared
        self.note = note
    }

    /// Checks all that the slot's lease has ended well. Returns when that is done; never where a task is stuck in code
    /// that cannot be stopped.
    func check(_ slot: LeaseSlot) {
        let count = Int(handout_slot_done(slot.pointer))
        guard let items = handout_slot_items(slot.pointer), let done = handout_slot_completions(slot.pointer) else {
            return
        }
        let pair = Pair(items: items, completions: done)
        // A thread of its own: the deadlines of the second attempts are those of the verifier's lease.
        let thread = try? NativeThread(slot: lease) { [self] in
            for index in 0..<count where pair.completions[index].ended == 0 {
                check(pair.items[index], pair.completions[index].value)
            }
        }
        thread?.join()
    }

    private struct Pair: @unchecked Sendable {
        // @unchecked: the thread that lends them waits for the one that reads them.
        let items: UnsafeMutablePointer<handout_lease_item>
        let completions: UnsafePointer<handout_completion>
    }

    private func check(_ item: handout_lease_item, _ first: handout_value) {
        guard var running = state(lease), let items = handout_slot_items(lease.pointer) else { return }
        items.pointee = item
        handout_slot_lend(lease.pointer, 1, 0)  // its time is counted from its start
        while !running.run() {
            running.free()
            guard let next = state(lease) else { return }
            running = next
        }
        running.free()
        guard let second = handout_slot_completions(lease.pointer)?.pointee else { return }
        defer { free(second) }
        if second.ended == HANDOUT_CANCELLED.rawValue { return }
        let task = TaskID(rawValue: item.task)
        guard second.ended == 0 else {
            let text = second.failure.map { failure in
                String(
                    decoding: UnsafeRawBufferPointer(
                        start: failure.pointee.message, count: Int(failure.pointee.message_length)), as: UTF8.self)
            }
            let kind = Ended(rawValue: second.ended).map { "\($0)" } ?? "failure"
            return note(task, "the second time it failed (\(kind)): \(text ?? "")")
        }
        let values = (encoded(first), encoded(second.value))
        guard values.0 != values.1 else { return }
        note(task, ValueDifference.text(values.0, values.1))
    }

    private func free(_ completion: handout_completion) {
        var completion = completion
        handout_failure_free(completion.failure)
        if let shared, UInt32(completion.value.tag) == HANDOUT_BLOB.rawValue {
            shared.release(completion.value.as.blob, bytes: Int(completion.value.length))
        } else {
            handout_value_free(&completion.value)
        }
    }

    private func encoded(_ value: handout_value) -> EncodedValue {
        var out = handout_buffer()
        _ = withUnsafePointer(to: value) { handout_value_append($0, &out) }
        return EncodedValue(draining: &out)
    }
}

/// Where two values differ first, in words.
enum ValueDifference {
    /// `result.rows[3]: 1, then 2`.
    static func text(_ first: EncodedValue, _ second: EncodedValue) -> String {
        let (path, a, b) = find(first, second, "result", 0)
        return "\(path): \(shown(a)), then \(shown(b))"
    }

    private static func find(_ first: EncodedValue, _ second: EncodedValue, _ path: String, _ depth: Int)
        -> (String, EncodedValue?, EncodedValue?)
    {
        guard depth < 20 else { return (path, first, second) }
        if let a = first.elements, let b = second.elements, !(a.isEmpty && b.isEmpty) {
            for (index, (x, y)) in zip(a, b).enumerated() where x != y {
                return find(x, y, "\(path)[\(index + 1)]", depth + 1)
            }
            let index = min(a.count, b.count)
            return ("\(path)[\(index + 1)]", index < a.count ? a[index] : nil, index < b.count ? b[index] : nil)
        }
        if let a = first.members, let b = second.members {
            let names = Set(a.map(\.name)).union(b.map(\.name)).sorted()
            for name in names {
                let x = a.first { $0.name == name }?.value, y = b.first { $0.name == name }?.value
                guard x != y else { continue }
                let inner = "\(path).\(TextEscape.shown(name))"
                guard let x, let y else { return (inner, x, y) }
                return find(x, y, inner, depth + 1)
            }
        }
        return (path, first, second)
    }

    private static func shown(_ value: EncodedValue?) -> String {
        guard let value else { return "nothing" }
        let text = (try? value.json()).map { String(decoding: $0, as: UTF8.self) } ?? "a value"
        return text.count > 60 ? text.prefix(57) + "..." : text
    }
}
