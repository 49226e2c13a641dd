-- expect: ok:true
-- kind: script
local handout = require "handout"
local g = handout.graph("hostile")
local a = g:task("a", function() pcall(function() leak = 1 end) pcall(rawset, _G, "leak", 1) return 1 end)
g:task("out", { needs = { a } }, function() return leak == nil end)
return g
