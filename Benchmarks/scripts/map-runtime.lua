-- A map over a list that a task makes, N elements; one task adds the results up.
local handout = require "handout"
local g = handout.graph "map-runtime"
local n = handout.param("n", 1000)

local list = g:task("list", { memory = "1GiB" }, function()
  local values = {}
  for i = 1, n do values[i] = i end
  return values
end)
local all = g:map("item", { over = list }, function(i) return i end)
g:task("sum", { needs = { all } }, function(values)
  local sum = 0
  for i = 1, #values do sum = sum + values[i] end
  return sum
end)
return g
