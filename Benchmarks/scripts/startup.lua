-- One task: from the start of the program to its first result.
local handout = require "handout"
local g = handout.graph "startup"
g:task("answer", function() return 42 end)
return g
