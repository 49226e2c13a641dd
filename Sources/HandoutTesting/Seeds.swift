import Glibc

/// Seeds of random tests: HANDOUT_SEEDS says how many, HANDOUT_SEED which single one.
package enum Seeds {
    private static func number(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

    package static var areDefault: Bool { number("HANDOUT_SEED") == nil && number("HANDOUT_SEEDS") == nil }

    package static func all(default count: UInt64) -> Range<UInt64> {
        if let one = number("HANDOUT_SEED") { return one..<one + 1 }
        return 0..<(number("HANDOUT_SEEDS") ?? count)
    }
}
