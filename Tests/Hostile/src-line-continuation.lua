-- expect: ok:3
-- kind: script
local handout = require "handout"
local g = handout.graph("hostile")
g:task("out", function

(
)
return 3 end) g:task("b", function
() return 4 end)
return g
