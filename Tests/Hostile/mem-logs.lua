-- expect: ok:1 | error | memory
-- why: logs are cut
local handout = require "handout" local s = ("x"):rep(100000) for i = 1, 2000 do handout.log("info", "%s", s) end return 1
