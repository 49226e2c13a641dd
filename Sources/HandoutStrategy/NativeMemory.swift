import CLuaShim

/// Texts and arrays for C code, freed together.
final class NativeMemory {
    private var blocks: [UnsafeMutableRawPointer] = []
    private var used = 0
    /// Bytes of the last block, and of the first, which `reset` keeps.
    private var current = 0
    private var first = 0
    private static let blockSize = 16_384

    deinit { for block in blocks { block.deallocate() } }

    /// Forgets everything; what was given must not be read any more.
    func reset() {
        for block in blocks.dropFirst() { block.deallocate() }
        blocks.removeLast(max(0, blocks.count - 1))
        current = first
        used = 0
    }

    private func room(_ size: Int) -> UnsafeMutableRawPointer {
        let size = (size + 15) & ~15
        if blocks.isEmpty || used + size > current {
            current = blocks.isEmpty ? max(NativeMemory.blockSize, size) : max(current * 2, size)
            if blocks.isEmpty { first = current }
            blocks.append(UnsafeMutableRawPointer.allocate(byteCount: current, alignment: 16))
            used = 0
        }
        defer { used += size }
        return blocks[blocks.count - 1] + used
    }

    func array<Element: BitwiseCopyable>(_ elements: [Element]) -> UnsafePointer<Element> {
        let memory = room(max(1, elements.count) * MemoryLayout<Element>.stride)
            .bindMemory(to: Element.self, capacity: max(1, elements.count))
        for (index, element) in elements.enumerated() { memory[index] = element }
        return UnsafePointer(memory)
    }

    func text(_ text: String) -> handout_text {
        var text = text
        return text.withUTF8 { bytes in
            let memory = room(max(1, bytes.count)).bindMemory(to: CChar.self, capacity: max(1, bytes.count))
            for (index, byte) in bytes.enumerated() { memory[index] = CChar(bitPattern: byte) }
            return handout_text(bytes: UnsafePointer(memory), length: bytes.count)
        }
    }
}
