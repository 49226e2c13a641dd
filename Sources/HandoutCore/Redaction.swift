/// Values that are shown as `***` in logs and messages.
package struct Redaction: Sendable {
    /// Shorter values would make any text unreadable.
    package static let leastBytes = 4
    private let values: [[UInt8]]

    /// Values below `leastBytes` are not looked for.
    package init(_ values: [[UInt8]]) {
        // The longest first: one may be a part of another.
        self.values = values.filter { $0.count >= Redaction.leastBytes }.sorted { $0.count > $1.count }
    }

    package func apply(_ text: String) -> String {
        guard !values.isEmpty else { return text }
        return String(decoding: apply(Array(text.utf8)), as: UTF8.self)
    }

    package func apply(_ text: [UInt8]) -> [UInt8] {
        values.reduce(text) { text, value in
            guard text.count >= value.count else { return text }
            var result: [UInt8] = []
            var position = 0
            while position < text.count {
                if text[position] == value[0], text[position...].starts(with: value) {
                    result += Array("***".utf8)
                    position += value.count
                } else {
                    result.append(text[position])
                    position += 1
                }
            }
            return result
        }
    }
}
