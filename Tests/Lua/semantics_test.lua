-- What failures, conditions, inputs and included graphs mean in the pure-Lua edition.
local handout = require "handout"

local head = 'local handout = require "handout"\nlocal g = handout.graph "x"\n'

local function run(body, options)
  options = options or {}
  options.source, options.name = head .. body .. "\nreturn g\n", "t.lua"
  return handout.pure.run(options)
end

local function equal(got, expected)
  local a, b = handout.json.encode(got), handout.json.encode(expected)
  if a ~= b then error(("expected %s, got %s"):format(b, a), 2) end
end

local function refused(body, message)
  local good, text = pcall(run, body)
  assert(not good, "not refused")
  if text ~= message then error(("expected %q, got %q"):format(message, tostring(text)), 2) end
end

local keep = function() return { keep_going = true } end
local failing = [[
local a = g:map("a", { over = { 1, 2, 3 } }, function(x) if x == 2 then error "two" end return x end)
]]

return {
  ["a map over a map goes element by element"] = function()
    local result = run(failing .. 'g:output("b", g:map("b", { over = a }, function(x) return x * 10 end))', keep())
    equal(result.values, { b = { 10, false, 30 } })
    equal(result.states, { a = "failed", b = "skipped", ["a[1]"] = "done", ["a[2]"] = "failed", ["a[3]"] = "done",
      ["b[1]"] = "done", ["b[2]"] = "skipped", ["b[3]"] = "done" })
    equal(result.tasks, { done = 4, failed = 1, skipped = 1, cached = 0 })
  end,
  ["with always the element that failed is absent"] = function()
    local result = run(failing .. 'g:map("b", { over = a, always = true }, function(x) return x == nil end)', keep())
    equal(result.values.b, { false, true, false })
  end,
  ["a reduce over a map with a failed element is skipped, with always it is false"] = function()
    local body = failing .. 'g:reduce("r", { over = a, arity = 2, always = %s }, function(l) return l end)'
    equal(run(body:format "false", keep()).states.r, "skipped")
    equal(run(body:format "true", keep()).values.r, { { 1, false }, { 3 } })
  end,
  ["a good instance of a map that failed can be picked"] = function()
    local result = run(failing .. [[
      g:task("one", { needs = { a:at(3) } }, function(x) return x end)
      g:task("whole", { needs = { a } }, function() end)]], keep())
    equal(result.values.one, 3)
    equal({ result.states.one, result.states.whole }, { "done", "skipped" })
  end,
  ["a graph that was included is sealed"] = function()
    refused([[local h = handout.graph "h"
h:task("t", function() end)
g:include("i", h)
h:task("u", function() end)]], "t.lua:6: graph 'h' was included at line 5: nothing can be added to it any more")
    refused([[local h = handout.graph "h"
g:map("m", { over = {} }, h)
h:input("u")]], "t.lua:5: graph 'h' was included at line 4: nothing can be added to it any more")
  end,
  ["near refers to a task but does not need it"] = function()
    local body = 'local a = g:task("a", function() error "ran" end)\ng:task("b", { near = a }, function() return 1 end)'
    equal(run(body, { targets = { "b" } }).values, { b = 1 })
    local result = run(body, keep())
    equal(result.values, { b = 1 })
    equal(result.states, { a = "failed", b = "done" })
  end,
  ["inline is refused together with what only an attempt of its own can have"] = function()
    local values = { cpu = "2", memory = "1", gpu = "1", resources = "{ x = 1 }", variants = "{}", worker = '"w"',
      where = "{}", near = "nil", retries = "1", backoff = "1", timeout = "1", grant = "{}", reads = "{}", writes = "{}",
      always = "true", cache = "true", recover = "f", optional = "true", isolation = '"thread"', priority = "1",
      estimate = "1" }
    values.near = 'g:task("n", f)'
    for name, value in pairs(values) do
      refused(('local f = function() end\ng:task("x", { inline = true, %s = %s }, f)'):format(name, value),
        ("t.lua:4: task 'x': option '%s' cannot be combined with inline: it is computed in each consumer"):format(name))
    end
  end,
  ["running out of memory is retried with more of it only, handout.fail never"] = function()
    local body = [[local function full() handout.retry("full", { ended = "memory" }) end
      g:task("fixed", { retries = 3, memory = "1GiB" }, full)
      g:task("same", { retries = 3, memory = function() return "2GiB" end }, full)
      g:task("none", { retries = 3, memory = function(_, a) return a.number == 1 and 0 or "255MiB" end }, full)
      g:task("more", { retries = 3, memory = function(_, a) return a.number << 30 end }, full)
      g:task("final", { retries = 3 }, function() handout.fail "no" end)]]
    local found = {}
    for i, failure in ipairs(run(body, keep()).failures) do
      found[i] = { failure.task, failure.attempt, failure.kind, failure.message }
    end
    local words = "option 'memory': %s is no more than was not enough before: %s"
    equal(found, { { "fixed", 1, "memory", "full" }, { "same", 2, "memory", words:format("2GiB", "2GiB") },
      { "none", 2, "memory", words:format("255MiB", "256MiB") }, { "more", 4, "memory", "full" },
      { "final", 1, "error", "no" } })
  end,
  ["parts of outputs of included graphs, of inputs, and of parts"] = function()
    local result = run([[
      local h = handout.graph "h"
      local list = h:input "list"
      h:output("all", h:task("all", { needs = { list } }, function(l) return { l, n = #l } end))
      h:output("first", h:task("first", { needs = { list:at(1) } }, function(x) return x end))
      local outputs = g:include("i", h, { list = { "p", "q" } })
      local inner = g:task("deep", function() return { a = { 5, 6 } } end)
      g:task("t", { needs = { outputs.all:at "n", outputs.all:at(1):at(2), outputs.first, inner:at "a":at(2) } },
        function(...) return { ... } end)]])
    equal(result.values.t, { 2, "q", "p", 6 })
    refused('g:task("a", function() end):at(1.5)', "t.lua:3: at: expected a string, an integer or a function, got 1.5")
  end,
  ["a condition that is not met makes a task absent, and missing says so"] = function()
    local result = run([[
      local no = g:when("no", {}, function() return nil end)
      local a = g:task("a", { when = no }, function() return 1 end)
      local b = g:task("b", { optional = true }, function() error "b" end)
      g:task("c", { needs = { a, b } }, function(x, y) return { x, y, missing = handout.task.missing } end)
      g:task("d", { needs = { l = { a } } }, function(i) return i.l end)]])
    equal(result.ok, true)
    equal(result.values.c, { missing = { "skipped", "failed" } })
    equal(result.values.d, { false })
    equal({ result.states.a, result.states.b, result.states.no }, { "skipped", "failed", "done" })
  end,
  ["a reduce over a map looks at its conditions before it waits for the instances"] = function()
    local result = run([[
      local yes = g:task("yes", function() return true end)
      local m = g:map("m", { over = { 1 } }, function() error "m" end)
      local r = g:reduce("r", { over = m, unless = yes }, function(list) return list end)
      local s = g:reduce("s", { over = m, when = yes }, function(list) return list end)
      g:task("after_r", { needs = { r } }, function() return "ran" end)
      g:task("after_s", { needs = { s } }, function() return "ran" end)]], { keep_going = true })
    equal(result.states["after_r"], "done")
    equal(result.states["after_s"], "skipped")
  end,
  ["literal reads come after the task that writes the file"] = function()
    local result = run([[
      local order = {}
      g:task("last", { reads = { "b" }, grant = { read = { "." } } }, function() return handout.fs.read "b" end)
      g:task("mid", { reads = { "a" }, writes = { "b" } }, function()
        handout.fs.write("b", handout.fs.read "a" .. "b")
      end)
      g:task("first", { writes = { "a" } }, function() handout.fs.write("a", "a") end)]], { mocks = { files = {} } })
    equal(result.values, { last = "ab" })
    refused([[g:task("a", { reads = { "x" }, writes = { "y" } }, function() end)
g:task("b", { reads = { "y" }, writes = { "x" } }, function() end)]], "graph 'x': a cycle: a -> b -> a")
  end,
  ["what never started is skipped"] = function()
    local result = run 'local a = g:task("a", function() error "x" end)\ng:task("b", { needs = { a } }, function() end)'
    equal(result.states, { a = "failed", b = "skipped" })
    equal({ result.failures[1].file, result.failures[1].line, result.failures[1].message }, { "t.lua", 3, "t.lua:3: x" })
  end,
}
