import CLuaShim
package import HandoutCore
package import HandoutPlan
package import LuaRuntime

/// What the states of one run read in C: the plan's columns, results, and the rows that maps and reduces appended.
///
/// Results stay where they were made: a consumer's state decodes straight from them. A cell is written before the
/// coordinator makes any consumer ready, and freed after the last has ended, so readers need no lock.
package final class RunTables: @unchecked Sendable {
    // @unchecked: see above; rows and groups are written under the coordinator's lock, before their tasks are lent.
    let plan: Plan
    let native: UnsafeMutablePointer<handout_tables>
    private let results: AddressRange<handout_value>
    private let dynamic: AddressRange<handout_dynamic_row>
    private let groups: UnsafeMutablePointer<handout_group>
    private let groupOf: UnsafeMutablePointer<UInt32>?
    private let groupRows: [TaskID]
    private var rows: Int

    /// Nil when there is no address space for the results.
    ///
    /// - Parameter rerunsScript: states find the functions of tasks by running the script, as a host does that was sent
    ///   the source, and not in the compiled form that planning kept.
    package init?(plan: Plan, rerunsScript: Bool = false) {
        self.plan = plan
        let graph = plan.graph
        guard
            let results = AddressRange<handout_value>(capacity: Reference.limit, least: graph.count + 1 << 24),
            let dynamic = AddressRange<handout_dynamic_row>(capacity: Reference.limit, least: 1 << 24)
        else { return nil }
        self.results = results
        self.dynamic = dynamic
        rows = graph.count
        groupRows = (0..<graph.count).filter { graph.kinds[$0] != 0 }.map { TaskID($0) }
        groups = UnsafeMutablePointer<handout_group>.allocate(capacity: max(1, groupRows.count))
        groupOf = groupRows.isEmpty ? nil : UnsafeMutablePointer<UInt32>.allocate(capacity: graph.count)
        for (index, row) in groupRows.enumerated() {
            var group = handout_group()
            group.task = row.rawValue
            group.key_group = UInt32.max
            group.is_map = graph.kind(row) == .map ? 1 : 0
            groups[index] = group
            groupOf?[row.index] = UInt32(index)
        }
        native = UnsafeMutablePointer<handout_tables>.allocate(capacity: 1)
        let functions = plan.functions
        native.initialize(
            to: handout_tables(
                count: UInt32(graph.count), lines: graph.lines.base, classes: functions.classes.base,
                capture_offsets: functions.captureOffsets.base, captures: functions.captures.base,
                reference_offsets: graph.referenceOffsets.base, references: graph.references.base,
                name_offsets: graph.nameOffsets.base, name_bytes: graph.nameBytes.base, kinds: graph.kinds.base,
                class_list: functions.classList.base, class_count: UInt32(functions.classList.count),
                code: rerunsScript ? nil : functions.code.base,
                pool: functions.pool.base, pool_count: UInt32(functions.pool.count),
                pool_bytes: functions.poolBytes.base, pool_bytes_length: UInt64(functions.poolBytes.count),
                results: results.base, dynamic: dynamic.base, groups: groups, group_of: groupOf))
    }

    deinit {
        for row in 0..<rows where results.base[row].tag == UInt8(HANDOUT_BLOB.rawValue) {
            handout_value_free(&results.base[row])
        }
        for index in groupRows.indices {
            groups[index].offsets?.deallocate()
            groups[index].key_offsets?.deallocate()
            groups[index].key_bytes?.deallocate()
        }
        groups.deallocate()
        groupOf?.deallocate()
        native.deallocate()
    }

    // MARK: - Results

    /// Keeps the result of a task. True when it occupies memory beside its cell.
    func store(_ value: handout_value, of task: TaskID) -> Bool {
        results.base[task.index] = value
        return value.tag == UInt8(HANDOUT_BLOB.rawValue)
    }

    func release(first: TaskID, count: Int) {
        for row in first.index..<first.index + count { handout_value_free(&results.base[row]) }
    }

    /// The value of a task, encoded; nil when it has none.
    package func value(of task: TaskID) -> EncodedValue? {
        guard results.base[task.index].tag != UInt8(HANDOUT_ABSENT.rawValue) else { return nil }
        var out = handout_buffer()
        guard handout_append_result(native, task.rawValue, &out) == 0 else {
            handout_buffer_free(&out)
            return nil
        }
        return EncodedValue(draining: &out)
    }

    // MARK: - Maps and reduces

    /// Counts the elements of a map or reduce and notes where they are.
    func expand(_ task: TaskID) -> Result<Int, ExpansionError> {
        guard let index = groupOf?[task.index] else { return .success(0) }
        let graph = plan.graph
        guard let word = graph.references(of: task).first.map({ Reference(word: $0) }) else { return .success(0) }
        let pool = plan.functions.pool, bytes = plan.functions.poolBytes
        if word.operation == .overLiteral {
            let start = Int(handout_pool_position(pool[word.payload]))
            return elements(at: bytes.base + start, most: bytes.count - start, index, task)
        }
        let source = results.base[word.payload]
        switch UInt32(source.tag) {
        case HANDOUT_GROUP.rawValue:
            takeElements(of: source.as.group, for: index)
            return .success(Int(groups[Int(index)].elements))
        case HANDOUT_BLOB.rawValue:
            return elements(at: UnsafePointer(source.as.blob), most: Int(source.length), index, task)
        case HANDOUT_INLINE.rawValue:
            let inline = UnsafeMutableRawPointer(results.base + word.payload)
            return elements(
                at: UnsafePointer(inline.assumingMemoryBound(to: UInt8.self)), most: Int(source.length), index, task)
        case HANDOUT_NIL.rawValue: return .failure(notElements("nil", word, task))
        case HANDOUT_TRUE.rawValue, HANDOUT_FALSE.rawValue: return .failure(notElements("a boolean", word, task))
        default: return .failure(notElements("a number", word, task))
        }
    }

    /// The elements are the instances of a map.
    private func takeElements(of map: UInt32, for index: UInt32) {
        let other = groups[Int(map)]
        groups[Int(index)].element_task = other.first
        groups[Int(index)].elements = other.count
        groups[Int(index)].keyed = other.keyed
        groups[Int(index)].key_group = map
    }

    private func elements(
        at bytes: UnsafePointer<UInt8>, most: Int, _ index: UInt32, _ task: TaskID
    ) -> Result<Int, ExpansionError> {
        var offsets: UnsafeMutablePointer<UInt32>?
        var count: UInt32 = 0
        var keyed: Int32 = 0
        let size = handout_value_size(bytes, most)
        let status = handout_value_elements(bytes, size, &offsets, &count, &keyed)
        guard status == 0, let offsets else {
            let what = status == -2 ? "larger than memory" : "a value that is neither"
            return .failure(notElements(what, nil, task))
        }
        if keyed == 1 { keepKeys(of: index, bytes, offsets, Int(count)) }
        groups[Int(index)].bytes = bytes
        groups[Int(index)].offsets = UnsafePointer(offsets)
        groups[Int(index)].elements = count
        groups[Int(index)].keyed = keyed == 1 ? 1 : 0
        return .success(Int(count))
    }

    /// Copies the keys of a table: a map is known by them for longer than its elements are kept.
    private func keepKeys(
        of index: UInt32, _ bytes: UnsafePointer<UInt8>, _ offsets: UnsafeMutablePointer<UInt32>, _ count: Int
    ) {
        let keyOffsets = UnsafeMutablePointer<UInt32>.allocate(capacity: count + 1)
        var length = 0
        for element in 0..<count {
            keyOffsets[element] = UInt32(length)
            let start = Int(offsets[element])
            length += handout_value_size(bytes + start, Int(offsets[element + 1]) - start)
        }
        keyOffsets[count] = UInt32(length)
        let keys = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, length))
        for element in 0..<count {
            let size = Int(keyOffsets[element + 1] - keyOffsets[element])
            (keys + Int(keyOffsets[element])).update(from: bytes + Int(offsets[element]), count: size)
        }
        groups[Int(index)].key_bytes = UnsafePointer(keys)
        groups[Int(index)].key_offsets = UnsafePointer(keyOffsets)
    }

    private func notElements(_ what: String, _ source: Reference?, _ task: TaskID) -> ExpansionError {
        let graph = plan.graph
        let from = source.map { " of task '\(graph.name(TaskID($0.payload)))'" } ?? ""
        let place = plan.place(of: task)
        return ExpansionError(
            message: "over: expected a list or a keyed table, got \(what)\(from)", file: place.file, line: place.line)
    }

    /// Notes the rows that were appended for a map or reduce which was counted.
    func append(task: TaskID, first: TaskID, count: Int) {
        guard let index = groupOf?[task.index] else { return }
        groups[Int(index)].first = first.rawValue
        groups[Int(index)].count = UInt32(count)
        let rowsBefore = first.index - plan.graph.count
        rows = max(rows, first.index + count)
        if groups[Int(index)].is_map != 0 {
            for element in 0..<count {
                dynamic.base[rowsBefore + element] = handout_dynamic_row(
                    group: index, first: UInt32(element), count: 0)
            }
            var value = handout_value()
            value.tag = UInt8(HANDOUT_GROUP.rawValue)
            value.as.group = index
            results.base[task.index] = value
            return
        }
        if let over = plan.graph.references(of: task).first.map({ Reference(word: $0) }), over.isOver,
            UInt32(results.base[over.payload].tag) == HANDOUT_GROUP.rawValue
        {
            // A reduce over a map is expanded as soon as the map is, and not counted by `expand`.
            takeElements(of: results.base[over.payload].as.group, for: index)
        }
        let shape = ReduceShape(
            count: Int(groups[Int(index)].elements), arity: Int(plan.graph.options(of: task).arity))
        for inner in 0..<count {
            let inputs = shape.inputs(ofInner: inner)
            let (from, length) = native(inputs, first)
            dynamic.base[rowsBefore + inner] = handout_dynamic_row(group: index, first: from, count: length)
        }
        (groups[Int(index)].root_first, groups[Int(index)].root_count) = native(shape.rootInputs, first)
    }

    /// Inputs of a node as C knows them: elements, or with the top bit of the length set the rows of inner nodes.
    private func native(_ inputs: ReduceShape.Inputs, _ first: TaskID) -> (UInt32, UInt32) {
        if inputs.areElements { return (UInt32(inputs.first), UInt32(inputs.count)) }
        return (first.rawValue + UInt32(inputs.first), UInt32(inputs.count) | 1 << 31)
    }

    // MARK: - Names

    /// The declared row that a task stands for: itself, or the map or reduce it is a part of.
    package func declaredRow(of task: TaskID) -> TaskID {
        guard task.index >= plan.graph.count else { return task }
        return TaskID(rawValue: groups[Int(dynamic.base[task.index - plan.graph.count].group)].task)
    }

    /// The full name of a task: `id`, `id[3]`, `id[key]` or `id[level.group]`.
    package func name(of task: TaskID) -> [UInt8] {
        let declared = declaredRow(of: task)
        var name = Array(plan.graph.nameBuffer(declared))
        guard task.index >= plan.graph.count else { return name }
        let row = dynamic.base[task.index - plan.graph.count]
        let group = groups[Int(row.group)]
        name.append(UInt8(ascii: "["))
        if group.is_map == 0 {
            let shape = ReduceShape(
                count: Int(group.elements), arity: Int(plan.graph.options(of: declared).arity))
            let place = shape.name(ofInner: task.index - Int(group.first))
            name += Array("\(place.level).\(place.group)".utf8)
        } else if group.keyed == 0 {
            name += Array(String(row.first + 1).utf8)
        } else {
            name += key(row.group, row.first)
        }
        name.append(UInt8(ascii: "]"))
        return name
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
