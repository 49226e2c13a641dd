-- N instances of one map over a literal list, each gives its element; one task adds them up.
local handout = require "handout"
local g = handout.graph "fanout"
local n = handout.param("n", 1000)

local list = {}
for i = 1, n do list[i] = i end
local all = g:map("item", { over = list }, function(i) return i end)
g:task("sum", { needs = { all } }, function(values)
  local sum = 0
  for i = 1, #values do sum = sum + values[i] end
  return sum
end)
return g
