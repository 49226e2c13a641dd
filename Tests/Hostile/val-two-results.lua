-- expect: reject
-- why: more than one result
return 1, 2
