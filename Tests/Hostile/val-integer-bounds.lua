-- expect: ok:true
-- kind: value
-- check: v[1] == math.mininteger and math.type(v[2]) == "integer" and v[3] == 2^53 and math.type(v[4]) == "float" and 1 / v[5] == -math.huge and v[7] == 5e-324
{ math.mininteger, math.maxinteger, 2^53, 2^63, -0.0, 1e308, 5e-324 }
