-- expect: timeout
local s = "" while true do s = s .. "x" if #s > 100000 then s = "" end end
