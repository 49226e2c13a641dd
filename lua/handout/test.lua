--- `require "handout.test"`: tests of graph scripts, with what is outside of them replaced.
---
---   local test = require "handout.test"
---   local script = test.load("graph.lua", { day = "2026-11-22" })
---   return {
---     ["a page has ten rows"] = function() assert(script:call("rows", { { page = 1 }, 1 }) == 10) end,
---     ["all of it"] = function() assert(script:run { env = { TOKEN = "x" } }.ok) end,
---   }
---
--- A file of tests returns a table of name → function; one that raises fails. `handout-lua test` runs such files; so does
--- `lua5.4 lua/handout/test.lua FILE…`. docs/oracle.md lists the mocks.

local source_of_this = debug.getinfo(1, "S").source
local is_program = arg and arg[0] and source_of_this == "@" .. arg[0]
if is_program then
  local lua = arg[0]:match "^(.*)handout/test%.lua$" or "./"
  package.path = lua .. "?.lua;" .. package.path
end

local handout = require "handout"
local test = {}
if is_program then package.loaded["handout.test"] = test end

-- ---- Loading and calling --------------------------------------------------------------------------------------------

local Script = {}
Script.__index = Script

local known_mocks = { replace = "table", inputs = "table", env = "table", exec = "function", host = "table",
  files = "table", targets = "table", keep_going = "boolean", seed = "number" }

local function known_names()
  local names = {}
  for name in handout.sorted(known_mocks) do names[#names + 1] = name end
  return table.concat(names, ", ")
end

--- Refuses what is no mock, or of another type.
local function checked(mocks, level)
  if mocks == nil then return {} end
  if type(mocks) ~= "table" then error("mocks: expected a table, got a " .. type(mocks), level) end
  for name, value in pairs(mocks) do
    local expected = known_mocks[name]
    if not expected then
      error(("mocks: unknown name '%s', expected one of %s"):format(tostring(name), known_names()), level)
    elseif type(value) ~= expected then
      error(("mocks: %s: expected a %s, got a %s"):format(name, expected, type(value)), level)
    end
  end
  for _, name in ipairs { "replace", "host" } do
    for key, fn in pairs(mocks[name] or {}) do
      if type(fn) ~= "function" then
        error(("mocks: %s['%s']: expected a function, got a %s"):format(name, tostring(key), type(fn)), level)
      end
    end
  end
  for path, text in pairs(mocks.files or {}) do
    if type(path) ~= "string" or type(text) ~= "string" then
      error(("mocks: files['%s']: expected a text by path"):format(tostring(path)), level)
    end
  end
  return mocks
end

--- The names of mocks, as keys.
function test.mocks() return known_mocks end

local function exists(path)
  local file = io.open(path)
  return file and file:close() and true or false
end

--- A script from its file: relative to the current directory, else beside the file that calls.
---
--- `params`: name → value, as `-p` gives them. Raises when there is no such file. The script itself is planned anew for
--- each `call` and `run`, with the mocks of that one, so nothing is left over from one to the next.
function test.load(path, params)
  if type(path) ~= "string" then error("test.load: expected a path, got a " .. type(path), 2) end
  if params ~= nil and type(params) ~= "table" then
    error("test.load: params: expected a table, got a " .. type(params), 2)
  end
  if not exists(path) and not path:find "^/" then
    local beside = (debug.getinfo(2, "S").source:match "^@(.*/)" or "") .. path
    if not exists(beside) then error(("test.load: '%s': there is no such file"):format(path), 2) end
    path = beside
  end
  local given = {}
  for name, value in pairs(params or {}) do given[name] = { value = value } end
  return setmetatable({ path = path, given = given }, Script)
end

local function planned(script, mocks)
  return handout.pure.load { script = script.path, given = script.given, seed = mocks.seed, mocks = mocks }
end

--- Runs one task's function with these arguments; returns its result, or raises its message.
---
--- `id` is the declared name, of included and mapped graphs too: `region/table/rows`. Of a map the arguments begin with
--- element and key, of a reduce with the list; `args` of the task are not added. Retries, conditions and `recover` have
--- no effect.
function Script:call(id, arguments, mocks)
  if type(id) ~= "string" then error("call: expected the name of a task, got a " .. type(id), 2) end
  if arguments ~= nil and type(arguments) ~= "table" then
    error("call: expected a list of arguments, got a " .. type(arguments), 2)
  end
  mocks = checked(mocks, 3)
  local value, failure = handout.pure.call(planned(self, mocks), id, arguments, mocks.replace)
  if failure then error(failure.message, 0) end
  return value
end

--- Runs the whole graph, one task after the other.
---
--- Returns `{ ok, outputs, failures, tasks, states }`: `outputs` are Lua values by name (empty when a failure ended the
--- run), `failures` a list as the reference has it, `tasks` the counts `done failed skipped cached`, `states` `"done"`,
--- `"failed"` or `"skipped"` by full name.
function Script:run(mocks)
  mocks = checked(mocks, 3)
  local result = handout.pure.perform(planned(self, mocks), mocks)
  return { ok = result.ok, outputs = result.values or {}, failures = result.failures, tasks = result.tasks,
    states = result.states }
end

-- ---- Running files of tests -----------------------------------------------------------------------------------------

--- Text with its control characters as `\x1B`, but for tabs and line ends.
local function shown(text)
  return (text:gsub("[^\t\n\32-\126\128-\255]", function(c) return ("\\x%02X"):format(c:byte()) end))
end

local function indented(text) return "  " .. shown(text):gsub("\n", "\n  ") .. "\n" end

--- What a test raised, and from where. No line of this file.
local function failure_of(raised)
  local message = raised
  if type(raised) == "table" and rawget(raised, "message") then message = rawget(raised, "message") end
  if type(message) ~= "string" then message = "raised " .. tostring(message) end
  local traceback = debug.traceback("", 2):gsub("%s+%[C%]: in function 'xpcall'.*", ""):gsub("^\n", "")
  return { message = message, traceback = traceback }
end

--- Reports one test: `{ file, name, ok, seconds, message, traceback }`.
local function run_one(file, name, fn, report)
  local begun = os.clock()
  local good, failure = xpcall(fn, failure_of)
  local entry = { file = file, name = name, ok = good, seconds = os.clock() - begun }
  if not good then entry.message, entry.traceback = failure.message, failure.traceback end
  report(entry)
end

--- A file's table of tests; raises what is wrong with the file.
local function tests_of(file)
  local chunk, wrong = loadfile(file, "t")
  if not chunk then error(wrong, 0) end
  local tests = chunk(file)
  if type(tests) ~= "table" then
    error(("%s: a test file returns a table of name and function, got a %s"):format(file, type(tests)), 0)
  end
  for name, fn in pairs(tests) do
    if type(name) ~= "string" or type(fn) ~= "function" then
      error(("%s: test '%s': expected a function by name, got a %s"):format(file, tostring(name), type(fn)), 0)
    end
  end
  return tests
end

--- Runs the tests of a file, by name. `report` is called with each; a file that cannot be loaded is one that failed.
function test.run_file(file, report)
  local folder, path = file:match "^(.*/)" or "", package.path
  package.path = ("%s?.lua;%slua_modules/?.lua;%slua_modules/?/init.lua;"):format(folder, folder, folder) .. path
  local good, tests = xpcall(tests_of, failure_of, file)
  if good then
    for name, fn in handout.sorted(tests) do run_one(file, name, fn, report) end
  else
    report { file = file, name = "", ok = false, seconds = 0.0, message = tests.message, traceback = tests.traceback }
  end
  package.path = path
end

--- Runs files, prints a line a test on standard output, and returns how many passed and failed and all entries.
---
--- What the tests print goes to standard error. With `quietly` nothing is printed.
function test.run_files(paths, quietly)
  local passed, failed, entries, print_before = 0, 0, {}, print
  function print(...)
    local texts = table.pack(...)
    for i = 1, texts.n do texts[i] = tostring(texts[i]) end
    io.stderr:write(table.concat(texts, "\t"), "\n")
  end
  for _, file in ipairs(paths) do
    test.run_file(file, function(entry)
      entries[#entries + 1] = entry
      if entry.ok then passed = passed + 1 else failed = failed + 1 end
      if quietly then return end
      local name = entry.name ~= "" and ": " .. entry.name or ""
      io.stdout:write(entry.ok and "ok " or "FAILED ", shown(entry.file .. name):gsub("\n", "\\n"), "\n")
      if not entry.ok then io.stdout:write(indented(entry.message), indented(entry.traceback)) end
      io.stdout:flush()
    end)
  end
  print = print_before
  return passed, failed, entries
end

--- `3 tests passed`, `2 of 3 tests failed`.
function test.summary(passed, failed)
  local all = passed + failed
  local tests = all == 1 and "1 test" or ("%d tests"):format(all)
  return failed == 0 and tests .. " passed" or ("%d of %s failed"):format(failed, tests)
end

--- Text for JSON: bytes that are not UTF-8 are question marks.
local function clean(text) return utf8.len(text) and text or (text:gsub("[\128-\255]", "?")) end

--- Runs one file for `handout-lua test`: `passed failed`, and with `as_json` the entries as JSON objects.
function test.report(file, as_json)
  local passed, failed, entries = test.run_files({ file }, as_json)
  local texts = {}
  for i, entry in ipairs(as_json and entries or {}) do
    for key, value in pairs(entry) do
      if type(value) == "string" then entry[key] = clean(value) end
    end
    texts[i] = handout.json.encode(entry)
  end
  return ("%d %d %s"):format(passed, failed, table.concat(texts, ","))
end

if is_program then
  local passed, failed = test.run_files(arg)
  io.stdout:write(test.summary(passed, failed), "\n")
  os.exit(failed == 0 and passed > 0 and 0 or 1, true)
end

return test
