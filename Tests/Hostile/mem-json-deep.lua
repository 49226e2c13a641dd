-- expect: error
local handout = require "handout" return handout.json.decode(("["):rep(1000000))
