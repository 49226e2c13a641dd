import Testing

/// Refusals of what tasks take of workers, and of strategies.
let amountRefusals: [Refusal] = [
    // Resources
    Refusal(
        "a resource that no worker has", "g:task(\"a\", { resources = { matlab = 1, free = 0 } }, f)",
        "resources t.lua:4: task 'a': needs 1 matlab, more than any worker has: worker 'local' has 0"),
    Refusal(
        "a resource that no worker has, of the graph's defaults",
        "local y = handout.graph{ name = \"y\", resources = { matlab = 2 } }\ny:task(\"a\", f)",
        "resources t.lua:5: task 'a': needs 2 matlab, more than any worker has: worker 'local' has 0"),
    Refusal(
        "more than the graph's limit",
        "local y = handout.graph{ name = \"y\", limits = { db = 2 } }\ny:task(\"a\", { resources = { db = 3 } }, f)",
        "resources t.lua:5: task 'a': needs 3 db, more than the limit of graph 'y': 2"),
    Refusal(
        "resources that are no table", "g:task(\"a\", { resources = 3 }, f)",
        "option t.lua:4: task 'a': option 'resources': expected a table such as { licence = 1 }, got 3"),
    Refusal(
        "names of resources", "g:task(\"a\", { resources = { [\"a b\"] = 1, cpu = 2, [1] = 3 } }, f)",
        "option t.lua:4: task 'a': option 'resources': 'cpu' is an option of its own",
        "option t.lua:4: task 'a': option 'resources': a name is 1 to 200 letters, digits, '_', '-' and '/', got \"a b\"",
        "option t.lua:4: task 'a': option 'resources': a name is 1 to 200 letters, digits, '_', '-' and '/', got 1"),
    Refusal(
        "an amount of a resource below 0", "g:task(\"a\", { resources = { z = -1 } }, f)",
        "option t.lua:4: task 'a': option 'resources.z': expected a number from 0 to 1000000000, got -1"),
    Refusal(
        "gpu of a fraction above 1", "g:task(\"a\", { gpu = 1.5 }, f)",
        "option t.lua:4: task 'a': option 'gpu': above 1 it is a whole number, got 1.5"),
    Refusal(
        "limits that are no table", "handout.graph{ name = \"y\", limits = 3 }",
        "option t.lua:4: graph 'y': option 'limits': expected a table such as { licence = 1 }, got 3"),
    Refusal(
        "a limit that is a function", "handout.graph{ name = \"y\", limits = { db = f } }",
        "option t.lua:4: graph 'y': option 'limits.db': expected a number from 0 to 1000000000, got a function"),
    Refusal(
        "a weight of 0", "handout.graph{ name = \"y\", weight = 0 }",
        "option t.lua:4: graph 'y': option 'weight': expected a number above 0, at most 1000000000, got 0"),
    Refusal(
        "a deadline below 0", "handout.graph{ name = \"y\", deadline = -1 }",
        "option t.lua:4: graph 'y': option 'deadline': expected a duration such as \"1h30m\" or seconds, got -1"),

    // Variants
    Refusal(
        "variants that are no list", "g:task(\"a\", { variants = { x = 1 } }, f)",
        "option t.lua:4: task 'a': option 'variants': expected a list of 1 to 100 tables, got a table"),
    Refusal(
        "no variant", "g:task(\"a\", { variants = {} }, f)",
        "option t.lua:4: task 'a': option 'variants': expected a list of 1 to 100 tables, got a table"),
    Refusal(
        "a variant that is no table", "g:task(\"a\", { variants = { {}, 3 } }, f)",
        "option t.lua:4: task 'a': option 'variants[2]': expected a table such as { gpu = 1 }, got 3"),
    Refusal(
        "values of a variant",
        "g:task(\"a\", { variants = { { gpus = 1, memory = 5, cpu = \"x\", estimate = \"y\", resources = 2 } } }, f)",
        "option t.lua:4: task 'a': option 'variants[1]': unknown key \"gpus\" (did you mean 'gpu'?)",
        "option t.lua:4: task 'a': option 'variants[1].cpu': expected a number from 0 to 1000000000, got \"x\"",
        "option t.lua:4: task 'a': option 'variants[1].estimate': expected a duration such as \"1h30m\" or seconds, got \"y\"",
        "option t.lua:4: task 'a': option 'variants[1].memory': expected 0 or at least 1MiB, got 5 bytes",
        "option t.lua:4: task 'a': option 'variants[1].resources': expected a table such as { licence = 1 }, got 2"),
    Refusal(
        "names in a variant that are set outside",
        "g:task(\"a\", { cpu = 1, resources = { m = 1 }, variants = { { cpu = 2, resources = { m = 2, k = 1 } } } }, f)",
        "option t.lua:4: task 'a': option 'variants[1].cpu': it is set outside of variants too",
        "option t.lua:4: task 'a': option 'variants[1].resources.m': it is set outside of variants too",
        "resources t.lua:4: task 'a': needs 1 k, more than any worker has: worker 'local' has 0"),

    // Labels and paths
    Refusal(
        "where that is no table", "g:task(\"a\", { where = \"eu\" }, f)",
        "option t.lua:4: task 'a': option 'where': expected a table such as { zone = \"eu\" }, got \"eu\""),
    Refusal(
        "labels that are no strings", "g:task(\"a\", { where = { \"eu\", b = 3, c = {}, d = { \"x\", 1 } } }, f)",
        "option t.lua:4: task 'a': option 'where': labels are strings, got 1",
        "option t.lua:4: task 'a': option 'where.b': expected a string or a list of strings, got 3",
        "option t.lua:4: task 'a': option 'where.c': expected a string or a list of strings, got a table",
        "option t.lua:4: task 'a': option 'where.d': expected a string or a list of strings, got a table"),
    Refusal(
        "reads that are no list", "g:task(\"a\", { reads = \"x\", writes = { x = \"y\" } }, f)",
        "option t.lua:4: task 'a': option 'reads': expected a list of paths or a function, got \"x\"",
        "option t.lua:4: task 'a': option 'writes': expected a list of paths or a function, got a table"),
    Refusal(
        "paths that are none", "g:task(\"a\", { reads = { \"a\", 5, \"\", \"x\\0y\" } }, f)",
        "option t.lua:4: task 'a': option 'reads[2]': expected a path, got 5",
        "option t.lua:4: task 'a': option 'reads[3]': expected a path, got \"\"",
        "option t.lua:4: task 'a': option 'reads[4]': expected a path, got \"x\\x00y\""),

    // Amounts as functions
    Refusal(
        "a handle captured by an amount",
        "local s = g:task(\"s\", f)\ng:task(\"a\", { cpu = function() return s end }, f)",
        "capture t.lua:5: task 'a': captured variable 's': a handle cannot be captured by a task (pass its value through needs)"
    ),
    Refusal(
        "a graph captured by the amount of a resource",
        "g:task(\"a\", { resources = { q = function() return g end } }, f)",
        "capture t.lua:4: task 'a': captured variable 'g': a graph cannot be captured by a task"),
    Refusal(
        "an amount that is a function of a library", "g:task(\"a\", { cpu = print, reads = print }, f)",
        "option t.lua:4: task 'a': option 'cpu': expected a number from 0 to 1000000000, got a function",
        "option t.lua:4: task 'a': option 'reads': expected a list of paths or a function, got a function"),

    // Strategies
    Refusal(
        "a strategy that is not built in", "g:allocator(\"cots\")",
        "allocator t.lua:4: g:allocator: no strategy 'cots' is built in (did you mean 'cost'?)"),
    Refusal(
        "a strategy that is no name", "g:allocator(5)",
        "allocator t.lua:4: g:allocator: expected the name of a strategy, a function or a table, got 5"),
    Refusal(
        "a strategy in Lua that chooses nothing", "g:allocator { name = 's' }",
        "allocator t.lua:4: allocator 's': expected filter or score, or allocate, got none"),
    Refusal(
        "a strategy in Lua of both kinds", "g:allocator { score = f, allocate = f }",
        "allocator t.lua:4: g:allocator: expected filter or score, or allocate, got both"),
    Refusal(
        "a strategy with fields of other types",
        "g:allocator { name = 5, options = 5, per_task = 1, budget = 0, filter = 5, score = f, on_event = {} }",
        "allocator t.lua:4: g:allocator: field 'name': expected a string of 1 to 200 bytes, got 5",
        "allocator t.lua:4: g:allocator: field 'options': expected a table such as { patience = \"20m\" }, got 5",
        "allocator t.lua:4: g:allocator: field 'per_task': expected true or false, got 1",
        "allocator t.lua:4: g:allocator: field 'budget': expected a duration above 0, got 0",
        "allocator t.lua:4: g:allocator: field 'filter': expected a function, got 5",
        "allocator t.lua:4: g:allocator: field 'on_event': expected a function, got a table"),
    Refusal(
        "a strategy with an unknown field", "g:allocator { scor = f, score = f }",
        "allocator t.lua:4: g:allocator: unknown field \"scor\" (did you mean 'score'?)"),
    Refusal(
        "a strategy whose options are no data", "g:allocator { score = f, options = { a = f, ['b='] = 1 } }",
        "allocator t.lua:4: g:allocator: field 'options': names are strings without '=', ',' and spaces, got \"b=\"",
        "allocator t.lua:4: g:allocator: options.a: a function cannot be an option"),
    Refusal(
        "a strategy that scores each task and makes rounds", "g:allocator { allocate = f, per_task = true }",
        "allocator t.lua:4: g:allocator: field 'per_task': it is for filter and score"),
    Refusal(
        "options beside a strategy in Lua", "g:allocator(f, { a = 1 })",
        "allocator t.lua:4: g:allocator: options beside a name only: a table has them in its field 'options'"),
    Refusal(
        "a second strategy", "g:allocator(\"cost\", { deadline = \"1h\" })\ng:allocator(\"time\")",
        "allocator t.lua:5: g:allocator: graph 'x' has one, given at line 4"),
    Refusal(
        "options of a strategy that are no table", "g:allocator(\"cost\", 5)",
        "allocator t.lua:4: allocator 'cost': options: expected a table, got 5"),
    Refusal(
        "an option that the strategy has not", "g:allocator(\"cost\", { deadlin = \"1h\" })",
        "allocator t.lua:4: allocator 'cost': unknown option \"deadlin\", it has 'deadline'"),
    Refusal(
        "an option of a strategy that has none", "g:allocator(\"load-balanced\", { slack = 1 })",
        "allocator t.lua:4: allocator 'load-balanced': unknown option \"slack\", it has none"),
    Refusal(
        "an option of a strategy that is no duration", "g:allocator(\"time\", { budget = \"x\" })",
        "allocator t.lua:4: allocator 'time': option 'budget': expected a duration such as \"1h30m\" or seconds, got \"x\""
    ),
]
