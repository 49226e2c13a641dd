---@meta handout.test

-- Annotations for the Lua language server: tests of scripts. Nothing runs here.

---What stands in for the world outside of a script.
---@class handout.test.Mocks
---@field replace? table<string, fun(...: any): any> functions in place of tasks', by declared name: `region/tables`
---@field inputs? table<string, handout.Data> of the graph
---@field env? table<string, string> all that `handout.env` finds
---@field exec? fun(argv: (string|string[])[]): handout.test.Answer in place of programs; of a pipeline a list of lists
---@field host? table<string, fun(...: any): any> functions of the embedding program
---@field files? table<string, string> text by path: all files there are, for `handout.fs`, `glob` and `read`
---@field targets? string[] only these and what they need
---@field keep_going? boolean goes on after a failure
---@field seed? integer of `math.random`, default 0

---What a mocked program came to. What is missing is 0 or "".
---@class handout.test.Answer
---@field code? integer
---@field signal? integer
---@field stdout? string
---@field stderr? string
---@field seconds? number
---@field codes? integer[] of a pipeline

---@class handout.test.Run
---@field ok boolean
---@field outputs table<string, any> by name; empty when a failure ended the run
---@field failures handout.Failure[]
---@field tasks { done: integer, failed: integer, skipped: integer, cached: integer }
---@field states table<string, "done"|"failed"|"skipped"> by full name

---@class handout.test.Script
local Script = {}

---Runs one task's function; returns its result, or raises its message. Grants are checked.
---@param id string declared name; of included and mapped graphs too: `region/table/rows`
---@param arguments? any[] of a map: element, key, needs; of a reduce: the list, needs
---@param mocks? handout.test.Mocks
---@return any
function Script:call(id, arguments, mocks) end

---Runs the whole graph, one task after the other.
---@param mocks? handout.test.Mocks
---@return handout.test.Run
function Script:run(mocks) end

---@class handout.test
local test = {}

---A script from its file: relative to the current folder, else beside the file that calls.
---@param path string
---@param params? table<string, handout.Data>
---@return handout.test.Script
function test.load(path, params) end

return test
