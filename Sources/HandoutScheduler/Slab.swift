/// A growable array of plain values without a check of uniqueness or a header a value; freed with its owner.
///
/// Indices are checked in debug builds only: every number that comes from outside is checked where it enters.
struct Slab<Element: BitwiseCopyable>: ~Copyable {
    private(set) var base: UnsafeMutablePointer<Element>
    private(set) var count: Int
    private(set) var capacity: Int

    init() {
        base = .allocate(capacity: 1)
        count = 0
        capacity = 1
    }

    init(repeating value: Element, count: Int) {
        base = .allocate(capacity: max(1, count))
        base.initialize(repeating: value, count: count)
        self.count = count
        capacity = max(1, count)
    }

    deinit { base.deallocate() }

    @inline(__always)
    subscript(index: Int) -> Element {
        get {
            assert(index >= 0 && index < count, "slab index out of range")
            return base[index]
        }
        nonmutating _modify {
            assert(index >= 0 && index < count, "slab index out of range")
            yield &base[index]
        }
    }

    var isEmpty: Bool { @inline(__always) get { count == 0 } }

    /// Memory held, room to grow included.
    var bytes: Int { capacity * MemoryLayout<Element>.stride }

    @inline(__always)
    mutating func append(_ value: Element) {
        if count == capacity { grow(to: count + 1) }
        (base + count).initialize(to: value)
        count += 1
    }

    mutating func append(repeating value: Element, count more: Int) {
        if count + more > capacity { grow(to: count + more) }
        (base + count).initialize(repeating: value, count: more)
        count += more
    }

    @inline(__always)
    mutating func popLast() -> Element? {
        guard count > 0 else { return nil }
        count -= 1
        return base[count]
    }

    mutating func removeAll() { count = 0 }

    private mutating func grow(to needed: Int) {
        let larger = max(needed, capacity * 2, 16)
        let memory = UnsafeMutablePointer<Element>.allocate(capacity: larger)
        memory.moveInitialize(from: base, count: count)
        base.deallocate()
        base = memory
        capacity = larger
    }
}
