-- expect: ok:2
-- kind: script
local handout = require "handout"
local g = handout.graph("hostile")
local a = function() return 1 end --[[ function() return 3 end ]] local b = function() return 2 end
g:task("one", a)
g:task("out", b)
return g
