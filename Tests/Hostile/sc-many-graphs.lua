-- expect: ok:1
-- kind: script
local handout = require "handout"
for i = 1, 1000 do handout.graph("g" .. i) end
local g = handout.graph("hostile")
g:task("out", function() return 1 end)
return g
