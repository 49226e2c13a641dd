-- expect: error | timeout | memory
local t = setmetatable({}, { __len = function() return 1 << 40 end }) table.insert(t, 1, 0)
