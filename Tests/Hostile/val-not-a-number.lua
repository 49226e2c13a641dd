-- expect: ok:true
-- kind: value
-- check: v[1] ~= v[1] and v[2] == math.huge and v[3] == -math.huge
{ 0/0, 1/0, -1/0 }
