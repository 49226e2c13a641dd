-- expect: timeout
-- why: __close runs while the limit error unwinds
local function spin() local x <close> = setmetatable({}, { __close = function() while true do end end }) while true do end end
while true do pcall(spin) end
