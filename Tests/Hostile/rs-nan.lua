-- expect: reject
-- kind: script
local handout = require "handout"
local g = handout.graph("hostile")
g:task("out", { cpu = 0/0, timeout = 0/0, priority = 0/0, retries = 0/0 }, function() return 1 end)
return g
