import HandoutPlan
import LuaRuntime

/// A script with its modules and parameters: what a run is started from.
///
/// A value that holds the script's text; nothing of it has run yet. One program may be started as often as wanted.
public struct Program: Sendable {
    let sources: ProgramSources
    let given: [GivenParameter]
    let inputs: [GivenParameter]

    /// A script in memory.
    ///
    /// - Parameters:
    ///   - source: the Lua text, at most 1 MiB.
    ///   - name: what messages call it, such as `nightly.lua`.
    ///   - parameters: for the script's `handout.param`, by name. A parameter that the script never asks for is refused.
    ///   - inputs: for the inputs of the graph that it returns, by name.
    ///   - modules: Lua text by the name that the script gives `require`. There are no others: no file is looked at.
    /// - Throws: `ScriptError` when a source is too large or not Lua text, or a value cannot be handed to Lua.
    public init(
        source: String, name: String = "script.lua", parameters: [String: Value] = [:], inputs: [String: Value] = [:],
        modules: [String: String] = [:]
    ) throws(ScriptError) {
        do {
            let entry = try ProgramSource(name: "", file: name, bytes: Array(source.utf8))
            sources = ProgramSources(entry: entry, modules: try Program.sources(modules))
        } catch {
            throw ScriptError(code: "source", message: error.message)
        }
        given = try Program.given(parameters, "parameter")
        self.inputs = try Program.given(inputs, "input")
    }

    /// A script in a file. Its modules are those given, then the files beside it and in `lua_modules` there.
    ///
    /// - Throws: `ScriptError` when the file cannot be read, and as `init(source:name:parameters:inputs:modules:)` does.
    public init(
        path: String, parameters: [String: Value] = [:], inputs: [String: Value] = [:], modules: [String: String] = [:]
    ) throws(ScriptError) {
        do { sources = try ProgramSources(path: path, modules: try Program.sources(modules)) } catch {
            throw ScriptError(code: "source", message: error.message)
        }
        given = try Program.given(parameters, "parameter")
        self.inputs = try Program.given(inputs, "input")
    }

    private static func sources(_ modules: [String: String]) throws(ProgramError) -> [ProgramSource] {
        var sources: [ProgramSource] = []
        for (name, source) in modules {
            let file = name.split(separator: ".").joined(separator: "/") + ".lua"
            sources.append(try ProgramSource(name: name, file: file, bytes: Array(source.utf8)))
        }
        return sources
    }

    private static func given(_ values: [String: Value], _ what: String) throws(ScriptError) -> [GivenParameter] {
        var given: [GivenParameter] = []
        for (name, value) in values.sorted(by: { $0.key < $1.key }) {
            do { given.append(GivenParameter(name: name, value: .value(try value.encoded()))) } catch {
                throw ScriptError(code: what, message: "\(what) '\(name)': \(error.message)")
            }
        }
        return given
    }
}
