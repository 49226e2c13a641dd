-- expect: ok:1
-- kind: script
local handout = require "handout"
local g = handout.graph("hostile")
local s = g:task("s", function() return { 1 } end)
local function change(v) v[1] = v[1] + 1 return v[1] end
local a, b = g:task("a", { needs = { s } }, change), g:task("b", { needs = { s } }, change)
g:task("out", { needs = { s, a, b } }, function(v, x, y) return x == 2 and y == 2 and v[1] end)
return g
