import Testing

/// Refusals of conditions, inputs, graphs in graphs, and elements of values.
let graphRefusals: [Refusal] =
    [
        // Conditions
        Refusal(
            "when and unless that are no handles", "g:task(\"a\", { when = 1, unless = { 2 } }, f)",
            "needs t.lua:4: task 'a': when: expected a handle, or a list or table of handles, got 1",
            "needs t.lua:4: task 'a': unless[1]: expected a handle, or a list or table of handles, got 2"),
        Refusal(
            "near that is no handle", "g:task(\"a\", { near = \"x\" }, f)",
            "needs t.lua:4: task 'a': near: expected a handle, or a list or table of handles, got \"x\""),
        Refusal(
            "when of another graph", "local s = handout.graph(\"y\"):task(\"s\", f)\ng:task(\"a\", { when = s }, f)",
            "needs t.lua:5: task 'a': when: handle of another graph 'y', expected one of 'x'"),
        Refusal(
            "flags that are no booleans", "g:task(\"a\", { always = 1, optional = \"y\", inline = 3 }, f)",
            "option t.lua:4: task 'a': option 'always': expected true or false, got 1",
            "option t.lua:4: task 'a': option 'inline': expected true or false, got 3",
            "option t.lua:4: task 'a': option 'optional': expected true or false, got \"y\""),
        Refusal(
            "recover that is no function", "g:task(\"a\", { recover = 4 }, f)",
            "option t.lua:4: task 'a': option 'recover': expected a Lua function, got 4"),
        Refusal(
            "recover of a library", "g:task(\"a\", { recover = print }, f)",
            "option t.lua:4: task 'a': option 'recover': expected a Lua function, got a function"),
        Refusal(
            "a graph captured by recover", "g:task(\"a\", { recover = function() return g end }, f)",
            "capture t.lua:4: task 'a': captured variable 'g': a graph cannot be captured by a task"),
        Refusal(
            "when without a predicate", "g:when(\"w\", {})",
            "function t.lua:4: when 'w': expected a Lua function as last argument, got nil"),
        Refusal(
            "when over a list", "g:when(\"w\", { over = {} }, f)",
            "option t.lua:4: when 'w': unknown option 'over'"),

        // Inputs
        Refusal(
            "an input without a value", "g:input(\"i\")",
            "input t.lua:4: input 'i' is not given and has no default (--input i=JSON gives it)"),
        Refusal(
            "an input whose default is a function", "g:input(\"i\", f)",
            "input t.lua:4: input 'i': default: a function cannot be an input"),
        Refusal(
            "an input whose default is a handle", "local s = g:task(\"s\", f)\ng:input(\"i\", s)",
            "input t.lua:5: input 'i': default: expected plain data, got a handle"),
        Refusal(
            "an input whose name is no id", "g:input(\"a b\", 1)",
            "id t.lua:4: input \"a b\": \(idRule)"),
        Refusal(
            "an input whose name is no string", "g:input(5)",
            "id t.lua:4: input: the id is a string, got 5"),
        Refusal(
            "an input whose name is taken", "g:task(\"i\", f)\ng:input(\"i\", 1)",
            "duplicate t.lua:5: input 'i': the id is taken: declared before at line 4"),

        // Included graphs
        Refusal(
            "a graph that includes itself", "g:include(g)",
            "script t.lua:4: include 'x': a graph cannot include itself"),
        Refusal(
            "graphs that include each other", "local y = handout.graph(\"y\")\ng:include(y)\ny:include(g)",
            "script t.lua:6: graph 'y' was included at line 5: nothing can be added to it any more"),
        Refusal(
            "a graph that includes one that maps over it",
            "local y = handout.graph(\"y\")\ny:map(\"m\", { over = { 1 } }, g)\ng:include(y)",
            "script t.lua:6: graph 'x' was included at line 5: nothing can be added to it any more"),
        Refusal(
            "something that is no graph", "g:include(\"p\", 5)",
            "script t.lua:4: include 'p': expected a graph, got 5"),
        Refusal(
            "inputs that are no table", "g:include(\"p\", handout.graph(\"y\"), 5)",
            "script t.lua:4: include 'p': inputs: expected a table, got 5"),
        Refusal(
            "options of an include that are no table", "g:include(\"p\", handout.graph(\"y\"), {}, 5)",
            "script t.lua:4: include 'p': options: expected a table, got 5"),
        Refusal(
            "unknown options of an include", "g:include(\"p\", handout.graph(\"y\"), {}, { near = 1, whn = 2 })",
            "option t.lua:4: include 'p': unknown option 'near'",
            "option t.lua:4: include 'p': unknown option 'whn' (did you mean 'when'?)"),
        Refusal(
            "unknown inputs",
            "local y = handout.graph(\"y\")\ny:input(\"name\", 1)\ng:include(\"p\", y, { nam = 1, zzzz = 2 })",
            "input t.lua:6: include 'p': unknown input \"nam\" (did you mean 'name'?)",
            "input t.lua:6: include 'p': unknown input \"zzzz\""),
        Refusal(
            "an input that is missing", "local y = handout.graph(\"y\")\ny:input(\"name\")\ng:include(\"p\", y)",
            "input t.lua:6: include 'p': input 'name' is not given and has no default"),
        Refusal(
            "an input that is bound to a function",
            "local y = handout.graph(\"y\")\ny:input(\"name\")\ng:include(\"p\", y, { name = f })",
            "input t.lua:6: include 'p': inputs[\"name\"]: a function cannot be an input"),
        Refusal(
            "an input that is bound to a handle of the included graph",
            "local y = handout.graph(\"y\")\ny:input(\"name\")\nlocal h = y:task(\"h\", f)\ng:include(\"p\", y, { name = h })",
            "needs t.lua:7: include 'p': inputs[\"name\"]: handle of another graph 'y', expected one of 'x'"),
        Refusal(
            "conditions of an include, each said once",
            "local y = handout.graph(\"y\")\ny:task(\"a\", f)\ny:task(\"b\", f)\ng:include(\"p\", y, {}, { when = 1, unless = { 2 }, after = f })",
            "needs t.lua:7: include 'p': after: expected a handle, or a list or table of handles, got a function",
            "needs t.lua:7: include 'p': when: expected a handle, or a list or table of handles, got 1",
            "needs t.lua:7: include 'p': unless[1]: expected a handle, or a list or table of handles, got 2"),
        Refusal(
            "an include whose id is taken", "g:task(\"p\", f)\ng:include(\"p\", handout.graph(\"y\"))",
            "duplicate t.lua:5: include 'p': the id is taken: declared before at line 4"),
        Refusal(
            "a task with the id of an include", "g:include(\"p\", handout.graph(\"y\"))\ng:task(\"p\", f)",
            "duplicate t.lua:5: task 'p': the id is taken: declared before at line 4"),
        Refusal(
            "a task of a graph that was included", "local y = handout.graph(\"y\")\ng:include(y)\ny:task(\"b\", f)",
            "script t.lua:6: graph 'y' was included at line 5: nothing can be added to it any more"),
        Refusal(
            "an output of a graph that was mapped over",
            "local y = handout.graph(\"y\")\nlocal h = y:task(\"a\", f)\ng:map(\"m\", { over = { 1 } }, y)\ny:output(\"b\", h)",
            "script t.lua:7: graph 'y' was included at line 6: nothing can be added to it any more"),

        // Maps over graphs
        Refusal(
            "a map of a graph over itself", "g:map(\"m\", { over = { 1 } }, g)",
            "include t.lua:4: map 'm': a graph cannot include itself"),
        Refusal(
            "options that a map over a graph has not",
            "local y = handout.graph(\"y\")\ny:task(\"a\", f)\ng:map(\"m\", { over = { 1 }, retries = 2, wen = 3 }, y)",
            "option t.lua:6: map 'm': unknown option 'retries'",
            "option t.lua:6: map 'm': unknown option 'wen' (did you mean 'when'?)"),
        Refusal(
            "an input that nothing is bound to",
            "local y = handout.graph(\"y\")\ny:input(\"a\")\ny:input(\"b\")\ny:input(\"c\")\ng:map(\"m\", { over = { 1 } }, y)",
            "input t.lua:8: map 'm': input 'c' of graph 'y' is not given and has no default"),
        Refusal(
            "a named need that is no input",
            "local s = g:task(\"s\", f)\nlocal y = handout.graph(\"y\")\ny:input(\"name\")\ng:map(\"m\", { over = { 1 }, needs = { nam = s } }, y)",
            "input t.lua:7: map 'm': unknown input \"nam\" (did you mean 'name'?)"),
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

        // Elements of values
        Refusal(
            "at without a key outside of a map", "local s = g:task(\"s\", f)\ng:task(\"a\", { needs = { s:at() } }, f)",
            "needs t.lua:5: task 'a': needs[1]: handle:at without a key, or of a function, is for maps"),
        Refusal(
            "at without a key, nested by name",
            "local s = g:task(\"s\", f)\ng:task(\"a\", { needs = { x = { s:at() } } }, f)",
            "needs t.lua:5: task 'a': needs[\"x\"][1]: handle:at without a key, or of a function, is for maps"),
        Refusal(
            "at of a function outside of a map", "local s = g:task(\"s\", f)\ng:task(\"a\", { needs = s:at(f) }, f)",
            "needs t.lua:5: task 'a': needs: handle:at without a key, or of a function, is for maps"),
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
            "at of a handle of another graph",
            "local s = handout.graph(\"y\"):task(\"s\", f)\ng:task(\"a\", { needs = { s:at(1) } }, f)",
            "needs t.lua:5: task 'a': needs[1]: handle of another graph 'y', expected one of 'x'"),
        Refusal(
            "at of a table", "local s = g:task(\"s\", f)\ns:at({})",
            "script t.lua:5: at: expected a string, an integer or a Lua function, got a table"),
        Refusal(
            "at of a fraction", "local s = g:task(\"s\", f)\ns:at(1.5)",
            "script t.lua:5: at: expected a string, an integer or a Lua function, got 1.5"),
        Refusal(
            "at of a boolean", "local s = g:task(\"s\", f)\ns:at(true)",
            "script t.lua:5: at: expected a string, an integer or a Lua function, got true"),
        Refusal(
            "at of a function of a library", "local s = g:task(\"s\", f)\ns:at(print)",
            "script t.lua:5: at: expected a string, an integer or a Lua function, got a function"),
        Refusal(
            "at with a dot", "local s = g:task(\"s\", f)\ns.at(1)",
            "script t.lua:5: at: expected a handle before the colon (h:at), got 1"),
        Refusal(
            "a graph captured by a function of at",
            "local s = g:task(\"s\", f)\ng:map(\"m\", { over = { 1 }, needs = { s:at(function() return g end) } }, f)",
            "capture t.lua:5: task 's': captured variable 'g': a graph cannot be captured by a task"),
        Refusal(
            "a captured element of a value", "local s = g:task(\"s\", f):at(1)\ng:task(\"a\", function() return s end)",
            "capture t.lua:5: task 'a': captured variable 's': a handle cannot be captured by a task (pass its value through needs)"
        ),
    ]
    + [
        "cpu = 1", "memory = \"1MiB\"", "gpu = 0", "resources = {}", "variants = { {} }", "where = {}",
        "worker = \"local\"",
        "near = {}", "retries = 1", "backoff = 1", "timeout = 1", "grant = {}", "reads = {}", "writes = {}",
        "always = true",
        "cache = true", "recover = f", "optional = true", "isolation = \"thread\"", "priority = 1", "estimate = 1",
    ]
    .map { option in
        let name = option.prefix { $0 != " " }
        return Refusal(
            "inline and \(name)", "g:task(\"a\", { inline = true, \(option) }, f)",
            "option t.lua:4: task 'a': option '\(name)' cannot be combined with inline: it is computed in each consumer"
        )
    }
