-- expect: ok:"safe" | error
-- then: return other_name == nil => ok:true
pcall(setmetatable, _G, { __index = function() return 1 end }) return undefined_name == nil and "safe" or "ESCAPED"
