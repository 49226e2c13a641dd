-- expect: reject | ok:1
-- kind: script
local handout = require "handout"
local g = handout.graph("hostile")
local a = g:task("\xc3\x28", function() return 1 end)
g:task("out", { needs = { a } }, function(x) return x end)
return g
