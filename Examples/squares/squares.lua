local handout = require "handout"

local g = handout.graph "squares"
local n = handout.param("n", 4, "how many numbers")

local numbers = {}
for i = 1, n do numbers[i] = i end

local squares = g:map("square", { over = numbers }, function(i) return i * i end)
local sum     = g:reduce("sum", { over = squares }, function(list)
  local sum = 0
  for _, square in ipairs(list) do sum = sum + square end
  return sum
end)
g:task("report", { needs = { squares, sum } }, function(list, total)
  return { squares = list, total = total }
end)
return g
