/// Ready rows that a plan puts off, by the moment until which it does. O(rows held) to insert.
struct HeldRows {
    struct Entry: BitwiseCopyable {
        var row: Int
        var until: UInt64
        var key: UInt64
        var requestClass: Int
    }

    /// Latest first.
    private(set) var entries: [Entry] = []

    /// The moment at which the first may be placed; nil: none is held.
    var next: UInt64? { entries.last?.until }

    mutating func insert(_ row: Int, until: UInt64, key: UInt64, requestClass: Int) {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].until > until { low = middle + 1 } else { high = middle }
        }
        entries.insert(Entry(row: row, until: until, key: key, requestClass: requestClass), at: low)
    }

    /// Takes one that need not wait any longer; nil: there is none.
    mutating func takeFirst(_ now: UInt64) -> Entry? {
        guard let last = entries.last, last.until <= now else { return nil }
        return entries.removeLast()
    }
}
