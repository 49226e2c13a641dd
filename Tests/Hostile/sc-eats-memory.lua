-- expect: reject
-- kind: script
-- why: planning has its own limit
local t = {} for i = 1, 1e9 do t[i] = { i } end
