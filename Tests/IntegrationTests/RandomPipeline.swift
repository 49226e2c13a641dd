import HandoutCore

/// A script made from a seed, with what `run` is to be given. Every random choice of these tests is made here.
///
/// What the reference leaves open is never made: a function that computes in each consumer does not fail; `over` and
/// `at` of an input are bound to values without absent parts; what a map over a graph needs does not fail.
struct RandomPipeline: CustomStringConvertible {
    /// What a script can make use of. A test fails when no script did.
    enum Feature: String, CaseIterable {
        case literalList, literalTable, runTimeList, runTimeTable, overMap, emptyMap, notElements
        case reduceLiteral, reduceRunTime, reduceMap, reduceTable, defaultArity, reducedNil
        case needsOne, needsPositions, needsNames, needsNested, needsNothing, needsMap, afterOne, afterList, arguments
        case retried, failedForGood, failedAtOnce, raisedTable, raisedNumber, askedForRetry, endedByMemory, codeError
        case recoveredByPcall, twoResults, notPlainData
        case taskFields, randomNumbers, plannedRandomNumbers, json, sorted
        case helper, recursiveHelper, loopVariable, assignedLater, capturedTable, globalFunction, module
        case changedInputs, oddKeys, nilResult, falseResult, emptyResult, floats, bytes, deepResult, mixedKeys
        case parameterDefault, parameterGiven, graphDefaults, declaredOutputs, target, metatable
        // Conditions, failures that are not one, and where a task is computed.
        case condition, whenOne, whenList, unlessOne, unlessList, conditionOnMap, conditionOfInstance
        case always, alwaysAfterFailure, alwaysOnFailedElement, optional, recovered, recoveredInVain, needsAbsent
        case inlineTask, inlineMap, inlineReduce, near
        // Parts of values.
        case atKey, atOwn, atFunction, atNested, outputPart, overPart, afterOwn
        // Graphs.
        case inputDefault, inputGiven, inputBoundToData, inputBoundToHandle, inputAsOutput
        case include, includeAgain, includeNested, includeWhen, includeAfter, defaultInnerOutputs, targetInside
        case mapOverGraph, mapOverGraphNested, mapOverGraphNamed, mapOverGraphPositions, severalInnerOutputs
        case mapOverGraphConditional, mapOverGraphOptional, mapOverGraphOverMap, listsInside, mapInside, reduceInside
        // Options that are functions.
        case measured, measuredInVain, measuredResource, measuredMemory, measuredByGraph
        case chainOfThree, keyedChain, failedElement, absentElement, reduceWithAbsent, reduceOverChain
    }

    enum Shape { case list, table, other }

    /// A handle of the graph that is being declared.
    struct Node {
        /// The expression that gives it.
        var name: String
        var shape: Shape
        /// Of a map: what its elements are.
        var elementShape: Shape = .other
        /// Its elements are tasks of their own.
        var isMap = false
        /// It, or something that it needs, may fail for good.
        var mayFail = false
        /// It may be absent.
        var mayMiss = false
        /// Something in its value may be absent.
        var isHoley = false
        /// If it fails, then by single elements.
        var failsByElement = false
        /// Parts of its elements may fail apart from each other.
        var isFragile = false
        /// It is an input of the graph.
        var isInput = false
        /// So many maps, one over the other.
        var chain = 0
        var isKeyed = false
    }

    let seed: UInt64
    var reached: Set<Feature> = []
    var parameters: [(name: String, text: String)] = []
    var inputs: [(name: String, text: String)] = []
    var targets: [String] = []
    var lines: [String] = []
    var nodes: [Node] = []
    /// Names of tasks that may be a target.
    var ids: [String] = []
    var graphs: [InnerGraph] = []
    /// Of the graph that is being declared: 0 of the script's own.
    var level = 0
    /// What the graph that is being declared makes use of.
    var notes = InnerNotes()
    var hasDefaults = false
    var hasLimits = false
    var random: SplitMix64
    private var declared = 0

    /// The script's name, which messages show.
    var file: String { "s\(seed).lua" }
    var text: String { lines.joined(separator: "\n") + "\n" }
    var description: String {
        let given =
            parameters.map { "-p '\($0.name)=\($0.text)' " } + inputs.map { "--input '\($0.name)=\($0.text)' " }
        return "\(text)-- --seed \(seed) \(given.joined())\(targets.joined(separator: " "))\n"
    }

    init(seed: UInt64) {
        self.seed = seed
        random = SplitMix64(seed: seed)
        begin()
        // The options of graphs hold for their own tasks: what they are for included ones is not tried.
        if !hasDefaults, random.chance(0.6) { for _ in 0...random.below(3) { addGraph() } }
        for _ in 0..<(4 + random.below(12)) { addDeclaration() }
        end()
    }

    /// A name that was not there before.
    mutating func newName(_ letter: String) -> String {
        declared += 1
        return "\(letter)\(declared)"
    }

    /// A feature is made use of with that probability.
    mutating func uses(_ feature: Feature, _ probability: Double) -> Bool {
        guard random.chance(probability) else { return false }
        reached.insert(feature)
        return true
    }

    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[random.below(elements.count)] }

    /// One or more declarations of any kind.
    private mutating func addDeclaration() {
        switch random.below(20) {
        case 0...5: addTask()
        case 6: addLoop()
        case 7...9: addMap()
        case 10: addChain()
        case 11...13: addReduce()
        case 14, 15: addCondition()
        default: addUseOfGraph()
        }
    }

    // MARK: Around the tasks

    private mutating func begin() {
        hasDefaults = uses(.graphDefaults, 0.15)
        hasLimits = random.chance(0.5)
        var graph = ["name = \"x\""]
        if hasDefaults { graph += ["retries = 1", "priority = 2"] }
        if hasLimits { graph.append("limits = { tokens = 2 }") }
        if hasDefaults, uses(.measuredByGraph, 0.5) {
            graph.append("cpu = function(inputs, attempt) return (inputs.n + attempt.number) % 2 end")
        }
        lines = [
            """
            local handout = require "handout"
            local twice = require "twice"
            local g = handout.graph\(graph.count > 1 ? "{ \(graph.joined(separator: ", ")) }" : "(\"x\")")
            local big = 1000003
            -- A number that tells values apart, lists of other lengths and floats from integers too.
            local function digest(v)
              if v == nil then return 7 elseif v == false then return 11 elseif v == true then return 17 end
              if math.type(v) == "integer" then return v % big end
              if type(v) == "number" then v = v ~= v and "nan" or string.format("%.17g.", v) end
              local n = type(v) == "string" and 23 or 29
              if type(v) == "string" then
                for i = 1, #v do n = (n * 31 + v:byte(i)) % big end
                return n
              end
              for key, x in handout.sorted(v) do n = (n * 31 + digest(key) * 5 + digest(x)) % big end
              return getmetatable(v) and -1 or n
            end
            local function all(...)
              local n = select("#", ...)
              for i = 1, select("#", ...) do n = (n * 37 + digest((select(i, ...)))) % big end
              return n
            end
            local weights, later = { 3, 5, by = { name = 7 } }, 1
            function weigh(n) return n * weights[1] + weights.by.name end
            local function depth(n) return n == 0 and {} or { depth(n - 1), n } end
            local function scale(n) return n * later + #weights end
            """
        ]
        addParameters()
        for _ in 0..<random.below(3) where random.chance(0.5) { addInput() }
    }

    private mutating func addParameters() {
        let kinds = [
            ("5", "17"), ("2.5", "3"), ("\"text\"", "a b,ü"), ("true", "false"), ("{ 1, 2 }", "4,5,6"),
            ("{ 0.5 }", "[1,2.25]"),
            ("{ a = 1 }", "{\"b\":[1,null],\"c\":{\"$float\":\"inf\"}}"), ("{}", "x,y"), ("{ \"p\" }", "[]"),
        ]
        for index in 0..<random.below(4) {
            let (value, given) = pick(kinds)
            lines.append("local p\(index) = handout.param(\"p\(index)\", \(value), \"a parameter\")")
            reached.insert(.parameterDefault)
            if uses(.parameterGiven, 0.5) { parameters.append(("p\(index)", given)) }
            let name = "given\(index)"
            lines.append("local \(name) = g:task(\"\(name)\", function() return p\(index) end)")
            nodes.append(Node(name: name, shape: .other))
            ids.append(name)
        }
    }

    private mutating func end() {
        lines.append("later = 4")
        reached.insert(.assignedLater)
        if uses(.declaredOutputs, 0.5) {
            for index in nodes.indices where index == nodes.count - 1 || random.chance(0.4) {
                lines.append("g:output(\"out-\(index)\", \(nodes[index].name))")
            }
            if uses(.outputPart, 0.4) {
                lines.append("g:output(\"part\", \(part(of: pick(nodes), isInstance: false).text))")
            }
        }
        lines.append("return g")
        if !ids.isEmpty, uses(.target, 0.15) {
            targets = Array(Set((0...random.below(2)).map { _ in pick(ids) })).sorted()
            if targets.contains(where: { $0.contains("/") }) { reached.insert(.targetInside) }
        }
    }
}
