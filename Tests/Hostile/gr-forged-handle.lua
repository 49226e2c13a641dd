-- expect: reject | ok:1
-- kind: script
local handout = require "handout"
local g = handout.graph("hostile")
g:task("out", { needs = { setmetatable({}, { __name = "handle" }) } }, function() return 1 end)
return g
