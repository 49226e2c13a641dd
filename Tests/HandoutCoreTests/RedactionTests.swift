import HandoutCore
import Testing

@Suite struct RedactionTests {
    private func shown(_ text: String, _ values: [String]) -> String {
        Redaction(values.map { Array($0.utf8) }).apply(text)
    }

    @Test func `values are replaced wherever they stand`() {
        #expect(shown("secret", ["secret"]) == "***")
        #expect(shown("a secret, secretsecret", ["secret"]) == "a ***, ******")
        #expect(shown("secre", ["secret"]) == "secre")
        #expect(shown("sesecret", ["secret"]) == "se***")
        #expect(shown("", ["secret"]) == "" && shown("text", []) == "text")
    }

    @Test func `the longer of two values goes first`() {
        #expect(shown("tokens token", ["token", "tokens"]) == "*** ***")
    }

    @Test func `values of fewer than four bytes are left`() {
        #expect(shown("a 1 of abc", ["1", "", "abc"]) == "a 1 of abc")
    }
}
