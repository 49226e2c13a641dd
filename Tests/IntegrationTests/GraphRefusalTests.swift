import Testing

/// Conditions, inputs, graphs in graphs and elements of values, each put wrongly.
@Suite struct GraphRefusalTests {
    @Test(arguments: graphRefusals)
    func `check says the whole message with its place`(_ refusal: Refusal) throws {
        try RefusalTests().`check says the whole message with its place`(refusal)
    }

    @Test func `an input that is given and not there is refused with the nearest name`() {
        let result = Folder().tool("check", graphScript("g:input(\"size\", 1)"), ["--input", "sise=2"])
        #expect(result.status == 2)
        #expect(result.errorText == "t.lua: input 'sise' is not one of the graph's (did you mean 'size'?)\n")
    }

    @Test func `a value of an input that is no JSON is refused`() {
        let result = Folder().tool("check", graphScript("g:input(\"size\", 1)"), ["--input", "size={"])
        #expect(result.status == 2)
        #expect(result.errorText == "--input size: position 2: expected a key in quotes, got the end\n")
    }
}

private let graphRefusals =
    [
        Refusal(
            "a condition that is no handle",
            "g:task(\"a\", { when = 3 }, f)",
            "needs t.lua:4: task 'a': when: expected a handle, or a list or table of handles, got 3"),
        Refusal(
            "a list of conditions with something else in it",
            "local a = g:when(\"w\", {}, f)\ng:task(\"b\", { unless = { a, \"w\" } }, f)",
            "needs t.lua:5: task 'b': unless[2]: expected a handle, or a list or table of handles, got \"w\""),
        Refusal(
            "a condition of another graph",
            "local o = handout.graph \"o\"\nlocal w = o:when(\"w\", {}, f)\ng:task(\"a\", { when = w }, f)",
            "needs t.lua:6: task 'a': when: handle of another graph 'o', expected one of 'x'"),
        Refusal(
            "after that is no handle, beside an empty near",
            "g:task(\"a\", { near = {} , after = \"x\" }, f)",
            "needs t.lua:4: task 'a': after: expected a handle, or a list or table of handles, got \"x\""),
        Refusal(
            "flags that are no booleans",
            "g:task(\"a\", { always = 1, optional = \"x\", inline = {} }, f)",
            "option t.lua:4: task 'a': option 'always': expected true or false, got 1",
            "option t.lua:4: task 'a': option 'inline': expected true or false, got a table",
            "option t.lua:4: task 'a': option 'optional': expected true or false, got \"x\""),
        Refusal(
            "recover that is no function",
            "g:task(\"a\", { recover = \"x\" }, f)",
            "option t.lua:4: task 'a': option 'recover': expected a Lua function, got \"x\""),
        Refusal(
            "recover that captures a handle",
            "local a = g:task(\"a\", f)\ng:task(\"b\", { recover = function() return a end }, f)",
            "capture t.lua:5: task 'b': captured variable 'a': a handle cannot be captured by a task (pass its value through needs)"
        ),
        Refusal(
            "inline with what is of no use",
            "g:task(\"a\", { inline = true, retries = 2, timeout = 1, recover = f }, f)",
            "option t.lua:4: task 'a': option 'recover' cannot be combined with inline: it is computed in each consumer",
            "option t.lua:4: task 'a': option 'retries' cannot be combined with inline: it is computed in each consumer",
            "option t.lua:4: task 'a': option 'timeout' cannot be combined with inline: it is computed in each consumer"
        ),
        Refusal(
            "an option of tasks on a condition",
            "g:when(\"w\", { over = {} }, f)",
            "option t.lua:4: when 'w': unknown option 'over'"),
        Refusal(
            "a condition without a function",
            "g:when(\"w\", {})",
            "function t.lua:4: when 'w': expected a Lua function as last argument, got nil"),
        Refusal(
            "an input without a value",
            "g:input(\"v\")",
            "input t.lua:4: input 'v' is not given and has no default (--input v=JSON gives it)"),
        Refusal(
            "an input that is no id",
            "g:input(\"a b\", 1)",
            "id t.lua:4: input \"a b\": not an id: only letters, digits and _ - . : @ + = , % are allowed (see handout.id)"
        ),
        Refusal(
            "an input whose name is taken",
            "g:input(\"v\", 1)\ng:task(\"v\", f)",
            "duplicate t.lua:5: task 'v': the id is taken: declared before at line 4"),
        Refusal(
            "an input whose default is no data",
            "g:input(\"v\", print)",
            "input t.lua:4: input 'v': default: a function cannot be an input"),
        Refusal(
            "including what is no graph",
            "g:include(\"i\", 5)",
            "script t.lua:4: include 'i': expected a graph, got 5"),
        Refusal(
            "a graph that includes itself",
            "g:include(\"i\", g)",
            "script t.lua:4: include 'i': a graph cannot include itself"),
        Refusal(
            "graphs that include each other",
            "local o = handout.graph \"o\"\no:include(\"g\", g)\ng:include(\"o\", o)",
            "script t.lua:6: graph 'x' was included at line 5: nothing can be added to it any more"),
        Refusal(
            "an unknown input",
            "local o = handout.graph \"o\"\no:input(\"size\", 1)\no:task(\"t\", f)\ng:include(\"o\", o, { sise = 2 })",
            "input t.lua:7: include 'o': unknown input \"sise\" (did you mean 'size'?)"),
        Refusal(
            "an input that is missing",
            "local o = handout.graph \"o\"\no:input \"size\"\ng:include(\"o\", o)",
            "input t.lua:6: include 'o': input 'size' is not given and has no default"),
        Refusal(
            "an input that is no data",
            "local o = handout.graph \"o\"\no:input \"size\"\ng:include(\"o\", o, { size = print })",
            "input t.lua:6: include 'o': inputs[\"size\"]: a function cannot be an input"),
        Refusal(
            "an input of another graph",
            "local o, p = handout.graph \"o\", handout.graph \"p\"\no:input \"size\"\ng:include(\"o\", o, { size = p:task(\"t\", f) })",
            "needs t.lua:6: include 'o': inputs[\"size\"]: handle of another graph 'p', expected one of 'x'"),
        Refusal(
            "unknown options of an include",
            "local o = handout.graph \"o\"\ng:include(\"o\", o, {}, { retries = 1 })",
            "option t.lua:5: include 'o': unknown option 'retries'"),
        Refusal(
            "an include whose id is taken",
            "local o = handout.graph \"o\"\ng:task(\"o\", f)\ng:include(o)",
            "duplicate t.lua:6: include 'o': the id is taken: declared before at line 5"),
        Refusal(
            "a graph that was included is sealed",
            "local o = handout.graph \"o\"\no:task(\"t\", f)\ng:include(o)\no:task(\"u\", f)",
            "script t.lua:7: graph 'o' was included at line 6: nothing can be added to it any more"),
        Refusal(
            "a graph that a map is over is sealed",
            "local o = handout.graph \"o\"\no:task(\"t\", f)\ng:map(\"m\", { over = { 1 } }, o)\no:task(\"u\", f)",
            "script t.lua:7: graph 'o' was included at line 6: nothing can be added to it any more"),
        Refusal(
            "a map over its own graph",
            "g:map(\"m\", { over = { 1 } }, g)",
            "include t.lua:4: map 'm': a graph cannot include itself"),
        Refusal(
            "an option that a map over a graph has not",
            "local o = handout.graph \"o\"\no:task(\"t\", f)\ng:map(\"m\", { over = { 1 }, retries = 2 }, o)",
            "option t.lua:6: map 'm': unknown option 'retries'"),
        Refusal(
            "a map over a graph with an input too many",
            "local o = handout.graph \"o\"\no:input \"a\"\no:input \"b\"\no:input \"c\"\ng:map(\"m\", { over = { 1 } }, o)",
            "input t.lua:8: map 'm': input 'c' of graph 'o' is not given and has no default"),
        Refusal(
            "a map over a graph with an unknown name",
            "local o = handout.graph \"o\"\no:input(\"left\", 1)\nlocal t = g:task(\"t\", f)\ng:map(\"m\", { over = { 1 }, needs = { lefd = t } }, o)",
            "input t.lua:7: map 'm': unknown input \"lefd\" (did you mean 'left'?)"),
        Refusal(
            "at of a key that is none",
            "g:task(\"a\", f):at({})",
            "script t.lua:4: at: expected a string, an integer or a Lua function, got a table"),
        Refusal(
            "at without a key outside of a map",
            "local a = g:task(\"a\", f)\ng:task(\"b\", { needs = { a:at() } }, f)",
            "needs t.lua:5: task 'b': needs[1]: handle:at without a key, or of a function, is for maps"),
        Refusal(
            "at of a function outside of a map",
            "local a = g:task(\"a\", f)\ng:output(\"o\", a:at(function() return 1 end))",
            "needs t.lua:5: output \"o\": the handle: handle:at without a key, or of a function, is for maps"),
        Refusal(
            "at of a handle of another graph",
            "local o = handout.graph \"o\"\nlocal t = o:task(\"t\", f)\ng:task(\"b\", { needs = { t:at(1) } }, f)",
            "needs t.lua:6: task 'b': needs[1]: handle of another graph 'o', expected one of 'x'"),
        Refusal(
            "a function of at that captures a graph",
            "local a = g:task(\"a\", f)\ng:map(\"b\", { over = { 1 }, needs = { a:at(function() return g end) } }, f)",
            "capture t.lua:5: task 'a': captured variable 'g': a graph cannot be captured by a task"),
        Refusal(
            "an output that is a table of handles",
            "local o = handout.graph \"o\"\no:task(\"t\", f)\ng:output(\"x\", g:include(o))",
            "output t.lua:6: output \"x\": expected a handle, got a table"),
        Refusal(
            "near that is no handle", "g:task(\"a\", { near = \"x\" }, f)",
            "needs t.lua:4: task 'a': near: expected a handle, or a list or table of handles, got \"x\""),
        Refusal(
            "a graph captured by recover", "g:task(\"a\", { recover = function() return g end }, f)",
            "capture t.lua:4: task 'a': captured variable 'g': a graph cannot be captured by a task"),
        Refusal(
            "recover of a library", "g:task(\"a\", { recover = print }, f)",
            "option t.lua:4: task 'a': option 'recover': expected a Lua function, got a function"),
        Refusal(
            "an input whose default is a handle", "local s = g:task(\"s\", f)\ng:input(\"i\", s)",
            "input t.lua:5: input 'i': default: expected plain data, got a handle"),
        Refusal(
            "inputs that are no table", "g:include(\"p\", handout.graph(\"y\"), 5)",
            "script t.lua:4: include 'p': inputs: expected a table, got 5"),
        Refusal(
            "options of an include that are no table", "g:include(\"p\", handout.graph(\"y\"), {}, 5)",
            "script t.lua:4: include 'p': options: expected a table, got 5"),
        Refusal(
            "unknown inputs",
            "local y = handout.graph(\"y\")\ny:input(\"name\", 1)\ng:include(\"p\", y, { nam = 1, zzzz = 2 })",
            "input t.lua:6: include 'p': unknown input \"nam\" (did you mean 'name'?)",
            "input t.lua:6: include 'p': unknown input \"zzzz\""),
        Refusal(
            "conditions of an include, each said once",
            "local y = handout.graph(\"y\")\ny:task(\"a\", f)\ny:task(\"b\", f)\ng:include(\"p\", y, {}, { when = 1, unless = { 2 }, after = f })",
            "needs t.lua:7: include 'p': after: expected a handle, or a list or table of handles, got a function",
            "needs t.lua:7: include 'p': when: expected a handle, or a list or table of handles, got 1",
            "needs t.lua:7: include 'p': unless[1]: expected a handle, or a list or table of handles, got 2"),
        Refusal(
            "a graph that includes one that maps over it",
            "local y = handout.graph(\"y\")\ny:map(\"m\", { over = { 1 } }, g)\ng:include(y)",
            "script t.lua:6: graph 'x' was included at line 5: nothing can be added to it any more"),
        Refusal(
            "a task with the id of an include", "g:include(\"p\", handout.graph(\"y\"))\ng:task(\"p\", f)",
            "duplicate t.lua:5: task 'p': the id is taken: declared before at line 4"),
        Refusal(
            "mixed needs of a map over a graph",
            "local s = g:task(\"s\", f)\nlocal y = handout.graph(\"y\")\ny:input(\"name\")\ng:map(\"m\", { over = { 1 }, needs = { s, name = s } }, y)",
            "needs t.lua:7: map 'm': needs: expected either positions 1 to n or names, not both and no gaps"),
        Refusal(
            "needs of a map over a graph that are no handle",
            "local y = handout.graph(\"y\")\ny:input(\"name\")\ng:map(\"m\", { over = { 1 }, needs = 5 }, y)",
            "needs t.lua:6: map 'm': needs: expected a handle, or a list or table of handles, got 5"),
        Refusal(
            "a map over a graph without over", "local y = handout.graph(\"y\")\ny:task(\"a\", f)\ng:map(\"m\", {}, y)",
            "over t.lua:6: map 'm': option 'over' is missing: expected a list, a keyed table or a handle"),
        Refusal(
            "at without a key, nested by name",
            "local s = g:task(\"s\", f)\ng:task(\"a\", { needs = { x = { s:at() } } }, f)",
            "needs t.lua:5: task 'a': needs[\"x\"][1]: handle:at without a key, or of a function, is for maps"),
        Refusal(
            "at without a key in a reduce",
            "local s = g:task(\"s\", f)\ng:reduce(\"r\", { over = { 1 }, needs = { s:at() } }, f)",
            "needs t.lua:5: reduce 'r': needs[1]: handle:at without a key, or of a function, is for maps"),
        Refusal(
            "at without a key as over", "local s = g:task(\"s\", f)\ng:map(\"m\", { over = s:at() }, f)",
            "needs t.lua:5: map 'm': over: handle:at without a key, or of a function, is for maps"),
        Refusal(
            "at without a key as an output", "local s = g:task(\"s\", f)\ng:output(\"o\", s:at())",
            "needs t.lua:5: output \"o\": the handle: handle:at without a key, or of a function, is for maps"),
        Refusal(
            "at without a key as a condition of an include",
            "local s = g:task(\"s\", f)\nlocal y = handout.graph(\"y\")\ng:include(\"p\", y, {}, { when = s:at() })",
            "needs t.lua:6: include 'p': when: handle:at without a key, or of a function, is for maps"),
        Refusal(
            "at of a function of a library", "local s = g:task(\"s\", f)\ns:at(print)",
            "script t.lua:5: at: expected a string, an integer or a Lua function, got a function"),
        Refusal(
            "at with a dot", "local s = g:task(\"s\", f)\ns.at(1)",
            "script t.lua:5: at: expected a handle before the colon (h:at), got 1"),
        Refusal(
            "a captured element of a value", "local s = g:task(\"s\", f):at(1)\ng:task(\"a\", function() return s end)",
            "capture t.lua:5: task 'a': captured variable 's': a handle cannot be captured by a task (pass its value through needs)"
        ),
    ]
    + [
        "cpu = 1", "memory = \"1MiB\"", "gpu = 0", "resources = {}", "variants = { {} }", "where = {}", "near = {}",
        "worker = \"local\"", "retries = 1", "backoff = 1", "timeout = 1", "grant = {}", "reads = {}", "writes = {}",
        "always = true", "cache = true", "recover = f", "optional = true", "isolation = \"thread\"", "priority = 1",
        "estimate = 1",
    ]
    .map { option in
        let name = option.prefix { $0 != " " }
        return Refusal(
            "inline and \(name)", "g:task(\"a\", { inline = true, \(option) }, f)",
            "option t.lua:4: task 'a': option '\(name)' cannot be combined with inline: it is computed in each consumer"
        )
    }
