import CLuaShim
import HandoutCore
import LuaRuntime

/// One thing that a task of a plan asks for.
package struct GrantRequest: Sendable, Equatable {
    package var kind: GrantKind
    package var name: String
    /// The first task that asks for it, and where it was declared.
    package var task: String
    package var file: String?
    package var line: Int

    /// `task 'align' asks for exec 'bwa'`
    package var message: String {
        "task '\(TextEscape.shown(task))' asks for \(kind.rawValue) '\(TextEscape.shown(name))'"
    }

    /// Why a run that does not allow it is refused.
    package var problem: PlanProblem {
        PlanProblem(
            code: "grant",
            message: message + ": allow it with --allow \(kind.rawValue)=\(TextEscape.shown(name)) "
                + "(or -A for all that the script asks for)",
            file: file, line: line)
    }
}

extension Plan {
    /// What the tasks ask for, in order of declaration, each thing once.
    package var requests: [GrantRequest] {
        // By option set: it asks for something and no row with it was met.
        var isNew = graph.options.map { $0.grant != UInt32.max }
        guard isNew.contains(true) else { return [] }
        var names = Set<String>()
        var requests: [GrantRequest] = []
        for row in 0..<graph.count where isNew[Int(graph.optionIndices[row])] {
            isNew[Int(graph.optionIndices[row])] = false
            let task = TaskID(rawValue: UInt32(row))
            let grant = graph.options(of: task).grant
            for (kind, name) in functions.grant(grant) where names.insert(kind.rawValue + "=" + name).inserted {
                let place = place(of: task)
                requests.append(
                    GrantRequest(
                        kind: kind, name: name, task: graph.name(task), file: place.file, line: place.line))
            }
        }
        return requests
    }

    /// What the tasks ask for and the run does not allow.
    package func requests(beyond allowance: Allowance, secrets: [Secret] = []) -> [GrantRequest] {
        requests.filter { request in
            let isSecret = request.kind == .env && secrets.contains { $0.name == request.name }
            return !isSecret && !allowance.allows(request.kind, request.name)
        }
    }
}

extension FunctionColumns {
    /// What the grant at that index of the pool asks for; nothing for `UInt32.max`.
    func grant(_ index: UInt32) -> [(GrantKind, String)] {
        guard index < UInt32(pool.count) else { return [] }
        let start = Int(handout_pool_position(pool[Int(index)]))
        let size = handout_value_size(poolBytes.base + start, poolBytes.count - start)
        let table = EncodedValue(bytes: Array(poolBytes.buffer[start..<start + size])).members ?? []
        var entries: [(GrantKind, String)] = []
        for member in table {
            guard let kind = GrantKind(rawValue: member.name) else { continue }
            for entry in member.value.elements ?? [] {
                if let name = entry.text { entries.append((kind, String(decoding: name, as: UTF8.self))) }
            }
        }
        return entries
    }
}
