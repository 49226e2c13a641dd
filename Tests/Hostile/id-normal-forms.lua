-- expect: ok:3
-- kind: script
-- why: ids are bytes: two normal forms are two ids
local handout = require "handout"
local g = handout.graph("hostile")
g:task("\u{e9}", function() return 1 end)
g:task("e\u{301}", function() return 2 end)
g:task("out", function() return 3 end)
return g
