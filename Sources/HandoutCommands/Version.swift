import LuaRuntime

/// The product's version, in one place.
enum Version {
    static let number = "0.1.0"
    static var text: String { "handout-lua \(number) (\(LuaVersion.release))" }
}
