-- expect: reject | ok
-- kind: script
local handout = require "handout"
local g = handout.graph("hostile")
g:map("out", { over = setmetatable({}, { __len = function() return 1 << 40 end }) }, function(x) return x end)
return g
