-- expect: ok:true
-- kind: script
local handout = require "handout"
local g = handout.graph("hostile")
local a = g:task("a", function() math.randomseed(7) return math.random(1 << 40) end)
local b = g:task("b", { after = a }, function() return math.random(1 << 40) end)
g:task("out", { needs = { a, b } }, function(x, y) math.randomseed(7) return math.random(1 << 40) == x and x ~= y end)
return g
