import CHandoutLua
import LuaRuntime

/// The files of `lua/` that are part of the program.
enum EmbeddedFiles {
    /// `handout` of the pure-Lua edition, and `handout.test`.
    static var modules: [LuaSource] {
        all(handout_embedded_module).map { name, text in
            LuaSource(name: name, file: name.split(separator: ".").joined(separator: "/") + ".lua", text: text)
        }
    }

    /// Path and content of each file of a new project.
    static var project: [(path: String, content: [UInt8])] {
        all(handout_embedded_project_file).map { (path: $0, content: $1) }
    }

    private static func all(
        _ file: (Int) -> UnsafePointer<handout_embedded>?
    ) -> [(name: String, text: [UInt8])] {
        var list: [(name: String, text: [UInt8])] = []
        while let next = file(list.count)?.pointee {
            let text = UnsafeRawBufferPointer(start: next.text, count: next.length)
            list.append((String(cString: next.name), Array(text)))
        }
        return list
    }
}
