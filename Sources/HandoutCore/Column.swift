/// An immutable, densely packed array in memory that C code allocated or may read.
///
/// Columns hold the graph of a million tasks without a header a task, and hand their address to the C task loop.
/// The memory came from `malloc` and is freed with the column.
package final class Column<Element: BitwiseCopyable>: @unchecked Sendable {
    // @unchecked: the memory is written before `init` returns and never again.
    package let base: UnsafePointer<Element>
    package let count: Int

    /// Takes ownership of `count` elements at `adopting`, which `malloc` returned.
    package init(adopting: UnsafeMutablePointer<Element>?, count: Int) {
        self.count = adopting == nil ? 0 : count
        self.base = UnsafePointer(adopting ?? UnsafeMutablePointer<Element>.allocate(capacity: 1))
    }

    package convenience init(_ elements: some Collection<Element>) {
        let memory = UnsafeMutablePointer<Element>.allocate(capacity: max(1, elements.count))
        _ = UnsafeMutableBufferPointer(start: memory, count: elements.count).initialize(from: elements)
        self.init(adopting: memory, count: elements.count)
    }

    deinit { UnsafeMutablePointer(mutating: base).deallocate() }

    @inline(__always)
    package subscript(index: Int) -> Element {
        precondition(index >= 0 && index < count, "column index out of range")
        return base[index]
    }

    package var buffer: UnsafeBufferPointer<Element> { UnsafeBufferPointer(start: base, count: count) }
}
