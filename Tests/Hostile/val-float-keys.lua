-- expect: ok:true
-- kind: value
-- check: v[1.5] == 1 and v[-1] == 2 and v[2^53] == 3 and v[true] == 4 and v[""] == 5
{ [1.5] = 1, [-1] = 2, [2^53] = 3, [true] = 4, [""] = 5 }
