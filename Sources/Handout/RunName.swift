import Glibc

/// Names of runs: the UTC time of their start and four letters against collisions, `20260131-142536-kqzw`.
enum RunName {
    static func make() -> String {
        var now = time(nil)
        var parts = tm()
        gmtime_r(&now, &parts)
        let stamp = [parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday].map(padded).joined()
        let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map(padded).joined()
        let letters = (0..<4).map { _ in "abcdefghijklmnopqrstuvwxyz".randomElement() ?? "a" }
        return "\(stamp)-\(clock)-\(String(letters))"
    }

    private static func padded(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
