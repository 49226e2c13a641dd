import Handout

/// A value of a JSON text that knows where it stands.
struct JSONNode {
    let value: Value
    private let path: Path

    /// A place, from the inside out. Texts are made only when there is something to say.
    private indirect enum Path {
        case root
        case member(Path, String)
        case element(Path, Int)

        var text: String {
            switch self {
            case .root: ""
            case .member(.root, let name): name
            case .member(let outer, let name): "\(outer.text).\(name)"
            case .element(let outer, let index): "\(outer.text)[\(index)]"
            }
        }
    }

    init(root: Value) {
        value = root
        path = .root
    }

    private init(_ value: Value, _ path: Path) {
        self.value = value
        self.path = path
    }

    func error(_ message: String) -> InstanceError { InstanceError(place: path.text, message: message) }

    /// A problem of a member, whether it is there or not.
    func error(at name: String, _ message: String) -> InstanceError {
        InstanceError(place: Path.member(path, name).text, message: message)
    }

    // MARK: - Members and elements

    /// Nil where there is none: of a list that is empty too, which is how an empty object arrives.
    func member(_ name: String) -> JSONNode? { value[name].map { JSONNode($0, .member(path, name)) } }

    func required(_ name: String) throws(InstanceError) -> JSONNode {
        try object()
        guard let member = member(name) else { throw error(at: name, "missing") }
        return member
    }

    /// Nothing, unless this is no object.
    func object() throws(InstanceError) {
        switch value {
        case .table: return
        case .list(let elements) where elements.isEmpty: return
        default: throw error("expected an object, got \(kind)")
        }
    }

    /// The members in the order of their names.
    func members() throws(InstanceError) -> [(name: String, node: JSONNode)] {
        try object()
        guard case .table(let entries) = value else { return [] }
        var members: [(name: String, node: JSONNode)] = []
        for (key, value) in entries {
            guard let name = key.stringValue else { throw error("a name is not UTF-8") }
            members.append((name, JSONNode(value, .member(path, name))))
        }
        return members.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    func elements() throws(InstanceError) -> [JSONNode] {
        guard case .list(let elements) = value else { throw error("expected a list, got \(kind)") }
        return elements.enumerated().map { JSONNode($1, .element(path, $0)) }
    }

    // MARK: - Scalars

    func text() throws(InstanceError) -> String {
        guard let text = value.stringValue else { throw error("expected a text, got \(kind)") }
        return text
    }

    /// A number of `least ... most`.
    func number(from least: Double = 0, to most: Double) throws(InstanceError) -> Double {
        guard let number = value.doubleValue else { throw error("expected a number, got \(kind)") }
        guard number >= least && number <= most else {
            throw error(
                "expected a number from \(JSONNode.shown(least)) to \(JSONNode.shown(most)), got \(JSONNode.shown(number))"
            )
        }
        return number
    }

    /// A number above 0.
    func positive(to most: Double) throws(InstanceError) -> Double {
        guard let number = value.doubleValue else { throw error("expected a number, got \(kind)") }
        guard number > 0 && number <= most else {
            throw error("expected a number above 0 and up to \(JSONNode.shown(most)), got \(JSONNode.shown(number))")
        }
        return number
    }

    var isNumber: Bool { value.doubleValue != nil }

    private var kind: String {
        switch value {
        case .null: "null"
        case .boolean(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .float(let value): JSONNode.shown(value)
        case .string, .bytes: "a text"
        case .list: "a list"
        case .table: "an object"
        }
    }

    static func shown(_ number: Double) -> String {
        number == number.rounded() && abs(number) < 1e15 ? String(Int(number)) : String(number)
    }
}
