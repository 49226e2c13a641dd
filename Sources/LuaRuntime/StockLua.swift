import CLuaShim
import Glibc

/// Lua text with the name by which it is required, and the file that messages name.
package struct LuaSource: Sendable {
    package var name: String
    package var file: String
    package var text: [UInt8]

    package init(name: String, file: String, text: [UInt8]) {
        self.name = name
        self.file = file
        self.text = text
    }
}

/// Lua with all its libraries and no limits: for files that have the rights of who starts them.
package enum StockLua {
    /// What the program raised.
    package struct Failure: Error {
        package var message: String
    }

    /// Runs a program in a state of its own; `modules` can be required.
    ///
    /// - Returns: the string that the program returned.
    package static func run(_ program: LuaSource, arguments: [String], modules: [LuaSource]) throws(Failure) -> String {
        let all = modules + [program]
        let words = all.flatMap { [strdup($0.name), strdup($0.file)] } + arguments.map { strdup($0) }
        defer { words.forEach { free($0) } }
        let texts = all.map { source in
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: max(1, source.text.count))
            for (index, byte) in source.text.enumerated() { copy[index] = CChar(bitPattern: byte) }
            return copy
        }
        defer { texts.forEach { $0.deallocate() } }
        let sources = all.indices.map { index in
            handout_stock_source(
                name: words[2 * index], file: words[2 * index + 1], text: texts[index], length: all[index].text.count)
        }
        var given = words.suffix(arguments.count).map { UnsafePointer($0) }
        var text: UnsafeMutablePointer<CChar>?
        var length = 0
        let failed = sources.withUnsafeBufferPointer { list in
            handout_stock_run(
                list.baseAddress, modules.count, list.baseAddress.map { $0 + modules.count }, &given, given.count,
                &text,
                &length)
        }
        defer { free(text) }
        let result = text.map {
            String(decoding: UnsafeRawBufferPointer(start: $0, count: length), as: UTF8.self)
        }
        guard failed == 0, let result else { throw Failure(message: result ?? "raised no text, or no memory is left") }
        return result
    }
}
