-- lua/handout.d.lua and lua/handout.test.d.lua say what there is: no option, call or field more or less.
local handout = require "handout"

local folder = (debug.getinfo(1, "S").source:match "^@(.*/)" or "./") .. "../../lua/"

local function read(name)
  local file = assert(io.open(folder .. name))
  local text = file:read "a"
  file:close()
  assert(load(text, "@" .. name, "t"))
  return text
end

local text = read "handout.d.lua"

--- The fields of a class and of its parent, as a set.
local function class(name, from)
  local fields, parent, inside
  for line in (from or text):gmatch "[^\n]*" do
    local head, rest = line:match "^%-%-%-@class (%S+)(.*)"
    if head then inside = head == name end
    if head == name then fields, parent = {}, rest:match "^ : (%S+)" end
    if not line:find "^%-%-%-" then inside = false end
    local field = inside and line:match "^%-%-%-@field ([%a_]+)"
    if field then fields[field] = true end
  end
  if not fields then error("no class " .. name, 2) end
  for field in pairs(parent and class(parent, from) or {}) do fields[field] = true end
  return fields
end

local function functions(prefix, from)
  local names = {}
  for name in (from or text):gmatch("\nfunction " .. prefix .. "([%a_]+)%(") do names[name] = true end
  return names
end

--- Raises where two sets differ.
local function same(what, annotated, known)
  for name in pairs(known) do
    if not annotated[name] then error(("%s: '%s' is not annotated"):format(what, name), 2) end
  end
  for name in pairs(annotated) do
    if not known[name] then error(("%s: '%s' is annotated, but there is none"):format(what, name), 2) end
  end
  assert(next(known), what)
end

local function set(list)
  local names = {}
  for _, name in ipairs(list) do names[name] = true end
  return names
end

local known = handout.pure.known()

return {
  ["options"] = function()
    same("g:task", class "handout.TaskOptions", known.options.task)
    same("g:when", class "handout.TaskOptions", known.options.when)
    same("g:map", class "handout.MapOptions", known.options.map)
    same("g:reduce", class "handout.ReduceOptions", known.options.reduce)
    same("g:map over a graph", class "handout.GraphMapOptions", known.options["map over a graph"])
    same("g:include", class "handout.IncludeOptions", known.options.include)
    same("handout.graph", class "handout.GraphOptions", known.options.graph)
    same("handout.param", class "handout.ParameterOptions", known.options.param)
    same("grant", class "handout.Grant", known.options.grant)
    same("handout.exec", class "handout.Command", known.options.exec)
    same("variants", class "handout.Variant", set { "cpu", "memory", "gpu", "resources", "estimate" })
    same("backoff", class "handout.Backoff", set { "first", "factor", "max" })
  end,
  ["calls"] = function()
    local calls = functions "handout."
    local tables = class "handout"
    for name in pairs(handout) do
      if name == "pure" then goto continue end
      local is_call = type(handout[name]) == "function"
      if not (is_call and calls or tables)[name] then error(("handout.%s is not annotated"):format(name)) end
      ::continue::
    end
    for name in pairs(calls) do assert(type(handout[name]) == "function", name) end
    for name in pairs(tables) do assert(handout[name] ~= nil, name) end
    same("handout.fs", functions "fs%.", known.fs)
    same("handout.json", functions "json%.", handout.json)
    same("g", functions "Graph:", known.graph)
    same("handle", functions "Handle:", set { "at" })
  end,
  ["what a task sees"] = function()
    local fields = class "handout.Task"
    for _, name in ipairs { "id", "name", "key", "attempt", "retries_left", "run", "worker", "variant", "amounts", "indices",
      "scratch", "deadline", "missing" } do
      assert(fields[name], name)
      fields[name] = nil
    end
    assert(next(fields) == nil, next(fields))
    same("failure", class "handout.Failure", set { "kind", "message", "task", "attempt", "worker", "file", "line", "value",
      "optional" })
  end,
  ["what strategies, cluster files and trackers have"] = function()
    local strategy = "name options per_task budget filter score allocate on_event"
    local worker = "name count cpu memory gpu resources price speed labels lifetime joins trackers"
    local tracker = "name provides scope every grant register probe request release"
    local view = "id name key attempt priority amounts variants where near estimate rank input_bytes consumers waited "
      .. "retries_left class"
    local worker_view = "id labels total free running price speed remaining idle bandwidth lost"
    local expected = { Strategy = strategy, Worker = worker, Tracker = tracker, TaskView = view, WorkerView = worker_view,
      Context = "now deadline run spent seed options", Placement = "task worker variant", Claim = "task attempt amounts" }
    for name, words in pairs(expected) do
      local fields = {}
      for word in words:gmatch "%S+" do fields[word] = true end
      same(name, class("handout." .. name), fields)
    end
  end,
  ["events"] = function()
    local kinds = {}
    for kind in text:match "@alias handout.EventKind\n(.-)\n\n":gmatch '| "([%a_]+)"' do kinds[#kinds + 1] = kind end
    assert(#kinds == 18, #kinds)
  end,
  ["handout.test"] = function()
    local own = read "handout.test.d.lua"
    same("mocks", class("handout.test.Mocks", own), require("handout.test").mocks())
    same("script", functions("Script:", own), set { "call", "run" })
    same("test", functions("test%.", own), set { "load" })
    same("run", class("handout.test.Run", own), set { "ok", "outputs", "failures", "tasks", "states" })
  end,
  ["everything has a text"] = function()
    local before
    for line in text:gmatch "[^\n]*" do
      local name = line:match "^function ([%w.:_]+)%("
      if name then assert(before:find "^%-%-%-", name .. " has no text") end
      before = line
    end
  end,
}
