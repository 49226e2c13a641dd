-- expect: ok:5
-- kind: script
local handout = require "handout"
local g = handout.graph("hostile")
local make = load("return function() return 5 end", "@t.lua")
g:task("out", make())
return g
