-- expect: error
-- kind: script
local handout = require "handout"
local g = handout.graph("hostile")
local t = { 1 }
local a = g:task("a", function() t[1] = 2 return 1 end)
g:task("out", { after = a }, function() return t[1] end)
return g
