-- N tasks, each adds 1 to the result of the one before.
local handout = require "handout"
local g = handout.graph "chain"
local n = handout.param("n", 1000)

local function increment(x) return x + 1 end
local last = g:task("t1", function() return 1 end)
for i = 2, n do last = g:task("t" .. i, { needs = last }, increment) end
return g
