/// One word of a task's references: what it needs, in the order in which its function receives it.
///
/// The references of a task are a small program in prefix form, one word a step, so that a plain list of needs is just
/// the list of their task numbers. The task loop in C walks the same words to push the arguments.
///
/// ```
/// [over | overLiteral]? argument* [after task*]?
/// argument = task | list(n) argument*n | keyed(n) (key argument)*n | constant
/// ```
package struct Reference: Sendable, BitwiseCopyable, Equatable {
    package enum Operation: UInt32, Sendable {
        /// The value of a task; payload: its number.
        case task = 0
        /// A list of the next `payload` arguments.
        case list
        /// A table of the next `payload` pairs of `key` and argument.
        case keyed
        /// A key; payload: index in the value pool.
        case key
        /// A constant argument; payload: index in the value pool.
        case constant
        /// What a map or reduce runs over; payload: the number of the task whose value it is.
        case over
        /// What a map or reduce runs over, known when planned; payload: index in the value pool.
        case overLiteral
        /// From here on tasks are waited for only; payload: how many.
        case after
    }

    package static let payloadBits: UInt32 = 28
    /// Tasks, pool entries and list lengths stay below this.
    package static let limit: Int = 1 << 28

    package var word: UInt32
    @inline(__always) package init(word: UInt32) { self.word = word }
    package init(_ operation: Operation, _ payload: Int) {
        precondition(payload >= 0 && payload < Reference.limit)
        word = operation.rawValue << Reference.payloadBits | UInt32(payload)
    }
    package var operation: Operation? { Operation(rawValue: word >> Reference.payloadBits) }
    @inline(__always) package var payload: Int { Int(word & 0x0FFF_FFFF) }
    /// The word is a task, in `needs` or `after`.
    @inline(__always) package var isTask: Bool { word >> Reference.payloadBits == 0 }
    /// The word is an `over` of another task.
    @inline(__always) package var isOver: Bool { word >> Reference.payloadBits == Operation.over.rawValue }
}
