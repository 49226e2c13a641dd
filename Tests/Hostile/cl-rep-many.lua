-- expect: error | memory
local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1 << 24) end
