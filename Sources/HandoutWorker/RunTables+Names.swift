import CLuaShim
package import HandoutCore
import HandoutPlan
import LuaRuntime

extension RunTables {
    /// The full name of a task: `id`, `id[3]`, `id[key]`, `id[level.group]`; of a row of an instantiated graph
    /// `map[key]/id`.
    package func name(of task: TaskID) -> [UInt8] {
        let graph = plan.graph
        guard task.index >= graph.count else { return Array(graph.nameBuffer(task)) }
        let row = dynamic.base[task.index - graph.count]
        let number = row.group & ~HANDOUT_OF_GRAPH
        let group = groups.base[Int(number)]
        var name = self.name(of: TaskID(rawValue: group.task))
        if row.group & HANDOUT_OF_GRAPH != 0 {
            appendKey(number, row.count, to: &name)
            return name + [UInt8(ascii: "/")] + Array(graph.nameBuffer(TaskID(rawValue: row.first)))
        }
        if group.is_map != 0 {
            appendKey(number, row.first, to: &name)
        } else {
            let shape = ReduceShape(
                count: Int(group.elements), arity: Int(graph.options(of: TaskID(rawValue: group.declared)).arity))
            let place = shape.name(ofInner: task.index - Int(group.first))
            name += Array("[\(place.level).\(place.group)]".utf8)
        }
        return name
    }

    private func appendKey(_ group: UInt32, _ element: UInt32, to name: inout [UInt8]) {
        name.append(UInt8(ascii: "["))
        if groups.base[Int(group)].keyed == 0 {
            name += Array(String(element + 1).utf8)
        } else {
            name += key(group, element)
        }
        name.append(UInt8(ascii: "]"))
    }

    private func key(_ group: UInt32, _ element: UInt32) -> [UInt8] {
        var out = handout_buffer()
        guard handout_append_key(native, group, element, &out) == 0 else { return [] }
        let encoded = EncodedValue(draining: &out).bytes
        var length = 0
        guard let text = handout_value_string(encoded, encoded.count, &length) else { return [] }
        return encoded.withUnsafeBufferPointer { _ in
            IdentifierEscape.percentEncoded(UnsafeBufferPointer(start: text, count: length))
        }
    }
}
