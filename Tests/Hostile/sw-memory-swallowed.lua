-- expect: memory
-- why: pcall catches the memory limit for ever
local keep = {}
while true do pcall(function() for i = 1, 1e9 do keep[#keep + 1] = { i } end end) end
