/// Text from scripts made safe for other formats.
package enum TextEscape {
    /// Appends `text` as a JSON string, quotes included.
    ///
    /// `<`, `>`, `&` and characters that do not show are escaped too, so that the result may stand in HTML. Bytes that
    /// are not UTF-8 become U+FFFD.
    package static func appendJSON(_ text: some Collection<UInt8>, to output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        eachScalar(text) { scalar in
            switch scalar {
            case "\"", "\\":
                output.append(UInt8(ascii: "\\"))
                output.append(UInt8(scalar.value))
            case "\n":
                output.append(contentsOf: "\\n".utf8)
            case "\t":
                output.append(contentsOf: "\\t".utf8)
            case "<", ">", "&":
                appendUnit(scalar.value, to: &output)
            case _ where isHidden(scalar):
                for unit in UTF16.encode(scalar) ?? UTF16.encodedReplacementCharacter {
                    appendUnit(UInt32(unit), to: &output)
                }
            case _ where scalar.isASCII:
                output.append(UInt8(scalar.value))
            default:
                output.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            }
        }
        output.append(UInt8(ascii: "\""))
    }

    private static func appendUnit(_ unit: UInt32, to output: inout [UInt8]) {
        let digits = hexadecimal(unit)
        output.append(contentsOf: "\\u".utf8)
        output.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: max(0, 4 - digits.count)))
        output.append(contentsOf: digits)
    }

    /// Control and format characters, line separators, and code points that are no characters.
    package static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return scalar.value < 32 || scalar.value == 127 }
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .unassigned, .privateUse: return true
        default: return false
        }
    }

    static func hexadecimal(_ value: UInt32) -> [UInt8] { Array(String(value, radix: 16).utf8) }

    /// Calls `body` with each character of `text`, U+FFFD in place of what is not UTF-8.
    static func eachScalar(_ text: some Collection<UInt8>, _ body: (Unicode.Scalar) -> Void) {
        var decoder = UTF8()
        var iterator = text.makeIterator()
        while true {
            switch decoder.decode(&iterator) {
            case .scalarValue(let scalar): body(scalar)
            case .emptyInput: return
            case .error: body("\u{FFFD}")
            }
        }
    }
}
