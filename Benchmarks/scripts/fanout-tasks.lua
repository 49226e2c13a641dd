-- N declared tasks, each gives the number it captured; one task adds them up.
local handout = require "handout"
local g = handout.graph "fanout-tasks"
local n = handout.param("n", 1000)

local tasks = {}
for i = 1, n do tasks[i] = g:task("t" .. i, function() return i end) end
g:task("sum", { needs = { tasks } }, function(values)
  local sum = 0
  for i = 1, #values do sum = sum + values[i] end
  return sum
end)
return g
