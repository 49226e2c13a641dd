-- expect: reject
-- kind: script
local handout = require "handout"
local g = handout.graph("hostile")
g:task("out", setmetatable({ retries = 1 }, { __index = error, __pairs = error }), function() return 1 end)
g:task("out", function() end)
return g
