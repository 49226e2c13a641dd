import CLuaShim
import Glibc
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
    let results: AddressRange<handout_value>
    let dynamic: AddressRange<handout_dynamic_row>
    let groups: AddressRange<handout_group>
    /// Where all that states read lies, when some of them are in other processes.
    let shared: SharedMemory?
    private let optionFlags: Column<UInt8>
    private let nativeTemplates: NativeTemplates
    /// Rows of the plan; appended ones follow.
    private let declaredCount: Int
    /// Groups made so far, and which one was made for a row whose instances are not appended yet.
    private let pending: Locked<PendingGroups>
    /// For each declared map over a graph the number of its template.
    private let templateOf: [UInt32: UInt32]
    /// Selectors whose instances are conditions.
    private let judged: Set<UInt32>

    struct PendingGroups {
        /// Of the plan and of what was appended.
        var rows: Int
        var count = 0
        var groupOf: [UInt32: UInt32] = [:]
        /// Addresses of encoded values that were made to run over: memory that stays in place.
        var composed: [(address: UInt, bytes: Int)] = []
    }

    /// Nil when there is no address space for the results.
    ///
    /// - Parameter rerunsScript: states find the functions of tasks by running the script, as a host does that was sent
    ///   the source, and not in the compiled form that planning kept.
    ///   - shared: where to put all of it; nil: memory of this process.
    package init?(plan: Plan, rerunsScript: Bool = false, shared: SharedMemory? = nil) {
        self.plan = plan
        self.shared = shared
        let graph = plan.graph
        guard
            let results = AddressRange<handout_value>(
                capacity: Reference.limit, least: graph.count + 1 << 24, in: shared),
            let dynamic = AddressRange<handout_dynamic_row>(capacity: Reference.limit, least: 1 << 24, in: shared),
            let groups = AddressRange<handout_group>(capacity: Reference.limit >> 4, least: 1 << 20, in: shared)
        else { return nil }
        self.results = results
        self.dynamic = dynamic
        self.groups = groups
        declaredCount = graph.count
        pending = Locked(PendingGroups(rows: graph.count))
        optionFlags = Column(graph.options.map(RunTables.flags))
        nativeTemplates = NativeTemplates(graph)
        var templateOf: [UInt32: UInt32] = [:]
        var isIndirect =
            graph.templates.count > 1 || graph.options.contains { $0.isInline || $0.recovers || $0.isMeasured }
        if !isIndirect { isIndirect = graph.kinds.buffer.contains { $0 > TaskKind.reduce.rawValue } }
        if graph.templates.count > 1 {
            for row in 0..<graph.count where graph.kinds[row] == TaskKind.map.rawValue {
                for word in graph.references(of: TaskID(row)) where Reference(word: word).operation == .graph {
                    templateOf[UInt32(row)] = UInt32(Reference(word: word).payload)
                }
            }
        }
        self.templateOf = templateOf
        judged = isIndirect ? RunTables.judgedSelectors(graph) : []
        native = RunTables.place(
            RunTables.columns(
                plan, optionFlags, nativeTemplates, results, dynamic, groups, isIndirect: isIndirect,
                rerunsScript: rerunsScript, shared), shared)
    }

    /// What states read, where it stays in place.
    private static func place(_ tables: handout_tables, _ shared: SharedMemory?) -> UnsafeMutablePointer<handout_tables>
    {
        guard let shared, let memory = withUnsafePointer(to: tables, { shared.copy($0, count: 1) }) else {
            let memory = UnsafeMutablePointer<handout_tables>.allocate(capacity: 1)
            memory.initialize(to: tables)
            return memory
        }
        return UnsafeMutablePointer(mutating: memory)
    }

    private static func columns(
        _ plan: Plan, _ optionFlags: Column<UInt8>, _ templates: NativeTemplates,
        _ results: AddressRange<handout_value>,
        _ dynamic: AddressRange<handout_dynamic_row>, _ groups: AddressRange<handout_group>, isIndirect: Bool,
        rerunsScript: Bool, _ shared: SharedMemory?
    ) -> handout_tables {
        func kept<Element>(_ column: Column<Element>) -> UnsafePointer<Element> {
            shared?.copy(column.base, count: column.count) ?? column.base
        }
        let graph = plan.graph
        let functions = plan.functions
        return handout_tables(
            count: UInt32(graph.count), lines: kept(graph.lines), classes: kept(functions.classes),
            capture_offsets: kept(functions.captureOffsets), captures: kept(functions.captures),
            reference_offsets: kept(graph.referenceOffsets), references: kept(graph.references),
            name_offsets: kept(graph.nameOffsets), name_bytes: kept(graph.nameBytes), kinds: kept(graph.kinds),
            class_list: kept(functions.classList), class_count: UInt32(functions.classList.count),
            code: rerunsScript ? nil : kept(functions.code),
            pool: kept(functions.pool), pool_count: UInt32(functions.pool.count),
            pool_bytes: kept(functions.poolBytes), pool_bytes_length: UInt64(functions.poolBytes.count),
            results: results.base, dynamic: dynamic.base, groups: groups.base, options: kept(graph.optionIndices),
            option_flags: kept(optionFlags), templates: kept(templates.templates),
            template_inputs: kept(templates.inputs), template_outputs: kept(templates.outputs),
            indirect: isIndirect ? 1 : 0)
    }

    private static func judgedSelectors(_ graph: GraphColumns) -> Set<UInt32> {
        var found: Set<UInt32> = []
        for row in 0..<graph.count where graph.kinds[row] == TaskKind.map.rawValue {
            var isCondition = false
            for reference in graph.references(of: TaskID(row)).lazy.map({ Reference(word: $0) }) {
                switch reference.operation {
                case .when, .unless: isCondition = true
                case .after, .near, .function: isCondition = false
                case .own where isCondition: found.insert(UInt32(reference.payload))
                default: break
                }
            }
        }
        return found
    }

    private static func flags(_ options: TaskOptions) -> UInt8 {
        var flags: UInt32 = 0
        if options.always { flags |= HANDOUT_FLAG_ALWAYS.rawValue }
        if options.optional { flags |= HANDOUT_FLAG_OPTIONAL.rawValue }
        if options.isInline { flags |= HANDOUT_FLAG_INLINE.rawValue }
        if options.recovers { flags |= HANDOUT_FLAG_RECOVERS.rawValue }
        if options.isMeasured { flags |= HANDOUT_FLAG_MEASURED.rawValue }
        return UInt8(flags)
    }

    deinit {
        if shared != nil { return }  // all of it goes with that
        for row in 0..<pending.withLock({ $0.rows }) where results.base[row].tag == UInt8(HANDOUT_BLOB.rawValue) {
            handout_value_free(&results.base[row])
        }
        let (count, composed) = pending.withLock { ($0.count, $0.composed) }
        for index in 0..<count {
            groups.base[index].offsets?.deallocate()
            groups.base[index].key_offsets?.deallocate()
            groups.base[index].key_bytes?.deallocate()
        }
        for memory in composed { free(UnsafeMutableRawPointer(bitPattern: memory.address)) }
        native.deallocate()
    }

    // MARK: - Results

    /// Keeps the result of a task. True when it occupies memory beside its cell.
    func store(_ value: handout_value, of task: TaskID) -> Bool {
        results.base[task.index] = value
        return value.tag == UInt8(HANDOUT_BLOB.rawValue)
    }

    func release(first: TaskID, count: Int) {
        for row in first.index..<first.index + count {
            if let shared, results.base[row].tag == UInt8(HANDOUT_BLOB.rawValue) {
                shared.release(results.base[row].as.blob, bytes: Int(results.base[row].length))
                results.base[row] = handout_value()
            } else {
                handout_value_free(&results.base[row])
            }
        }
    }

    /// The row has ended without a value; of a map some instances may have one.
    func missing(_ task: TaskID, failed: Bool) {
        var cell = results.base[task.index]
        let isMap = UInt32(cell.tag) == HANDOUT_GROUP.rawValue && groups.base[Int(cell.as.group)].is_map != 0
        if !isMap { cell = handout_value() }
        cell.missing = UInt8((failed ? HANDOUT_MISSING_FAILED : HANDOUT_MISSING_SKIPPED).rawValue)
        results.base[task.index] = cell
    }

    /// Whether the task's value is found by way of other rows or in Lua: `value(of:)` does not have it.
    func isIndirect(_ task: TaskID) -> Bool {
        let kind = plan.graph.kind(task)
        if kind == .input || kind == .select { return true }
        // An inline map that is an output is computed for it.
        return templateOf[task.rawValue] != nil && UInt32(results.base[task.index].tag) == HANDOUT_GROUP.rawValue
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

    // MARK: - What rows are

    /// The declared row that a task is, is made of, or is an instance or inner node of.
    @inline(__always)
    package func declaredRow(of task: TaskID) -> TaskID {
        guard task.index >= declaredCount else { return task }
        let row = dynamic.base[task.index - declaredCount]
        if row.group & HANDOUT_OF_GRAPH != 0 { return TaskID(rawValue: row.first) }
        return TaskID(rawValue: groups.base[Int(row.group)].declared)
    }

    /// How far the rows of the task's graph are from its declared rows.
    private func shift(of task: TaskID) -> Int {
        guard task.index >= declaredCount else { return 0 }
        let row = dynamic.base[task.index - declaredCount]
        if row.group & HANDOUT_OF_GRAPH != 0 { return task.index - Int(row.first) }
        let group = groups.base[Int(row.group)]
        return Int(group.task) - Int(group.declared)
    }

    // MARK: - Maps and reduces

    /// Counts the elements of a map or reduce, notes where they are, and finds what a row picks or is. `state` makes or
    /// gives a state in which functions of the script can be called, for the calling thread; what it gave is spoiled
    /// when `drop` is called.
    func expand(
        _ task: TaskID, state: () -> TaskState?, drop: () -> Void
    ) -> Result<Expansion, ExpansionError> {
        let declared = declaredRow(of: task)
        let kind = plan.graph.kind(declared)
        if kind == .input || kind == .select {
            return select(task, declared, group: UInt32.max, elements: 1, state, drop)
        }
        let index: UInt32
        switch countElements(task, declared, state, drop) {
        case .success(let group): index = group
        // The map that asks which elements are picked runs over the same, and says so itself.
        case .failure where kind == .selector: return .success(Expansion(elements: 0))
        case .failure(let error): return .failure(error)
        }
        let elements = Int(groups.base[Int(index)].elements)
        guard kind == .selector, !isUnjudgedPart(declared) else { return .success(Expansion(elements: elements)) }
        return select(task, declared, group: index, elements: elements, state, drop)
    }

    /// The selector picks parts of elements, which need not be there yet, and no condition asks whether they are true.
    private func isUnjudgedPart(_ selector: TaskID) -> Bool {
        !judged.contains(selector.rawValue)
            && plan.graph.references(of: selector).contains { Reference(word: $0).operation == .own }
    }

    private func select(
        _ task: TaskID, _ declared: TaskID, group: UInt32, elements: Int, _ state: () -> TaskState?,
        _ drop: () -> Void
    ) -> Result<Expansion, ExpansionError> {
        var selection = handout_selection()
        var text = [CChar](repeating: 0, count: 1200)
        guard let running = state() else { return .failure(failure("no memory left for a Lua state", declared)) }
        let status = running.select(task.rawValue, group, UInt32(elements), &selection, &text)
        defer { handout_selection_free(&selection) }
        guard status == 0 else {
            drop()
            return .failure(failure("handle:at: " + string(text), declared))
        }
        let offsets = Array(UnsafeBufferPointer(start: selection.offsets, count: elements + 1))
        let picks = Array(UnsafeBufferPointer(start: selection.rows, count: Int(offsets[elements])))
        let verdicts = UnsafeBufferPointer(start: selection.verdicts, count: elements)
            .map { Verdict(rawValue: $0) ?? .absent }
        let known = pending.withLock { $0.rows }
        guard areInstances(picks, known) else {
            return .failure(failure("handle:at: the runner process picked what there is not", declared))
        }
        return .success(
            Expansion(elements: elements, pickOffsets: offsets, picks: picks, verdicts: verdicts))
    }

    /// Whether all are rows of instances of one map: what a runner process says need not be so. `known`: rows that there are.
    private func areInstances(_ picks: [UInt32], _ known: Int) -> Bool {
        guard let first = picks.first else { return true }
        guard first >= declaredCount, Int(first) < known else { return false }
        let group = dynamic.base[Int(first) - declaredCount].group
        guard group & HANDOUT_OF_GRAPH == 0, groups.base[Int(group)].is_map != 0 else { return false }
        let instances = groups.base[Int(group)].first..<groups.base[Int(group)].first + groups.base[Int(group)].count
        return picks.allSatisfy { instances.contains($0) }
    }

    private func string(_ text: [CChar]) -> String {
        String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func failure(_ message: String, _ declared: TaskID) -> ExpansionError {
        let place = plan.place(of: declared)
        return ExpansionError(message: message, file: place.file, line: place.line)
    }

    /// A group for the row's instances, not yet appended.
    private func newGroup(_ task: TaskID, _ declared: TaskID) -> Int {
        let index = pending.withLock { pending in
            pending.count += 1
            pending.groupOf[task.rawValue] = UInt32(pending.count - 1)
            return pending.count - 1
        }
        var group = handout_group()
        group.task = task.rawValue
        group.declared = declared.rawValue
        group.key_group = UInt32.max
        group.graph = templateOf[declared.rawValue] ?? UInt32.max
        group.is_map = plan.graph.kind(declared) == .reduce ? 0 : 1
        groups.base[index] = group
        return index
    }

    /// Makes the row's group and notes where its elements are.
    private func countElements(
        _ task: TaskID, _ declared: TaskID, _ state: () -> TaskState?, _ drop: () -> Void
    ) -> Result<UInt32, ExpansionError> {
        let graph = plan.graph
        let index = newGroup(task, declared)
        guard let word = graph.references(of: declared).first.map({ Reference(word: $0) }) else {
            return .success(UInt32(index))
        }
        if word.operation == .overLiteral {
            let start = Int(handout_pool_position(native.pointee.pool[word.payload]))
            let size = Int(native.pointee.pool_bytes_length)
            return elements(at: native.pointee.pool_bytes + start, most: size - start, index, declared)
        }
        let source = TaskID(word.payload + shift(of: task))
        let row = handout_resolve(native, source.rawValue)
        guard row != UInt32.max else { return .failure(notElements("nil", word, declared)) }
        let cell = results.base + Int(row)
        switch UInt32(cell.pointee.tag) {
        case HANDOUT_GROUP.rawValue:
            takeElements(of: cell.pointee.as.group, for: index)
            return .success(UInt32(index))
        case HANDOUT_BLOB.rawValue:
            return elements(at: UnsafePointer(cell.pointee.as.blob), most: Int(cell.pointee.length), index, declared)
        case HANDOUT_INLINE.rawValue:
            let bytes = UnsafeMutableRawPointer(cell).assumingMemoryBound(to: UInt8.self)
            return elements(at: UnsafePointer(bytes), most: Int(cell.pointee.length), index, declared)
        case HANDOUT_ABSENT.rawValue where cell.pointee.missing == 0:
            return composedElements(TaskID(rawValue: row), index, word, declared, state, drop)
        case HANDOUT_NIL.rawValue, HANDOUT_ABSENT.rawValue: return .failure(notElements("nil", word, declared))
        case HANDOUT_TRUE.rawValue, HANDOUT_FALSE.rawValue: return .failure(notElements("a boolean", word, declared))
        default: return .failure(notElements("a number", word, declared))
        }
    }

    /// The elements of a value that is in no cell: it is made once, and kept while the run lasts.
    private func composedElements(
        _ row: TaskID, _ index: Int, _ word: Reference, _ declared: TaskID, _ state: () -> TaskState?,
        _ drop: () -> Void
    ) -> Result<UInt32, ExpansionError> {
        var out = handout_buffer()
        var text = [CChar](repeating: 0, count: 1200)
        guard let running = state() else { return .failure(failure("no memory left for a Lua state", declared)) }
        guard running.value(row.rawValue, &out, &text) == 0, var data = out.data else {
            handout_buffer_free(&out)
            drop()
            return .failure(failure("over: " + string(text), declared))
        }
        let length = out.length
        if let shared {
            defer { handout_buffer_free(&out) }
            guard let copy = shared.copy(data, count: out.length) else {
                return .failure(failure("over: not enough memory", declared))
            }
            data = UnsafeMutablePointer(mutating: copy)
        } else {
            let kept = (UInt(bitPattern: data), length)
            pending.withLock { $0.composed.append(kept) }
        }
        switch data[0] {
        case 0xC0: return .failure(notElements("nil", word, declared))
        case 0xC2, 0xC3: return .failure(notElements("a boolean", word, declared))
        case 0x00...0x7F, 0xE0...0xFF, 0xCA...0xD3: return .failure(notElements("a number", word, declared))
        default: return elements(at: UnsafePointer(data), most: length, index, declared)
        }
    }

    /// The elements are the instances of a map.
    private func takeElements(of map: UInt32, for index: Int) {
        let other = groups.base[Int(map)]
        groups.base[index].element_task = other.first
        groups.base[index].elements = other.count
        groups.base[index].keyed = other.keyed
        groups.base[index].key_group = map
    }

    private func elements(
        at bytes: UnsafePointer<UInt8>, most: Int, _ index: Int, _ declared: TaskID
    ) -> Result<UInt32, ExpansionError> {
        var offsets: UnsafeMutablePointer<UInt32>?
        var count: UInt32 = 0
        var keyed: Int32 = 0
        let size = handout_value_size(bytes, most)
        let status = handout_value_elements(bytes, size, &offsets, &count, &keyed)
        guard status == 0, let offsets else {
            let what = status == -2 ? "larger than memory" : "a value that is neither"
            return .failure(notElements(what, nil, declared))
        }
        if keyed == 1 { keepKeys(of: index, bytes, offsets, Int(count)) }
        groups.base[index].bytes = bytes
        groups.base[index].offsets = shared(UnsafePointer(offsets), count: Int(count) + 1) { free($0) }
        groups.base[index].elements = count
        groups.base[index].keyed = keyed == 1 ? 1 : 0
        return .success(UInt32(index))
    }

    /// Copies the keys of a table: a map is known by them for longer than its elements are kept.
    private func keepKeys(
        of index: Int, _ bytes: UnsafePointer<UInt8>, _ offsets: UnsafeMutablePointer<UInt32>, _ count: Int
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
        groups.base[index].key_bytes = shared(UnsafePointer(keys), count: max(1, length)) { $0.deallocate() }
        groups.base[index].key_offsets = shared(UnsafePointer(keyOffsets), count: count + 1) { $0.deallocate() }
    }

    /// The memory, or where it has to be seen by others a copy: then `free` is called for it.
    private func shared<Element>(
        _ memory: UnsafePointer<Element>, count: Int, free: (UnsafeMutableRawPointer) -> Void
    ) -> UnsafePointer<Element> {
        guard let shared, let copy = shared.copy(memory, count: count) else { return memory }
        free(UnsafeMutableRawPointer(mutating: memory))
        return copy
    }

    private func notElements(_ what: String, _ source: Reference?, _ declared: TaskID) -> ExpansionError {
        // As it is called where the map is declared: without the names of the includes that the map is in.
        let name = source.map { source in
            let whole = plan.graph.name(TaskID(source.payload))
            let own = plan.graph.name(declared).split(separator: "/").dropLast().map { $0 + "/" }.joined()
            return whole.hasPrefix(own) ? String(whole.dropFirst(own.count)) : whole
        }
        let from = name.map { " of task '\($0)'" } ?? ""
        return failure("over: expected a list or a keyed table, got \(what)\(from)", declared)
    }

    // MARK: - Appended rows

    /// Notes the rows that were appended for a row which was counted, or which follows a map.
    func append(task: TaskID, first: TaskID, count: Int) {
        let declared = declaredRow(of: task)
        let known = pending.withLock { pending in
            pending.rows = max(pending.rows, first.index + count)
            return pending.groupOf.removeValue(forKey: task.rawValue)
        }
        let index = known.map { Int($0) } ?? newGroup(task, declared)
        if known == nil {
            pending.withLock { _ = $0.groupOf.removeValue(forKey: task.rawValue) }
            followMap(task, declared, index)
        }
        groups.base[index].first = first.rawValue
        var value = handout_value()
        value.tag = UInt8(HANDOUT_GROUP.rawValue)
        value.as.group = UInt32(index)
        if groups.base[index].is_map != 0 {
            appendInstances(index, first, count)
        } else {
            appendInner(index, declared, first, count)
        }
        results.base[task.index] = value
    }

    /// A reduce or map over a map is expanded as soon as that is, and not counted by `expand`.
    private func followMap(_ task: TaskID, _ declared: TaskID, _ index: Int) {
        guard let over = plan.graph.references(of: declared).first.map({ Reference(word: $0) }), over.isOver else {
            return
        }
        let cell = results.base[over.payload + shift(of: task)]
        if UInt32(cell.tag) == HANDOUT_GROUP.rawValue { takeElements(of: cell.as.group, for: index) }
    }

    private func appendInstances(_ index: Int, _ first: TaskID, _ count: Int) {
        let begin = first.index - declaredCount
        let instances = Int(groups.base[index].elements)
        groups.base[index].count = UInt32(instances)
        for element in 0..<instances {
            dynamic.base[begin + element] = handout_dynamic_row(group: UInt32(index), first: UInt32(element), count: 0)
        }
        guard groups.base[index].graph != UInt32.max else { return }
        let template = plan.graph.templates[Int(groups.base[index].graph)].rows
        var at = begin + instances
        for element in 0..<instances {
            for row in template {
                dynamic.base[at] = handout_dynamic_row(
                    group: UInt32(index) | HANDOUT_OF_GRAPH, first: UInt32(row), count: UInt32(element))
                at += 1
            }
        }
    }

    private func appendInner(_ index: Int, _ declared: TaskID, _ first: TaskID, _ count: Int) {
        let begin = first.index - declaredCount
        groups.base[index].count = UInt32(count)
        let shape = ReduceShape(
            count: Int(groups.base[index].elements), arity: Int(plan.graph.options(of: declared).arity))
        for inner in 0..<count {
            let inputs = shape.inputs(ofInner: inner)
            let (from, length) = native(inputs, first)
            dynamic.base[begin + inner] = handout_dynamic_row(group: UInt32(index), first: from, count: length)
        }
        (groups.base[index].root_first, groups.base[index].root_count) = native(shape.rootInputs, first)
    }

    /// Inputs of a node as C knows them: elements, or with the top bit of the length set the rows of inner nodes.
    private func native(_ inputs: ReduceShape.Inputs, _ first: TaskID) -> (UInt32, UInt32) {
        if inputs.areElements { return (UInt32(inputs.first), UInt32(inputs.count)) }
        return (first.rawValue + UInt32(inputs.first), UInt32(inputs.count) | 1 << 31)
    }
}
