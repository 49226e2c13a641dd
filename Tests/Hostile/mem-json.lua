-- expect: error | memory | timeout
local handout = require "handout" local t = {} for i = 1, 18 do t = { t, t } end return #handout.json.encode{ t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t }
