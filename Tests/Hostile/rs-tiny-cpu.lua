-- expect: ok:1
-- kind: script
local handout = require "handout"
local g = handout.graph("hostile")
g:task("out", { cpu = 0.00001, memory = 0 }, function() return 1 end)
return g
