-- One task makes a string of so many bytes, N tasks get it and give its length; one task adds the lengths up.
local handout = require "handout"
local g = handout.graph "payload"
local n = handout.param("n", 1000)
local bytes = handout.param("bytes", 1024)

local data = g:task("data", function() return ("\0"):rep(bytes) end)
local indices = {}
for i = 1, n do indices[i] = i end
local lengths = g:map("length", { over = indices, needs = { data } }, function(_, _, text) return #text end)
g:task("sum", { needs = { lengths } }, function(values)
  local sum = 0
  for i = 1, #values do sum = sum + values[i] end
  return sum
end)
return g
