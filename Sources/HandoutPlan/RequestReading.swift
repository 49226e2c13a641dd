import CLuaShim
import HandoutCore
import LuaRuntime

/// Reads what the recorder kept of `resources`, `variants`, `where` and `worker`: encoded tables with amounts in 1/10 000,
/// sizes in bytes and durations in nanoseconds.
enum RequestReading {
    static func request(
        cpu: UInt64, memory: UInt64, gpu: UInt64, resources: EncodedValue?, variants: EncodedValue?,
        where labels: EncodedValue?, worker: EncodedValue?
    ) -> NamedRequest {
        let common = amounts(resources)
        var outside = common
        outside["cpu"] = cpu
        outside["memory"] = memory
        outside["gpu"] = gpu
        let list = variants?.elements ?? []
        let all = list.isEmpty ? [NamedRequest.Variant(amounts: outside)] : list.map { variant($0, beside: outside) }
        return NamedRequest(variants: all, labels: self.labels(labels), worker: worker.flatMap(string))
    }

    /// What a variant sets holds, and what was set outside for the rest.
    private static func variant(_ value: EncodedValue, beside outside: [String: UInt64]) -> NamedRequest.Variant {
        var result = NamedRequest.Variant(amounts: outside)
        for member in value.members ?? [] {
            switch member.name {
            case "resources": result.amounts.merge(amounts(member.value)) { $1 }
            case "estimate": result.estimate = number(member.value)
            default: result.amounts[member.name] = number(member.value)
            }
        }
        return result
    }

    static func amounts(_ value: EncodedValue?) -> [String: UInt64] {
        var amounts: [String: UInt64] = [:]
        for member in value?.members ?? [] { amounts[member.name] = number(member.value) }
        return amounts
    }

    private static func labels(_ value: EncodedValue?) -> [TaskRequest.Label] {
        (value?.members ?? []).map { member in
            TaskRequest.Label(name: member.name, values: (member.value.elements ?? []).compactMap(string))
        }
    }

    private static func string(_ value: EncodedValue) -> String? {
        value.text.map { String(decoding: $0, as: UTF8.self) }
    }

    private static func number(_ value: EncodedValue) -> UInt64 {
        value.integer.map { UInt64(clamping: $0) } ?? 0
    }
}

extension RequestReading {
    static func request(_ native: handout_request) -> NamedRequest {
        request(
            cpu: native.cpu, memory: native.memory, gpu: native.gpu,
            resources: value(native.resources, native.resources_length),
            variants: value(native.variants, native.variants_length),
            where: value(native.where, native.where_length), worker: value(native.worker, native.worker_length))
    }

    static func value(_ bytes: UnsafePointer<UInt8>?, _ length: Int) -> EncodedValue? {
        bytes.map { EncodedValue(bytes: [UInt8](UnsafeBufferPointer(start: $0, count: length))) }
    }
}

extension FunctionColumns {
    /// The plain value at that index of the pool; nil for `UInt32.max`.
    func data(_ index: UInt32) -> EncodedValue? {
        guard index < UInt32(pool.count) else { return nil }
        let start = Int(handout_pool_position(pool[Int(index)]))
        let size = handout_value_size(poolBytes.base + start, poolBytes.count - start)
        return EncodedValue(bytes: Array(poolBytes.buffer[start..<start + size]))
    }

    /// Elements of the list or keyed table at that index of the pool; 0 for anything else.
    package func elementCount(_ index: UInt32) -> Int {
        guard index < UInt32(pool.count) else { return 0 }
        let start = Int(handout_pool_position(pool[Int(index)]))
        var offsets: UnsafeMutablePointer<UInt32>?
        var count: UInt32 = 0
        var keyed: Int32 = 0
        let size = handout_value_size(poolBytes.base + start, poolBytes.count - start)
        guard handout_value_elements(poolBytes.base + start, size, &offsets, &count, &keyed) == 0 else { return 0 }
        offsets?.deallocate()
        return Int(count)
    }

    /// What sets of options ask for, and the pools of the run.
    func requests(_ plan: handout_plan) -> RequestTable {
        var table = RequestTable()
        for number in 0..<Int(plan.option_set_count) {
            let set = plan.option_sets[number]
            table.add(
                RequestReading.request(
                    cpu: set.cpu, memory: set.memory, gpu: set.gpu, resources: data(set.resources),
                    variants: data(set.variants), where: data(set.where), worker: data(set.worker)), set.estimate)
        }
        for number in 0..<Int(plan.limit_count) {
            for (name, amount) in RequestReading.amounts(data(plan.limits[number])).sorted(by: { $0.key < $1.key }) {
                table.limit(name, amount)
            }
        }
        return table
    }
}
