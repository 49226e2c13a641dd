extension TextEscape {
    /// Text from scripts as a terminal may show it: characters that do not show, or that steer the terminal, become
    /// `\u{1b}`; line feeds stay when `keepLines`, and tabs always.
    package static func shown(_ text: String, keepLines: Bool = false) -> String {
        guard text.unicodeScalars.contains(where: { isHidden($0) && !(keepLines && $0 == "\n") && $0 != "\t" }) else {
            return text
        }
        var result = ""
        for scalar in text.unicodeScalars {
            if isHidden(scalar) && !(keepLines && scalar == "\n") && scalar != "\t" {
                result += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// The text as a JSON string, quotes included.
    package static func json(_ text: String) -> String {
        var output: [UInt8] = []
        appendJSON(Array(text.utf8), to: &output)
        return String(decoding: output, as: UTF8.self)
    }
}
