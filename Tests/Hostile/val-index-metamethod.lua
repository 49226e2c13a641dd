-- expect: ok:true
-- kind: value
-- check: v[1] == 1 and v[2] == nil and getmetatable(v) == nil
setmetatable({ 1 }, { __index = error, __len = error, __pairs = error, __eq = error, __close = error, __mode = "kv" })
