import HandoutCore
import Testing

/// Bugs planted into a copy of the pure edition: the random scripts must tell it from the right one.
@Suite(.enabled(if: Oracle.lua != nil, "lua5.4 is not on PATH"))
struct PlantedBugTests {
    /// A line of the pure edition and a wrong one in its place.
    struct Bug: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var right: String
        var wrong: String
    }

    @Test(arguments: [
        Bug(
            testDescription: "a reduce takes groups one too small", right: "while #inputs > arity do",
            wrong: "while #inputs >= arity and arity > 2 do"),
        Bug(
            testDescription: "the default arity is 7", right: "node.options.arity or 8, 0,",
            wrong: "node.options.arity or 7, 0,"),
        Bug(
            testDescription: "an attempt too many", right: "until not failure or number > retries",
            wrong: "until not failure or number > retries + 1"),
        Bug(
            testDescription: "handout.fail is retried", right: "if failure.is_final or failure.kind == \"result\"",
            wrong: "if failure.kind == \"result\""),
        Bug(
            testDescription: "nothing stays nothing in lists",
            right: "if element == nil then element = false end\n    value[i]",
            wrong: "value[i]"),
        Bug(
            testDescription: "values are shared, not copied",
            right: "if not cell.items then return (copy(cell.value)) end",
            wrong: "if not cell.items then return cell.value end"),
        Bug(
            testDescription: "keys of instances are not encoded",
            right: "key:gsub(\"[^%w_.:@+=,\\x80-\\xFF-]\", percent)", wrong: "key"),
        Bug(
            testDescription: "one sequence of random numbers for all tasks",
            right: "start_sequence(run.seed, hash(task.id))",
            wrong: "start_sequence(run.seed, 0)"),
        Bug(
            testDescription: "arguments before needs",
            right: "for _, value in ipairs(node.args) do add((copy(value))) end",
            wrong:
                "for _, value in ipairs(node.args) do table.insert(arguments, 1, value) arguments.n = arguments.n + 1 end"
        ),
        Bug(
            testDescription: "a failure does not spread",
            right: "if bad[resolve(instance, other, own).state] then state = \"skipped\" end", wrong: ""),
        Bug(
            testDescription: "floats lose their point",
            right: "return text:find \"^[-+%d]+$\" and text .. \".0\" or text",
            wrong: "return text"),
        Bug(
            testDescription: "tasks that others come after are outputs",
            right:
                "ipairs { node.after, node.when, node.unless, not only_inputs and node.near or nil } do\n    for _, other in ipairs(list) do visit",
            wrong: "ipairs {} do\n    for _, other in ipairs(list) do visit"),
        Bug(
            testDescription: "a failed element skips no instance",
            right: "local is_lost = bad[element.state] and not node.options.always", wrong: "local is_lost = false"),
        Bug(
            testDescription: "conditions are the other way round",
            right: "{ when = true, unless = false } do",
            wrong: "{ when = false, unless = true } do"),
        Bug(
            testDescription: "always is not looked at",
            right: "if state and not node.options.always then return state end",
            wrong: "if state then return state end"),
        Bug(
            testDescription: "what is optional fails",
            right: "if optional then return { state = \"absent\", reason = \"failed\" } end",
            wrong: ""),
        Bug(
            testDescription: "recover is never called",
            right: "if failure and options.recover then",
            wrong: "if false then"),
        Bug(
            testDescription: "a condition stays what it is",
            right: "if node.kind == \"when\" then value = value and true or false end",
            wrong: ""),
        Bug(
            testDescription: "a key picks the whole value",
            right: "return key == nil and absent or element_of(cell, key) end",
            wrong: "return key == nil and absent or cell end"),
        Bug(
            testDescription: "an own key is not known",
            right: "elseif key == nil then key = own.key end",
            wrong: "end"),
        Bug(
            testDescription: "a picking function gets no key",
            right: "key = key((copy(own.element)), own.key)",
            wrong: "key = key((copy(own.element)))"),
        Bug(
            testDescription: "a missing key is nil in a slice",
            right: "local item = element_of(cell, one)\n    slice.items[i], slice.keys[i] = item, i",
            wrong: "local item = element_of(cell, one)\n    slice.items[i], slice.keys[i] = item, one"),
        Bug(
            testDescription: "tasks of included graphs have no prefix",
            right: "instance.prefix .. node.id .. \"/\", bound, wanted",
            wrong: "instance.prefix, bound, wanted"),
        Bug(
            testDescription: "inputs that are given keep their default",
            right: "local cell = bound[input.id] or { state = \"done\", value = input.value }",
            wrong: "local cell = input.value == nil and bound[input.id] or { state = \"done\", value = input.value }"),
        Bug(
            testDescription: "a graph of one output gives a table",
            right: "if #outputs == 1 then return cell end",
            wrong: "if #outputs == 0 then return cell end"),
        Bug(
            testDescription: "positional needs come before the key",
            right: "given[#given + 1] = cell_of(entry)",
            wrong: "table.insert(given, 2, cell_of(entry))"),
        Bug(
            testDescription: "absent elements are nil in lists",
            right: "if element == nil and not cell.is_keyed then element = false end",
            wrong: ""),
        Bug(
            testDescription: "what is missing is not said",
            right: "missing[place_] =",
            wrong: "local _ ="),
        Bug(
            testDescription: "memory is tried again",
            right: "return failure.kind ~= \"memory\"",
            wrong: "return true"),
        Bug(
            testDescription: "functions are not asked for amounts", right: "if not next(functions) then return end",
            wrong: "do return end"),
        Bug(
            testDescription: "the sizes of inputs are those of texts",
            right: "inputs.bytes[i] = encoded_size(arguments[i])", wrong: "inputs.bytes[i] = #tostring(arguments[i])"),
        Bug(
            testDescription: "no more memory is enough", right: "if given.memory and met and", wrong: "if false and"),
        Bug(
            testDescription: "an absent element of a reduce is left out",
            right: "if value == nil then value = false end\n        list[i] = value",
            wrong: "list[#list + 1] = value"),
    ])
    func `a planted bug is caught`(_ bug: Bug) {
        let parts = Oracle.source.split(separator: bug.right, omittingEmptySubsequences: false)
        #expect(parts.count == 2, "the line is there once")
        let pipelines = (0..<150).map { RandomPipeline(seed: $0) }
        let right = Oracle.run(pipelines, in: Folder())
        let wrong = Oracle.run(pipelines, in: Folder(), source: parts.joined(separator: bug.wrong))
        #expect(right.allSatisfy { $0?.refused == "" })
        #expect(zip(right, wrong).contains { $0 != $1 })
    }
}
