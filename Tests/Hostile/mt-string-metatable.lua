-- expect: ok:"safe" | error
-- then: return ("x"):upper() => ok:"X"
local mt = getmetatable("")
if type(mt) == "table" then mt.__index = nil end
return ("x"):upper() == "X" and "safe" or "ESCAPED"
