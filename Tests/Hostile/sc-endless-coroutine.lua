-- expect: reject
-- kind: script
-- time: 0.3
coroutine.wrap(function() while true do pcall(function() while true do end end) end end)()
