import Handout

/// The program's own data, which no script sees but through the function below.
actor Customers {
    private let names = [17: "Ada Lovelace", 23: "Alan Turing", 42: "Grace Hopper"]

    func name(of id: Int) throws -> String {
        guard let name = names[id] else { throw HostError("no customer \(id)") }
        return name
    }
}

/// A program whose own users write graphs: `handout-embedding-example SCRIPT`.
@main
struct Embedding {
    static func main() async throws {
        let customers = Customers()
        var host = HostFunctions()
        host.expose("lookup_customer") { arguments in
            guard let id = arguments.first?.integerValue else { throw HostError("expected an integer") }
            return ["name": .string(try await customers.name(of: id))]
        }

        var options = RunOptions()
        options.allow = [.host("lookup_customer")]  // nothing is allowed unless named
        options.workers = .local(threads: 1)
        options.limits = Limits(planningTime: .seconds(2), taskMemory: 64 << 20)

        do {
            let program = try Program(
                path: CommandLine.arguments[1], parameters: ["day": "2026-11-22"],
                modules: ["acme": "return { customers = { 17, 23, 42 } }"])
            let run = try await Handout.start(program, options: options, host: host)
            for await event in run.events { show(event) }
            let result = try await run.result
            for failure in result.failures { print(failure) }
            print("\(run.name): \(result.tasks.done) tasks done")
            if let rows = result["rows"] { print(try rows.json(indent: 2)) }
        } catch let error as ScriptError {
            print(error)
        }
    }

    static func show(_ event: Run.Event) {
        switch event.kind {
        case .taskProgressed(let task, let fraction, let text):
            print("\(task.id): \(Int((fraction * 100).rounded())) %, \(text)")
        case .taskFailed(let failure) where !failure.isFinal: print("again in \(failure.retryAfter) s: \(failure)")
        default: break
        }
    }
}
