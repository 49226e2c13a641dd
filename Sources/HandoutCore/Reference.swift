/// One word of a task's references: what it needs, in the order in which its function receives it.
///
/// The references of a task are a small program in prefix form, one word a step, so that a plain list of needs is just
/// the list of their task numbers. The task loop in C walks the same words to push the arguments.
///
/// ```
/// task, when: argument* sections
/// map:        over argument* sections
/// reduce:     over argument* sections
/// map over a graph: over graph binding* sections        one binding an input of the graph, in its order
/// input:      constant?
/// select:     pick task                                 the element of that key of the task's value
/// selector:   over pick (task | own)                    for each element of `over` the one, or ones, it picks
///
/// over     = over(task) | overLiteral(pool)
/// argument = task | own | list(n) argument*n | keyed(n) (key argument)*n | constant
/// binding  = argument | ownElement
/// sections = [after(n) entry*n] [when(n) entry*n] [unless(n) entry*n] [near(n) entry*n] [function(pool)] [measures]
/// entry    = task | own
/// measures = function(measures | n) (key(pool) function(pool))*n
///            options that are functions, by name: `cpu`, `resources.NAME`; in bytewise order
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
        /// From here on tasks are waited for only; payload: how many entries.
        case after
        /// In a map: the instance of the same number of the selector whose row is the payload.
        case own
        /// The entries that must all be truthy for the row to run; payload: how many.
        case when
        /// The entries that must all be nil or false for the row to run; payload: how many.
        case unless
        /// The entries near whose results the row is to run; they are not waited for. Payload: how many.
        case near
        /// A function that belongs to the row; payload: index in the value pool. Of an inline row its own function,
        /// else what makes a substitute result (`recover`).
        case function
        /// A map instantiates a graph; payload: its number in `templates`.
        case graph
        /// What a select or selector picks; payload: index in the value pool of the key, or of a function from element
        /// and key to a key or a list of keys. `pickOwn`: the element's own key.
        case pick
        /// A binding: the element (payload 0) or its key (payload 1).
        case ownElement
    }

    package static let payloadBits: UInt32 = 28
    /// Tasks, pool entries and list lengths stay below this.
    package static let limit: Int = 1 << 28
    /// Set in the payload of `function`: the rest counts the options that are functions, which follow.
    package static let measures = limit >> 1
    /// Payload of `pick`: the element's own key.
    package static let pickOwn = limit - 1
    /// Set in the payload of `pick`: the pool entry is a function.
    package static let pickFunction = limit >> 1

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
