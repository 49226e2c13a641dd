-- Whole jobs under mocks: scripts of Tests/Lua/scripts, and those of the folder HANDOUT_PORTS, when it is set.
local test = require "handout.test"

local own = debug.getinfo(1, "S").source:match "^@(.*/)" or ""
local ports = os.getenv "HANDOUT_PORTS"
local tests = {}

--- Answers as the programs of a variant-calling pipeline would, and notes what was called.
local function noting(calls, answer)
  return function(argv)
    calls[#calls + 1] = type(argv[1]) == "table" and argv[1][1] .. " | " .. argv[2][1] or argv[1]
    return answer and answer(argv) or {}
  end
end

local jobs = {}

function jobs.bio(script)
  local calls = {}
  local run = script:run { files = { ["reads/a.fastq.gz"] = "", ["reads/b.fastq.gz"] = "" }, exec = noting(calls) }
  assert(run.ok, run.failures[1] and run.failures[1].message)
  assert(run.outputs.merge.samples == 2 and run.outputs.merge.file == "all.vcf")
  assert(run.states["align[b]"] == "done" and run.states["call[a]"] == "done")
  assert(#calls == 7 and calls[1] == "bwa | samtools", table.concat(calls, ", "))
end

function jobs.blocks(script)
  local run = script:run()
  assert(run.ok and math.type(run.outputs.trace.sum) == "integer")
  assert(run.states["cell[1]/add"] == "done")
end

function jobs.sweep(script)
  local run = script:run { exec = function(argv)
    local alpha, seed = tonumber(argv[6]), tonumber(argv[8])
    if alpha == 2 and seed == 1 then return { code = 2, stderr = "diverged" } end
    return { stdout = ("lift=%d\n"):format(alpha * seed) }
  end, keep_going = true }
  assert(run.ok, "an optional failure is none of the run")
  assert(run.outputs.best.lift == 8 and run.outputs.table.lost == 1 and run.outputs.table.ok == 3)
  assert(#run.failures == 1 and run.failures[1].optional)
end

function jobs.make(script)
  local calls = {}
  local run = script:run { exec = noting(calls, function(argv) return { stdout = argv[2] or "" } end), files = {
    ["src/a.c"] = "", ["src/b.c"] = "", ["build/a.d"] = "build/a.o: src/a.c \\\n src/a.h\n", ["build/b.d"] = "b.o: b.c" } }
  assert(run.ok, run.failures[1] and run.failures[1].message)
  assert(run.outputs.test == "--self-test")
  assert(table.concat(calls, " ") == "cc cc ar cc build/app", table.concat(calls, " "))
end

function jobs.host(script)
  local run = script:run { host = { lookup_customer = function(id) return { name = "n" .. id } end } }
  assert(run.ok and run.outputs.rows[2].name == "n12" and run.outputs.rows[2].day == "friday")
end

local sizes = { mach = { 0.5 }, alpha = { 2, 4 }, seeds = 2 }
local scripts = {
  { "bio", "1-bio.lua", own .. "scripts/bio.lua" }, { "blocks", "2-dask.lua", own .. "scripts/blocks.lua" },
  { "sweep", "3-sweep.lua", own .. "scripts/sweep.lua", sizes }, { "make", "4-make.lua", own .. "scripts/make.lua" },
  { "host", "5-user-graph.lua", own .. "scripts/host.lua", { day = "friday" } },
}
for _, script in ipairs(scripts) do
  local job, port, copy, params = table.unpack(script)
  tests[job] = function() jobs[job](test.load(copy, params)) end
  if ports then tests[job .. ", of HANDOUT_PORTS"] = function() jobs[job](test.load(ports .. "/" .. port, params)) end end
end
if ports then
  tests["the tests of HANDOUT_PORTS"] = function()
    local passed, failed, entries = test.run_files({ ports .. "/7-etl_test.lua" }, true)
    assert(passed == 3 and failed == 0, entries[1].message)
  end
end

tests["a task by itself, with mocks"] = function()
  local script = test.load(own .. "scripts/make.lua")
  local files = { ["build/app"] = "" }
  assert(script:call("test", { "build/app" }, { files = files, exec = function(argv) return { stdout = argv[1] } end })
    == "build/app")
  local good, wrong = pcall(script.call, script, "test", { "build/other" }, { files = files, exec = function() end })
  assert(not good and wrong:find("'build/other' is not granted", 1, true), wrong)
end

tests["what is wrong with a test is said"] = function()
  local script = test.load(own .. "scripts/blocks.lua")
  local function says(expected, ...)
    local good, text = pcall(...)
    assert(not good and tostring(text):gsub("^.-_test%.lua:%d+: ", "") == expected, tostring(text))
  end
  says("no task 'plam' in graph 'matmul' (did you mean 'plan'?)", script.call, script, "plam")
  says("no task 'cell/ad' in graph 'cell' (did you mean 'add'?)", script.call, script, "cell/ad")
  says("'cell' has no function: it stands for graph 'cell'", script.call, script, "cell")
  says("mocks: unknown name 'file', expected one of env, exec, files, host, inputs, keep_going, replace, seed, targets",
    script.run, script, { file = {} })
  says("mocks: exec: expected a function, got a table", script.run, script, { exec = {} })
  says("parameter 'm' is not one of the script's", function() test.load(own .. "scripts/blocks.lua", { m = 1 }):run() end)
  says("test.load: 'nothing.lua': there is no such file", function() test.load "nothing.lua" end)
end

tests["other functions and inputs in place of the script's"] = function()
  local script = test.load(own .. "scripts/blocks.lua")
  local run = script:run { replace = { ["cell/add"] = function() return { { 1 } } end } }
  assert(run.outputs.trace.sum == 9, run.outputs.trace.sum)
  assert(script:call("cell/add", { {} }, { replace = { ["cell/add"] = function() return 5 end } }) == 5)
  assert(script:run({ targets = { "plan" } }).outputs.plan.k == 3)
end

return tests
