/// Numbers names in order of their first appearance.
struct NameTable {
    private(set) var texts: [[UInt8]] = []
    private var slots = [Int32](repeating: -1, count: 64)

    mutating func number(of text: UnsafeBufferPointer<UInt8>) -> Int {
        if texts.count * 2 >= slots.count { grow() }
        var slot = Int(truncatingIfNeeded: NameTable.hash(text)) & (slots.count - 1)
        while slots[slot] >= 0 {
            let number = Int(slots[slot])
            if texts[number].elementsEqual(text) { return number }
            slot = (slot + 1) & (slots.count - 1)
        }
        slots[slot] = Int32(texts.count)
        texts.append([UInt8](text))
        return texts.count - 1
    }

    private mutating func grow() {
        slots = [Int32](repeating: -1, count: slots.count * 2)
        for (number, text) in texts.enumerated() {
            var slot = text.withUnsafeBufferPointer { Int(truncatingIfNeeded: NameTable.hash($0)) } & (slots.count - 1)
            while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = Int32(number)
        }
    }

    /// FNV-1a, its high bits mixed into the low ones.
    private static func hash(_ text: UnsafeBufferPointer<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash ^ hash >> 32
    }
}
