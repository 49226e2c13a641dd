import CLuaShim
import HandoutCore
import HandoutPlan
import LuaRuntime
import Testing

/// What each call of the graph interface writes into the columns.
@Suite struct RecorderTests {
    // MARK: Conditions and flags

    @Test func `conditions, order and nearness become sections in one order`() throws {
        let plan = try plan(
            """
            local a, b = g:task("a", f), g:task("b", f)
            local w = g:when("w", { needs = { a } }, f)
            g:task("c", { near = a, unless = { a, b }, when = w, after = b, needs = { a }, args = { 7 } }, f)
            """)
        #expect(
            rows(plan) == [
                "task a", "task b", "when w: task(0)",
                "task c: task(0) constant(7) after(1) task(1) when(1) task(2) unless(2) task(0) task(1) near(1) task(0)",
            ])
    }

    @Test func `flags are options, and equal ones are stored once`() throws {
        let plan = try plan(
            """
            g:task("a", { always = true, optional = true }, f)
            g:task("b", { optional = true, always = true, inline = false }, f)
            g:task("c", { inline = true }, f)
            g:task("d", { recover = f }, f)
            """)
        let options = plan.graph.options(of: TaskID(0))
        #expect(options.always && options.optional && !options.isInline && !options.recovers)
        #expect(plan.graph.optionIndices[0] == plan.graph.optionIndices[1])
        #expect(plan.graph.options(of: TaskID(2)).isInline && plan.graph.options(of: TaskID(3)).recovers)
        #expect((0..<4).allSatisfy { plan.graph.options(of: TaskID($0)).grant == UInt32.max })
    }

    @Test func `an inline row holds its own function, another the one that recovers`() throws {
        let plan = try plan(
            """
            local n = 1
            local function own() return n end
            g:task("a", { inline = true }, own)
            g:task("b", { recover = function() return n end }, own)
            n = 5
            """)
        #expect(rows(plan) == ["task a: function(line 5: 5)", "task b: function(line 7: 5)"])
        let functions = plan.functions
        #expect(functions.classes[0] == functions.classes[1])
        #expect(Array(functions.captures(of: TaskID(0))) == Array(functions.captures(of: TaskID(1))))
    }

    @Test func `options that are functions end the words of their row, by name`() throws {
        let plan = try plan(
            """
            g:task("a", { cpu = f, memory = f, gpu = f, timeout = f, priority = f, estimate = f, reads = f, writes = f,
              resources = { licence = f } }, f)
            g:task("b", f)
            """)
        let names = ["cpu", "estimate", "gpu", "memory", "priority", "resources.licence", "timeout"]
        let words = names.map { " key(\"\($0)\") function(line 3)" }.joined()
        #expect(rows(plan) == ["task a: measures(7)\(words)", "task b"])
        let options = plan.graph.options(of: TaskID(0))
        #expect(options.isMeasured && options.measuresMemory && !plan.graph.options(of: TaskID(1)).isMeasured)
        #expect(plan.graph.requests.find("licence") != nil)
    }

    @Test func `functions of a graph hold for tasks that do not say it themselves`() throws {
        let plan = try plan(
            """
            local y = handout.graph{ name = "y", cpu = f, resources = { a = f, b = f } }
            y:task("a", f)
            y:task("b", { cpu = 2, memory = f }, f)
            y:task("c", { resources = { a = 1 } }, f)
            y:task("d", { variants = { { cpu = 1 }, { gpu = 1, resources = { b = 1 } } } }, f)
            y:task("e", { inline = true }, f)
            y:task("h", { recover = f, after = y:task("g", { cpu = 0, resources = {} }, f) }, f)
            g:include("i", y)
            """)
        let expected = [
            "mark i", "task i/a: measures(3) cpu resources.a resources.b",
            "task i/b: measures(3) memory resources.a resources.b",
            "task i/c: measures(1) cpu", "task i/d: measures(1) resources.a", "task i/e: function(line 3)", "task i/g",
            "task i/h: after(1) task(6) function(line 3) measures(3) cpu resources.a resources.b",
        ]
        let short = rows(plan).map { row in
            row.split(separator: " key(\"").map { $0.split(separator: "\") function(")[0] }.joined(separator: " ")
        }
        #expect(short == expected)
    }

    @Test func `resources that a variant or a limit has are taken`() throws {
        let plan = try plan(
            """
            local y = handout.graph{ name = "y", limits = { db = 2 }, resources = { db = 1 }, weight = 2, deadline = "1h" }
            y:task("a", f)
            y:task("b", { resources = { db = 2, free = 0 } }, f)
            y:task("c", { variants = { { gpu = 4, memory = "1GiB" }, { resources = { tpu = 1 } } } }, f)
            y:task("d", { where = { zone = "eu", disk = { "a", "b" } }, reads = { "x" }, writes = {} }, f)
            y:task("e", { inline = true, args = { 1 } }, f)
            y:allocator("cost", { deadline = "1h" })
            g = y
            """)
        #expect(rows(plan) == ["task a", "task b", "task c", "task d", "task e: constant(1) function(line 3)"])
    }

    // MARK: Elements

    @Test func `an element by key is a hidden row before the one that uses it, made once`() throws {
        let plan = try plan(
            """
            local a = g:task("a", f)
            local first, name = a:at(1.0), a:at("k"):at(2)
            g:task("b", { needs = { first, first, name }, when = a:at("z") }, f)
            g:map("c", { over = first }, f)
            """)
        #expect(
            rows(plan) == [
                "task a", "select a: pick(1) task(0)", #"select a: pick("k") task(0)"#, "select a: pick(2) task(2)",
                #"select a: pick("z") task(0)"#, "task b: task(1) task(1) task(3) when(1) task(4)", "map c: over(1)",
            ])
        #expect(outputs(plan) == ["b=5", "c=6"])
    }

    @Test func `an element by own key, or by a function, is a selector over what the map runs over`() throws {
        let plan = try plan(
            """
            local a, n = g:task("a", f), 3
            local own = a:at()
            g:map("b", { over = { 1 }, needs = { own, own, own:at("x"), a:at(function() return n end), a:at(9) }, after = a:at() }, f)
            """)
        #expect(
            rows(plan) == [
                "task a", "selector a: overLiteral([1]) pick(own) task(0)",
                #"selector a: overLiteral([1]) pick("x") own(1)"#,
                "selector a: overLiteral([1]) pick(line 6: 3) task(0)", "select a: pick(9) task(0)",
                "selector a: overLiteral([1]) pick(own) task(0)",
                "map b: overLiteral([1]) own(1) own(1) own(2) own(3) task(4) after(1) own(5)",
            ])
    }

    @Test func `the id of an element is that of its task`() throws {
        let plan = try plan("local a = g:task(\"a\", f)\ng:task(a:at(1):at().id .. \"2\", f)")
        #expect(rows(plan) == ["task a", "task a2"])
    }

    // MARK: Inputs and included graphs

    @Test func `inputs of the returned graph are their defaults or what is given`() throws {
        let body = "g:task(\"a\", { needs = { g:input(\"x\", { 1, 2 }), g:input(\"y\") } }, f)"
        let given = GivenParameter(name: "y", value: .value(try EncodedValue(json: Array("{\"k\":1}".utf8))))
        #expect(
            rows(try plan(body, inputs: [given])) == [
                "input x: constant([1,2])", #"input y: constant({"k":1})"#, "task a: task(0) task(1)",
            ])
    }

    @Test func `an input that the graph does not have is refused`() throws {
        let given = GivenParameter(name: "sise", value: .value(EncodedValue(bytes: [1])))
        let refusal = #expect(throws: PlanRefusal.self) { try plan("g:input(\"size\", 1)", inputs: [given]) }
        #expect(
            refusal?.problems.map(\.text) == ["t.lua: input 'sise' is not one of the graph's (did you mean 'size'?)"])
    }

    @Test func `an included graph is copied, its inputs replaced by what they are bound to`() throws {
        let plan = try plan(
            """
            local y = handout.graph "y"
            local n, m, k = y:input("n", 3), y:input "m", y:input "k"
            local a = y:task("a", { needs = { n, k } }, f)
            y:map("b", { over = a, needs = { m:at(1), a:at() }, after = a }, f)
            local s = g:task("s", f)
            local c = g:when("c", {}, f)
            local h = g:include("p", y, { m = s, k = { 9 } }, { when = c, unless = s, after = { s } })
            g:task("z", { needs = h.b }, f)
            """)
        #expect(
            rows(plan) == [
                "task s", "when c", "mark p", "input p/n: constant(3)", "input p/k: constant([9])",
                "task p/a: task(3) task(4) after(1) task(0) when(1) task(1) unless(1) task(0)",
                "select p/m: pick(1) task(0) after(1) task(0) when(1) task(1) unless(1) task(0)",
                "selector p/a: over(5) pick(own) task(5)",
                "map p/b: over(5) task(6) own(7) after(2) task(0) task(5) when(1) task(1) unless(1) task(0)",
                "task z: task(8)",
            ])
        #expect(outputs(plan) == ["z=9"])
        #expect(plan.place(of: TaskID(5)).line == 6 && plan.place(of: TaskID(2)).line == 10)
    }

    @Test func `captured values of an included graph are shared with it`() throws {
        let plan = try plan(
            """
            local n = 1
            local y = handout.graph "y"
            y:task("a", function() return n end)
            g:include("p", y)
            g:include("q", y)
            n = 2
            """)
        #expect(rows(plan) == ["mark p", "task p/a", "mark q", "task q/a"])
        #expect(outputs(plan) == ["p/a=1", "q/a=3"])
        #expect(plan.functions.classes[1] == plan.functions.classes[3])
        #expect(Array(plan.functions.captures(of: TaskID(1))) == Array(plan.functions.captures(of: TaskID(3))))
    }

    @Test func `outputs of included graphs that nothing uses are outputs, by their names`() throws {
        let plan = try plan(
            """
            local y = handout.graph "y"
            local a = y:task("a", f)
            y:output("first", a)
            y:output("second", y:task("b", { needs = { a } }, f))
            local h = g:include(y)
            g:task("z", { needs = h.second }, f)
            """)
        #expect(outputs(plan) == ["z=3", "y/first=1"])
    }

    // MARK: Maps over graphs

    @Test func `a map over a graph binds its inputs by name, then in order, then by default`() throws {
        let plan = try plan(
            """
            local y = handout.graph "y"
            local e, k, d = y:input "e", y:input "k", y:input("d", 5)
            y:output("z", y:task("t", { needs = { e, k, d } }, f))
            y:output("a", k)
            local s = g:task("s", f)
            g:map("m", { over = { 1 } }, y)
            g:map("n", { over = s, needs = s, when = s, unless = { s }, after = s, optional = true }, y)
            g:map("o", { over = s, needs = { e = s:at(), k = { s, s } } }, y)
            """)
        #expect(
            rows(plan) == [
                "task s", "map m: overLiteral([1]) graph(1) ownElement(0) ownElement(1) constant(5)",
                "map n: over(0) graph(1) ownElement(0) ownElement(1) task(0) "
                    + "after(1) task(0) when(1) task(0) unless(1) task(0)",
                "selector s: over(0) pick(own) task(0)",
                "map o: over(0) graph(1) own(3) list(2) task(0) task(0) ownElement(0)",
                "input e: constant(unbound)", "input k: constant(unbound)", "input d: constant(5)",
                "task t: task(5) task(6) task(7)",
            ])
        #expect(plan.functions.classes[1] == UInt32.max)
        let templates = plan.graph.templates
        #expect(templates.map(\.rows) == [0..<5, 5..<9])
        #expect(templates[1].inputs.map(\.index) == [5, 6, 7])
        #expect(templates[1].outputs.map { "\($0.name)=\($0.task.index)" } == ["a=6", "z=8"])
    }

    @Test func `graphs that mapped graphs map over follow, each once`() throws {
        let plan = try plan(
            """
            local leaf, mid = handout.graph "leaf", handout.graph "mid"
            leaf:task("l", { needs = leaf:input "e" }, f)
            mid:map("m", { over = mid:input "e" }, leaf)
            g:map("a", { over = { 1 } }, mid)
            g:map("b", { over = { 1 } }, leaf)
            g:include("c", mid, { e = { 2 } })
            """)
        #expect(
            rows(plan) == [
                "map a: overLiteral([1]) graph(1) ownElement(0)", "map b: overLiteral([1]) graph(2) ownElement(0)",
                "mark c", "input c/e: constant([2])", "map c/m: over(3) graph(2) ownElement(0)",
                "input e: constant(unbound)", "map m: over(5) graph(2) ownElement(0)", "input e: constant(unbound)",
                "task l: task(7)",
            ])
        #expect(outputs(plan) == ["a=0", "b=1", "c/m=4"])
        #expect(plan.graph.templates.map(\.rows) == [0..<5, 5..<7, 7..<9])
    }

    @Test func `a plan of tasks alone names no outputs and has one graph`() throws {
        let plan = try plan("g:map(\"a\", { over = { 1 }, needs = { g:task(\"s\", f) } }, f)")
        #expect(outputs(plan) == [])
        #expect(plan.graph.templates.map(\.rows) == [0..<2])
    }

    @Test func `sorted goes through tables in one order while planning`() throws {
        let plan = try plan(
            "for k in handout.sorted { b = 1, a = 1, [3] = 1, [1] = 1 } do g:task(\"t\" .. k, f) end")
        #expect(rows(plan) == ["task t1", "task t3", "task ta", "task tb"])
    }

    @Test func `checking counts tasks and their edges, not the rows between them`() throws {
        let plan = try plan(
            """
            local y = handout.graph "y"
            y:task("t", { needs = y:input "e" }, f)
            local a = g:task("a", f)
            g:map("b", { over = a, needs = { a:at(1):at(2) } }, f)
            g:map("c", { over = { 1 } }, y)
            """)
        let shape = GraphShape(plan.graph)
        #expect(shape.tasks == 3)
        #expect(shape.edges == 2)
        #expect(shape.depth == 2)
    }

    // MARK: What a plan says

    private func plan(_ body: String, inputs: [GivenParameter] = []) throws -> Plan {
        let text = """
            local handout = require "handout"
            local g = handout.graph("x")
            local function f() return 1 end
            \(body)
            return g

            """
        let source = try ProgramSource(name: "", file: "t.lua", bytes: Array(text.utf8))
        return try Planner().plan(ProgramSources(entry: source), inputs: inputs)
    }

    private func outputs(_ plan: Plan) -> [String] {
        plan.graph.declaredOutputs.map { "\($0.name)=\($0.task.index)" }
    }

    /// `kind name: words`, a line a row; constants as JSON, functions by their line and the numbers they capture.
    private func rows(_ plan: Plan) -> [String] {
        (0..<plan.graph.count).map { index in
            let task = TaskID(index)
            let words = plan.graph.references(of: task).map { self.text(Reference(word: $0), plan) }
            let name = "\(plan.graph.kind(task)) \(plan.graph.name(task))"
            return words.isEmpty ? name : name + ": " + words.joined(separator: " ")
        }
    }

    private func text(_ word: Reference, _ plan: Plan) -> String {
        guard let operation = word.operation else { return "?" }
        let value: String
        switch operation {
        case .function where word.payload & Reference.measures != 0:
            return "measures(\(word.payload & ~Reference.measures))"
        case .constant, .key, .overLiteral, .function: value = pool(word.payload, plan)
        case .pick where word.payload == Reference.pickOwn: value = "own"
        case .pick: value = pool(word.payload & ~Reference.pickFunction, plan)
        default: value = "\(word.payload)"
        }
        return "\(operation)(\(value))"
    }

    private func pool(_ index: Int, _ plan: Plan) -> String {
        let functions = plan.functions
        guard index < functions.pool.count else { return "unbound" }
        let entry = functions.pool[index], start = Int(handout_pool_position(entry))
        let bytes = functions.poolBytes.buffer
        switch handout_pool_kind(entry) {
        case HANDOUT_POOL_INTEGER.rawValue:
            return "\(handout_pool_integer(entry))"
        case HANDOUT_POOL_FUNCTION.rawValue:
            let word = { (number: Int) in
                Int(UnsafeRawBufferPointer(bytes).loadUnaligned(fromByteOffset: start + 4 * number, as: UInt32.self))
            }
            let known = functions.classList[word(0)]
            let captured = (0..<Int(known.upvalues)).map { pool(word($0 + 1), plan) }
            return (["line \(known.line)"] + captured).joined(separator: captured.isEmpty ? "" : ": ")
        default:
            // An encoded value ends by itself: the shortest beginning that can be read.
            for end in start..<bytes.count {
                if let json = try? EncodedValue(bytes: Array(bytes[start...end])).json() {
                    return String(decoding: json, as: UTF8.self)
                }
            }
            return "?"
        }
    }
}
