-- expect: error
-- kind: script
local handout = require "handout"
local g = handout.graph("hostile")
g:task("out", { retries = 100 }, function() error("again") end)
return g
