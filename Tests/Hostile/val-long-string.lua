-- expect: ok:true
-- kind: value
-- check: #v == 2 << 20 and v:sub(-2) == "\0\255"
(function() return ("\0\255"):rep(1 << 20) end)()
