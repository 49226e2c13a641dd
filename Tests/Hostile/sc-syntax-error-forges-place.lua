-- expect: reject
-- kind: script
local x = "a:1: b" = 1
