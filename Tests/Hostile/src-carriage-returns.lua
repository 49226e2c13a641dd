-- expect: ok:2
-- kind: script
local handout = require "handout"local g = handout.graph("hostile")g:task("one", function() return 1 end)g:task("out", function() return 2 end)return g
