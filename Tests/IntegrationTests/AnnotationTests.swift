import Testing

/// `lua/handout.d.lua`, the annotations for editors.
@Suite struct AnnotationTests {
    private static let text = String(decoding: contents(of: packageFolder + "/lua/handout.d.lua") ?? [], as: UTF8.self)
    private static let reference = String(
        decoding: contents(of: packageFolder + "/docs/lua-api.md") ?? [], as: UTF8.self)

    @Test(.enabled(if: Oracle.lua != nil, "lua5.4 is not on PATH"))
    func `the annotations are Lua`() {
        let said = Oracle.output(
            "'\(Oracle.lua ?? "")' -e 'print(loadfile(arg[0]) ~= nil)' '\(packageFolder)/lua/handout.d.lua' 2>&1")
        #expect(String(decoding: said, as: UTF8.self) == "true\n")
    }

    @Test func `every documented call is annotated`() {
        // `handout.test` is a module of its own.
        let calls = Set(Self.reference.matches(of: /handout\.((?:fs|json)\.)?(\w+)/).map { ($0.1 ?? "") + $0.2 })
        #expect(calls.count > 20)
        for call in calls.subtracting(["test", "lua", "d"]).sorted() {
            let last = call.split(separator: ".").last ?? call
            let isThere =
                call.contains(".")
                ? Self.text.contains("\nfunction \(call)(")
                : Self.text.contains("\nfunction handout.\(last)(") || Self.text.contains("---@field \(last) ")
            #expect(isThere, "handout.\(call)")
        }
        let methods = Set(Self.reference.matches(of: /`g:(\w+)/).map { $0.1 })
        #expect(methods.count >= 4)
        for method in methods.sorted() { #expect(Self.text.contains("\nfunction Graph:\(method)("), "g:\(method)") }
        #expect(Self.text.contains("\nfunction Handle:at("))
    }

    @Test func `every documented option is annotated`() {
        let parts = Self.reference.split(separator: "## 4. ").last?.split(separator: "\n## ").first ?? ""
        var options: [Substring] = []
        for line in parts.split(separator: "\n") where line.hasPrefix("| `") {
            let cell = line.dropFirst().prefix { $0 != "|" }
            options += cell.matches(of: /`(\w+)`/).map { $0.1 }
        }
        #expect(options.count > 12)
        for option in options {
            let isThere = Self.text.contains("---@field \(option)? ") || Self.text.contains("---@field \(option) ")
            #expect(isThere, "\(option)")
        }
    }
}
