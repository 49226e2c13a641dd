-- expect: reject
-- kind: script
local handout = require "handout"
local g = handout.graph("hostile")
local t = {}
t.t = t
g:task("out", { needs = t }, function() return 1 end)
return g
