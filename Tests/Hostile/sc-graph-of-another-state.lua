-- expect: reject
-- kind: script
return setmetatable({}, { __name = "handout.graph" })
