import Glibc

/// The folder of the operators' files that the environment names in HANDOUT_PORTS; nil: there is none.
enum Ports {
    static let folder: String? = getenv("HANDOUT_PORTS").map { String(cString: $0) }
    /// The folder of hostile cases, as HANDOUT_HOSTILE names it.
    static let hostile: String? = getenv("HANDOUT_HOSTILE").map { String(cString: $0) }
}
