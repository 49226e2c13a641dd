-- expect: reject
-- why: a table that contains itself
local t = {} t[1] = t return t
