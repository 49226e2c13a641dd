-- expect: timeout
local t = {} while true do for i = 1, 1000 do t["k" .. i] = i end t = {} end
