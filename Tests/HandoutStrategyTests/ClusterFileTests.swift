import HandoutCore
import HandoutPlan
import Testing

@testable import HandoutStrategy

/// Cluster files: what they give, and every refusal as a whole.
@Suite struct ClusterFileTests {
    @Test func `a worker has defaults`() throws {
        let cluster = try read("{ name = 'a' }")
        #expect(cluster == ClusterDescription(workers: [.init(name: "a", totals: ["cpu": 10_000])]))
    }

    @Test func `every field arrives`() throws {
        let cluster = try read(
            """
            { name = "gpu", count = 2, cpu = 1.5, memory = "128GiB", gpu = 2, resources = { fpga = { "a", 7 }, disk = 0.5 },
              price = 4.8, speed = 1.5, labels = { zone = "eu", empty = "" }, lifetime = "3h", joins = "5s",
              trackers = "file.lua" },
            { name = "spot", gpu = { 3, "x" }, price = { { 0, 0.9 }, { "1h", 1.6 } } },
            shared  = { matlab = 5 },
            network = { bandwidth = "1GB/s", latency = "200us", links = {
              { from = "gpu-1", to = "*", bandwidth = 1000, latency = "1ms" }, { from = "*", to = "spot" } } }
            """)
        var first = ClusterDescription.Worker(
            name: "gpu-1",
            totals: ["cpu": 15_000, "memory": 128 << 30, "gpu": 20_000, "fpga": 20_000, "disk": 5_000],
            indices: ["gpu": ["0", "1"], "fpga": ["a", "7"]], prices: [.init(at: 0, price: 4.8)], speed: 1.5,
            labels: ["zone": "eu", "empty": ""], lifetime: 10_800_000_000_000, joins: 5_000_000_000,
            trackers: "file.lua")
        #expect(cluster.workers[0] == first)
        first.name = "gpu-2"
        #expect(cluster.workers[1] == first)
        let spot = cluster.workers[2]
        #expect(spot.indices == ["gpu": ["3", "x"]] && spot.totals == ["cpu": 10_000, "gpu": 20_000])
        #expect(spot.price(at: 3_599_999_999_999) == 0.9 && spot.price(at: 3_600_000_000_000) == 1.6)
        #expect(cluster.shared == ["matlab": 50_000])
        #expect(
            cluster.network
                == .init(
                    bandwidth: 1_000_000_000, latency: 200_000,
                    links: [
                        .init(from: "gpu-1", to: nil, bandwidth: 1000, latency: 1_000_000),
                        .init(from: nil, to: "spot"),
                    ]))
        #expect(cluster.network.path(from: "gpu-1", to: "gpu-2") == (1000, 1_000_000))
        #expect(cluster.network.path(from: "gpu-1", to: "spot") == (1_000_000_000, 200_000))
    }

    @Test(.enabled(if: Ports.folder != nil)) func `the cluster of a port loads`() throws {
        let folder = try #require(Ports.folder)
        let cluster = try ClusterFile.read(path: folder + "/6e-cluster.lua")
        #expect(
            cluster.workers.map(\.name) == ["gpu-1", "gpu-2", "spot-1", "spot-2", "spot-3", "spot-4", "old"])
        #expect(cluster.workers[6].trackers == "6d-tracker.lua" && cluster.shared == ["matlab": 50_000])
        #expect(cluster.network.path(from: "old", to: "gpu-1") == (100_000_000, 200_000))
    }

    @Test(arguments: [
        ("{ cpu = 1 }", ["id c.lua:1: worker 1: the name is a string, got nil"]),
        (
            "{ name = 'a b' }",
            [
                "id c.lua:1: worker \"a b\": not an id: only letters, digits and _ - . : @ + = , % are allowed "
                    + "(see handout.id)"
            ]
        ),
        (
            "{ name = 'a', count = 2 }, { name = 'a-1' }, { name = 'b' }, { name = 'b' }",
            [
                "duplicate c.lua:1: worker 'a-1': the name is taken by worker 1",
                "duplicate c.lua:1: worker 'b': the name is taken by worker 3",
            ]
        ),
        (
            "{ name = 'a', count = 0 }",
            ["field c.lua:1: worker 'a': field 'count': expected a whole number from 1 to 100000, got 0"]
        ),
        (
            "{ name = 'a', count = 100000 }, { name = 'b' }",
            ["field c.lua:1: worker 'b': more than 100000 workers, counts included"]
        ),
        (
            "{ name = 'a', cpu = '4' }",
            ["field c.lua:1: worker 'a': field 'cpu': expected a number from 0 to 1000000000, got \"4\""]
        ),
        (
            "{ name = 'a', memory = '1XiB' }",
            ["field c.lua:1: worker 'a': field 'memory': expected a size such as \"512MiB\", got \"1XiB\""]
        ),
        (
            "{ name = 'a', memory = 1000 }",
            ["field c.lua:1: worker 'a': field 'memory': expected 0 or at least 1MiB, got 1000"]
        ),
        (
            "{ name = 'a', gpu = 0.5 }",
            [
                "field c.lua:1: worker 'a': field 'gpu': expected a whole number from 0 to 4096, or a list of "
                    + "indices, got 0.5"
            ]
        ),
        (
            "{ name = 'a', gpu = { 1, 1, true } }",
            [
                "field c.lua:1: worker 'a': field 'gpu[2]': expected each index once, got 1",
                "field c.lua:1: worker 'a': field 'gpu[3]': expected the name or number of an index, got true",
            ]
        ),
        (
            "{ name = 'a', resources = { cpu = 1, ['x y'] = 2, z = -1 } }",
            [
                "field c.lua:1: worker 'a': field 'resources': 'cpu' is a field of its own",
                "field c.lua:1: worker 'a': field 'resources': a name is 1 to 200 letters, digits, '_', '-' and '/', "
                    + "got \"x y\"",
                "field c.lua:1: worker 'a': field 'resources.z': expected a number from 0 to 1000000000, got -1",
            ]
        ),
        (
            "{ name = 'a', price = { { 1, 2 } } }",
            ["field c.lua:1: worker 'a': field 'price[1][1]': expected the time 0, got 1"]
        ),
        (
            "{ name = 'a', price = { { 0, 2 }, { '1h', 1 }, { '1h', 3 }, { 'x', 3 }, 5 } }",
            [
                "field c.lua:1: worker 'a': field 'price[3][1]': expected a later time than the one before, got \"1h\"",
                "field c.lua:1: worker 'a': field 'price[4][1]': expected a duration such as \"1h30m\" or seconds, "
                    + "got \"x\"",
                "field c.lua:1: worker 'a': field 'price[5]': expected a time and a price, such as { \"1h\", 0.5 }, "
                    + "got 5",
            ]
        ),
        (
            "{ name = 'a', price = 0/0 }",
            [
                "field c.lua:1: worker 'a': field 'price': expected a number from 0 to 1e12, or a list such as "
                    + "{ { 0, 0.9 }, { \"1h\", 1.6 } }, got nan"
            ]
        ),
        (
            "{ name = 'a', speed = 0, labels = { zone = 5 }, lifetime = 0, joins = -1, trackers = '' }",
            [
                "field c.lua:1: worker 'a': field 'speed': expected a number above 0, at most 1000000000, got 0",
                "field c.lua:1: worker 'a': field 'labels.zone': expected a string, got 5",
                "field c.lua:1: worker 'a': field 'lifetime': expected a duration above 0, got 0",
                "field c.lua:1: worker 'a': field 'joins': expected a duration such as \"1h30m\" or seconds, got -1",
                "field c.lua:1: worker 'a': field 'trackers': expected a path, got \"\"",
            ]
        ),
        (
            "{ name = 'a', spead = 1, [2] = 1 }",
            [
                "field c.lua:1: worker 'a': unknown field 'spead' (did you mean 'speed'?)",
                "field c.lua:1: worker 'a': unknown key 2",
            ]
        ),
        ("5", ["field c.lua:1: worker 1: expected a table such as { name = \"a\", cpu = 8 }, got 5"]),
        ("", ["field c.lua:1: cluster: no worker is declared"]),
        (
            "{ name = 'a' }, share = {}",
            ["field c.lua:1: cluster: unknown field 'share' (did you mean 'shared'?)"]
        ),
        (
            "{ name = 'a', resources = { x = 1 } }, shared = { x = 1 }",
            ["field c.lua:1: cluster: field 'shared.x': worker 'a' has a resource of this name"]
        ),
        (
            "{ name = 'a' }, network = { bandwidth = '1GB', latency = 'x', link = {} }",
            [
                "field c.lua:1: network: field 'bandwidth': expected a size a second, above 0, such as \"1GB/s\", "
                    + "got \"1GB\"",
                "field c.lua:1: network: field 'latency': expected a duration such as \"1h30m\" or seconds, got \"x\"",
                "field c.lua:1: network: unknown field 'link' (did you mean 'links'?)",
            ]
        ),
        (
            "{ name = 'a', count = 2 }, network = { links = { { from = 'a', to = 'a-1' }, { to = '*' }, 5 } }",
            [
                "field c.lua:1: links[1]: field 'from': no worker 'a' is declared (of one with a count: NAME-1 and "
                    + "so on)",
                "field c.lua:1: links[2]: field 'from': expected a worker's name, or \"*\" for any, got nil",
                "field c.lua:1: network: field 'links[3]': expected a table such as { from = \"a\", to = \"*\" }, got 5",
            ]
        ),
    ])
    func `a refusal`(fields: String, problems: [String]) throws {
        #expect(refusal("return require 'handout'.cluster { \(fields) }") == problems)
    }

    @Test(arguments: [
        ("return {}", ["script c.lua: the file returned a table, expected a cluster (return handout.cluster{ ... })"]),
        ("", ["script c.lua: the file returned nil, expected a cluster (return handout.cluster{ ... })"]),
        (
            "return require 'handout'.cluster(5)", ["field c.lua:1: cluster: expected a table of workers, got 5"]
        ),
        ("error 'no'", ["script c.lua:1: no"]),
        ("return {", ["syntax c.lua:1: unexpected symbol near <eof>"]),
        ("while true do end", ["timeout c.lua:1: the file ran longer than 1 s"]),
        (
            "local t = {} while true do t[#t + 1] = {} end",
            ["memory c.lua:1: the file needed more than 16 MiB of memory"]
        ),
        (
            "return require 'handout'.graph 'g'",
            ["script c.lua: the file returned a handle, expected a cluster (return handout.cluster{ ... })"]
        ),
        (
            "local h = require 'handout'\nh.cluster { { name = 'a' } }\nreturn h.cluster { { name = 'b' } }",
            ["script c.lua:3: handout.cluster was called before: a file gives one cluster"]
        ),
        ("os.execute 'x'", ["script c.lua:1: os.execute is not available in this file"]),
    ])
    func `a file that is no cluster`(source: String, problems: [String]) {
        #expect(refusal(source) == problems)
    }

    @Test func `a file that is missing`() {
        let problems = #expect(throws: PlanRefusal.self) { try ClusterFile.read(path: "/nowhere/c.lua") }?.problems
        #expect(problems?.map(\.message) == ["/nowhere/c.lua: cannot be read: No such file or directory"])
    }

    // MARK: Helpers

    private func read(_ fields: String) throws -> ClusterDescription {
        let text = "return require 'handout'.cluster {\n\(fields)\n}"
        return try ClusterFile.read(try sources(text))
    }

    private func refusal(_ text: String) -> [String] {
        var limits = FileLimits()
        limits.time = 1_000_000_000
        limits.memory = 16 << 20
        do {
            _ = try ClusterFile.read(try sources(text), limits: limits)
            return []
        } catch let refusal as PlanRefusal {
            return refusal.problems.map { "\($0.code) \($0.text)" }
        } catch {
            return ["\(error)"]
        }
    }

    private func sources(_ text: String) throws -> ProgramSources {
        ProgramSources(entry: try ProgramSource(name: "", file: "c.lua", bytes: Array(text.utf8)))
    }
}
