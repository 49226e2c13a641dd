-- expect: timeout
local s = ("a"):rep(1000000) while true do s:gsub("a", function() end) end
