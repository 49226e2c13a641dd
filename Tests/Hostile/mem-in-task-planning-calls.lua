-- expect: error | memory | ok
-- why: calls of planning must not be a way around the memory limit
local handout = require "handout"
local s = ("x"):rep(1000000)
for i = 1, 2000 do handout.param("p" .. i, s .. i) end
return 1
