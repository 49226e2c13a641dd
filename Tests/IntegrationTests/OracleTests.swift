import Glibc
import Testing

/// The program against the pure-Lua edition: other code for the same reference.
@Suite(.enabled(if: Oracle.lua != nil, "lua5.4 is not on PATH"))
struct OracleTests {
    /// `HANDOUT_SEED=n` runs that seed alone and prints its script, `HANDOUT_SEEDS=n` runs that many from 0, or from
    /// `HANDOUT_FIRST_SEED`.
    private static let seeds: [UInt64] = {
        func number(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }
        let first = number("HANDOUT_FIRST_SEED") ?? 0
        return number("HANDOUT_SEED").map { [$0] } ?? Array(first..<first + (number("HANDOUT_SEEDS") ?? 300))
    }()

    /// `HANDOUT_ORACLE_ONLY=1` runs the pure edition alone: are all scripts accepted?
    private static let isAlone = getenv("HANDOUT_ORACLE_ONLY") != nil

    /// Those that are built in, and Lua strategies that choose by class, by task and by round.
    private static let allocators: [(name: String, file: String?)] =
        ["first-available", "load-balanced", "locality", "cost", "time"].map { ($0, nil) }
        + [
            "score = function(task, worker) return task.rank end",
            "per_task = true, score = function(task, worker) return -task.attempt end",
            "filter = function(task, worker) return task.attempt < 2, 'no more' end",
            """
            allocate = function(ready, workers)
              local chosen = {}
              for class in ready:classes() do
                for task in class:take(3) do chosen[#chosen + 1] = { task = task, worker = workers[1] } end
              end
              return chosen
            end
            """,
        ].map { ($0, "return require(\"handout\").allocator { \($0) }") }

    private static let batches = stride(from: 0, to: seeds.count, by: 25).map {
        Array(seeds[$0..<min($0 + 25, seeds.count)])
    }

    @Test(arguments: batches)
    func `random scripts give the same under the pure edition and on one, two and eight threads`(_ batch: [UInt64]) {
        let pipelines = batch.map { RandomPipeline(seed: $0) }
        if getenv("HANDOUT_SEED") != nil { for pipeline in pipelines { print(pipeline) } }
        let folder = Folder()
        for (pipeline, outcome) in zip(pipelines, Oracle.run(pipelines, in: folder)) {
            guard let outcome, outcome.refused == "" else {
                Issue.record(
                    "HANDOUT_SEED=\(pipeline.seed): the pure edition: \(outcome?.refused ?? "nothing")\n\(pipeline)")
                continue
            }
            #expect(Oracle.internalErrors(in: outcome) == [], "HANDOUT_SEED=\(pipeline.seed)")
            if OracleTests.isAlone { continue }
            for slots in [1, 2, 3, 8] { compare(pipeline, outcome, slots: slots, in: folder) }
        }
    }

    private func compare(_ pipeline: RandomPipeline, _ expected: Oracle.Outcome, slots: Int, in folder: Folder) {
        var arguments = ["run", pipeline.file] + pipeline.targets
        // Of the runs on two threads some stop at the first failure.
        let stops = slots == 2 && pipeline.seed % 3 == 0
        arguments +=
            (stops ? [] : ["--keep-going"]) + ["--progress", "none", "--seed", "\(pipeline.seed)", "-j", "\(slots)"]
        for parameter in pipeline.parameters { arguments += ["-p", "\(parameter.name)=\(parameter.text)"] }
        for input in pipeline.inputs { arguments += ["--input", "\(input.name)=\(input.text)"] }
        let comment = Comment(rawValue: "HANDOUT_SEED=\(pipeline.seed) on \(slots) threads")
        if slots == 1 {
            let result = Tool.run(arguments, in: folder)
            #expect(result.output == expected.text, comment)
            #expect(result.status == (expected.ok ? 0 : 1), comment)
            return
        }
        // On eight threads under every kind of allocator, one after the other.
        if slots == 8 {
            let allocator = OracleTests.allocators[Int(pipeline.seed) % OracleTests.allocators.count]
            if let file = allocator.file { folder.write("allocator.lua", file) }
            arguments += ["--allocator", allocator.file == nil ? allocator.name : "allocator.lua"]
        }
        // Three are runner processes.
        if slots == 3 { arguments += ["--isolation", "process"] }
        let result = Tool.run(arguments + ["--json"], in: folder)
        let failures = Oracle.failures(result.json?["failures"])
        if stops, !expected.ok {
            let known = Set(expected.failures)
            #expect(
                !failures.isEmpty && failures.allSatisfy { known.contains($0) || $0.contains(" cancelled: ") }, comment)
        } else {
            #expect(OracleTests.outputs(in: result.output) == expected.outputs, comment)
            #expect(failures == expected.failures, comment)
        }
        #expect(result.json?["ok"] == .bool(expected.ok), comment)
    }

    /// The text of the object `outputs` in what `run --json` printed.
    private static func outputs(in text: String) -> String {
        guard let begin = text.firstRange(of: "\"outputs\":"), let end = text.firstRange(of: ",\"failures\":[") else {
            return text
        }
        return String(text[begin.upperBound..<end.lowerBound])
    }

    @Test func `the generator reaches every feature`() {
        var reached: Set<RandomPipeline.Feature> = []
        for seed in 0..<300 { reached.formUnion(RandomPipeline(seed: UInt64(seed)).reached) }
        #expect(Set(RandomPipeline.Feature.allCases).subtracting(reached) == [])
    }
}
