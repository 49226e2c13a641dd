-- expect: error | memory
local handout = require "handout" handout.retry(("m"):rep(30000000))
