/// Numbers as people read them.
package enum ShownNumber {
    /// At most three decimals.
    package static func text(_ number: Double) -> String {
        guard abs(number) < 1e15 else { return "\(number)" }
        let thousandths = Int((abs(number) * 1000).rounded())
        var fraction = String(thousandths % 1000 + 1000).dropFirst()
        while fraction.last == "0" { fraction.removeLast() }
        return (number < 0 ? "-" : "") + "\(thousandths / 1000)" + (fraction.isEmpty ? "" : ".\(fraction)")
    }

    /// `1 task`, `3 tasks`
    package static func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
}
