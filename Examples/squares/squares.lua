local handout = require "handout"

local g = handout.graph "squares"
local n = handout.param("n", 4, "how many numbers")

local numbers = {}
for i = 1, n do numbers[i] = i end

local squares = g:map("square", { over = numbers }, function(i) return i * i end)
local sum     = g:reduce("sum", { over = squares }, function(list)
  local total = 0
  for _, square in ipairs(list) do total = total + square end
  return total
end)
g:task("report", { needs = { squares, sum } }, function(list, total)
  return { squares = list, total = total }
end)
return g
