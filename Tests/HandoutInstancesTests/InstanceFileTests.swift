import HandoutInstances
import HandoutPlacement
import Testing

@Suite struct InstanceFileTests {
    private func read(_ text: String) throws -> PlacementInstance { try InstanceFile.read(Array(text.utf8)) }

    private func refusal(_ text: String) -> String {
        do {
            _ = try read(text)
            return "no refusal"
        } catch {
            return "\(error)"
        }
    }

    private let whole = """
        {"name": "two", "tasks": [
           {"id": "a", "resources": {"cpu": 1.5, "gpu": 1}, "runtime": {"w1": 3}},
           {"id": "b", "deps": [{"task": "a", "bytes": 100}, {"task": "a", "cost": 2.5}], "runtime": 7}],
         "workers": [{"id": "w0", "speed": 2, "resources": {"cpu": 4}, "price": 0.5},
                     {"id": "w1", "resources": {"cpu": 2, "gpu": 1}}],
         "network": {"bandwidth": 10, "latency": 1, "links": [{"from": "w1", "to": "w0", "bandwidth": 5}]}}
        """

    @Test func `everything of the format arrives`() throws {
        let instance = try read(whole)
        #expect(instance.name == "two")
        #expect(instance.resources == ["cpu", "gpu"])
        #expect(instance.tasks.map(\.name) == ["a", "b"])
        #expect(instance.tasks[0].amounts == [15_000, 10_000])
        #expect(instance.tasks[0].runTime == .perWorker([.infinity, 3]))
        #expect(instance.tasks[1].runTime == .base(7))
        #expect(
            instance.tasks[1].inputs == [.init(producer: 0, size: .bytes(100)), .init(producer: 0, size: .cost(2.5))])
        #expect(instance.workers[0].amounts == [40_000, 0])
        #expect(instance.workers[0].speed == 2)
        #expect(instance.workers[0].price == 0.5)
        #expect(instance.network.link == .init(bandwidth: 10, latency: 1))
        #expect(instance.network.pairs == [.init(from: 1, to: 0): .init(bandwidth: 5)])
        #expect(instance.transferTime(instance.tasks[1].inputs[0], from: 1, to: 0) == 20)
        #expect(instance.transferTime(instance.tasks[1].inputs[0], from: 0, to: 1) == 11)
        #expect(instance.transferTime(instance.tasks[1].inputs[1], from: 0, to: 1) == 2.5)
        #expect(instance.transferTime(instance.tasks[1].inputs[0], from: 1, to: 1) == 0)
    }

    @Test func `null is no limit of bandwidth`() throws {
        let instance = try read(
            #"{"tasks": [], "workers": [{"id": "w"}], "network": {"bandwidth": null, "latency": 0}}"#)
        #expect(instance.network.link == .init())
        #expect(instance.tasks.isEmpty)
    }

    /// A part of the whole text and what takes its place, and the refusal.
    @Test(arguments: [
        (#""task": "a", "bytes""#, #""task": "x", "bytes""#, "tasks[1].deps[0].task: no task 'x'"),
        (#""task": "a", "bytes""#, #""task": 3, "bytes""#, "tasks[1].deps[0].task: expected a text, got 3"),
        (#""bytes": 100"#, #""bytes": -1"#, "tasks[1].deps[0].bytes: expected a number from 0 to 1e+18, got -1"),
        (#""bytes": 100"#, #""bytes": 1, "cost": 1"#, "tasks[1].deps[0]: has both bytes and cost"),
        (#""runtime": 7"#, #""runtime": "long""#, "tasks[1].runtime: expected a number, or an object of one a worker"),
        (#""runtime": 7"#, #""runtime": {"w9": 1}"#, "tasks[1].runtime.w9: no worker 'w9'"),
        (#""runtime": 7"#, #""runtime": {}"#, "tasks[1]: no worker can run 'b'"),
        (#", "runtime": 7"#, "", "tasks[1].runtime: missing"),
        (
            #""runtime": 7"#, #""runtime": 1e400"#,
            "not JSON: position 196: expected a number in the range of a float, got a larger one"
        ),
        (#""id": "b""#, #""id": "a""#, "tasks[1].id: 'a' is the name of tasks[0] already"),
        (
            #""gpu": 1}, "runtime""#, #""gpu": 3}, "runtime""#,
            "tasks[0]: 'a' asks for 3 of 'gpu'; the most that a worker has is 1"
        ),
        (
            #""cpu": 1.5"#, #""cpu": {"$float": "nan"}"#,
            "tasks[0].resources.cpu: expected a number from 0 to 900000000000000, got nan"
        ),
        (#""cpu": 4"#, #""cpu": [4]"#, "workers[0].resources.cpu: expected a number, got a list"),
        (#""speed": 2"#, #""speed": 0"#, "workers[0].speed: expected a number above 0 and up to 1000000000, got 0"),
        (#""latency": 1,"#, #""latency": true,"#, "network.latency: expected a number, got true"),
        (#""from": "w1""#, #""from": "w7""#, "network.links[0].from: no worker 'w7'"),
        (#""tasks": ["#, #""works": ["#, "tasks: missing"),
        (
            #""resources": {"cpu": 1.5, "gpu": 1}, "runtime": {"w1": 3}"#,
            #""deps": [{"task": "b"}], "runtime": 1"#, "tasks[1]: waits for itself: 'b' → 'a' → 'b'"
        ),
    ])
    func `a problem is named with its place`(_ part: String, _ other: String, _ message: String) {
        let cut = whole.split(separator: part, maxSplits: 1, omittingEmptySubsequences: false)
        #expect(cut.count == 2)
        #expect(refusal(cut.joined(separator: other)) == message)
    }

    @Test(arguments: [
        ("", "not JSON: position 1: expected a value, got the end"), ("[1]", "expected an object, got a list"),
        ("7", "expected an object, got 7"), ("{}", "tasks: missing"),
        (#"{"tasks": [], "workers": []}"#, "workers: there are none"),
        (#"{"tasks": {"a": 1}, "workers": []}"#, "tasks: expected a list, got an object"),
        (#"{"tasks": [1], "workers": []}"#, "tasks[0]: expected an object, got 1"),
    ])
    func `a text of another shape is refused`(_ text: String, _ message: String) {
        #expect(refusal(text) == message)
    }

    /// Every prefix, and every text with one byte changed: refused or read, never a trap.
    @Test func `damaged texts are refused`() {
        let bytes = Array(whole.utf8)
        for count in 0..<bytes.count { #expect((try? InstanceFile.read(Array(bytes.prefix(count)))) == nil) }
        for index in bytes.indices {
            for byte in [UInt8(ascii: "9"), UInt8(ascii: "\""), UInt8(ascii: "}"), UInt8(ascii: "-"), 0, 255] {
                var changed = bytes
                changed[index] = byte
                _ = try? InstanceFile.read(changed)
            }
        }
    }
}

@Suite struct WorkflowTraceTests {
    private func trace(version: String = "1.5", machines: String, runs: String) -> [UInt8] {
        Array(
            """
            {"name": "t", "schemaVersion": "\(version)", "workflow": {"specification": {
               "tasks": [{"name": "split", "id": "s", "parents": [], "children": ["c"], "inputFiles": ["in"],
                          "outputFiles": ["x", "y"]},
                         {"name": "count", "id": "c", "parents": ["s"], "children": [], "inputFiles": ["y", "in"]}],
               "files": [{"id": "in", "sizeInBytes": 7}, {"id": "x", "sizeInBytes": 10}, {"id": "y", "sizeInBytes": 20}]},
             "execution": {"makespanInSeconds": 9, "executedAt": "now", "tasks": [\(runs)]\(machines)}}}
            """.utf8)
    }
    private let runs = #"""
        {"id": "c", "runtimeInSeconds": 4, "coreCount": 2, "memoryInBytes": 5, "machines": ["slow"]},
        {"id": "s", "runtimeInSeconds": 3, "machines": ["fast"]}
        """#
    private let machines = #"""
        , "machines": [{"nodeName": "fast", "cpu": {"coreCount": 4, "speedInMHz": 2000}, "memoryInBytes": 64},
          {"nodeName": "slow", "cpu": {"coreCount": 2, "speedInMHz": 1000}, "memoryInBytes": 32}]
        """#

    @Test func `tasks, machines and files become an instance`() throws {
        let instance = try InstanceFile.read(trace(machines: machines, runs: runs))
        #expect(instance.resources == ["cpu", "memory"])
        #expect(instance.tasks.map(\.name) == ["s", "c"])
        #expect(instance.tasks.map(\.runTime) == [.base(3), .base(2)])  // 4 s on the machine of half the speed
        #expect(instance.tasks.map(\.amounts) == [[10_000, 0], [20_000, 50_000]])
        #expect(instance.tasks[1].inputs == [.init(producer: 0, size: .bytes(20))])
        #expect(instance.workers.map(\.speed) == [1, 0.5])
        #expect(instance.workers.map(\.amounts) == [[40_000, 640_000], [20_000, 320_000]])
        #expect(instance.network.link.bandwidth == 125_000_000)
    }

    @Test func `a trace without machines gets four workers`() throws {
        let plain = runs.replacing(#", "machines": ["slow"]"#, with: "").replacing(#", "machines": ["fast"]"#, with: "")
        let instance = try InstanceFile.read(trace(machines: "", runs: plain))
        #expect(instance.workers.map(\.amounts) == [[80_000], [80_000], [80_000], [80_000]])
        #expect(instance.tasks.map(\.runTime) == [.base(3), .base(4)])
    }

    @Test func `what does not fit together is named`() {
        func refusal(_ text: [UInt8]) -> String {
            do {
                _ = try InstanceFile.read(text)
                return "no refusal"
            } catch {
                return "\(error)"
            }
        }
        #expect(
            refusal(trace(version: "1.3", machines: machines, runs: runs))
                == "schemaVersion: expected WfFormat 1.4 or later, got '1.3'")
        #expect(
            refusal(trace(machines: machines, runs: #"{"id": "c", "runtimeInSeconds": 4}"#))
                == "workflow.specification.tasks[0]: workflow.execution.tasks has no 's'")
        #expect(
            refusal(trace(machines: machines, runs: runs.replacing("slow", with: "none")))
                == "workflow.execution.tasks[0].machines[0]: no machine 'none'")
        #expect(
            refusal(trace(machines: machines, runs: runs.replacing(#""runtimeInSeconds": 3, "#, with: "")))
                == "workflow.execution.tasks[1].runtimeInSeconds: missing")
    }
}
