-- The same calls in a loop, without any graph: what stock Lua needs on one core.
-- usage: lua5.4 plain.lua BENCH N [BYTES]
-- Prints JSON: the tasks called, the result, and the CPU seconds of the calls (it never waits).
local bench, n, bytes = arg[1], tonumber(arg[2]), tonumber(arg[3] or 0)
local clock = os.clock

local function sum_of(values)
  local sum = 0
  for i = 1, #values do sum = sum + values[i] end
  return sum
end

local calls, result, begun = n + 1, nil, nil

if bench == "fanout" or bench == "map-runtime" then
  local function item(i) return i end
  local list, values = {}, {}
  for i = 1, n do list[i] = i end
  begun = clock()
  for i = 1, n do values[i] = item(list[i]) end
  result = sum_of(values)
elseif bench == "fanout-tasks" or bench == "plan" then
  local tasks, values = {}, {}
  for i = 1, n do tasks[i] = function() return i end end
  begun = clock()
  for i = 1, n do values[i] = tasks[i]() end
  result = sum_of(values)
elseif bench == "chain" then
  local function increment(x) return x + 1 end
  calls = n
  begun = clock()
  local values = { 1 }
  for i = 2, n do values[i] = increment(values[i - 1]) end
  result = values[n]
elseif bench == "tree" then
  local function add(a, b) return a + b end
  local level, count = {}, 0
  for i = 1, n do level[i] = function() return i end end
  calls = 2 * n - 1
  begun = clock()
  for i = 1, n do level[i] = level[i]() end
  while #level > 1 do
    local above = {}
    for i = 1, #level - 1, 2 do above[#above + 1] = add(level[i], level[i + 1]) end
    if #level % 2 == 1 then above[#above + 1] = level[#level] end
    level = above
  end
  result = level[1]
elseif bench == "payload" then
  local function length(_, _, text) return #text end
  local values = {}
  calls = n + 2
  begun = clock()
  local text = ("\0"):rep(bytes)
  for i = 1, n do values[i] = length(i, i, text) end
  result = sum_of(values)
elseif bench == "startup" then
  calls = 1
  begun = clock()
  result = (function() return 42 end)()
else
  error("no such bench: " .. tostring(bench))
end
local seconds = clock() - begun
print(string.format('{"calls":%d,"result":%d,"seconds":%.9f}', calls, result, seconds))
