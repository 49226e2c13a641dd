-- expect: reject
-- kind: script
coroutine.yield(1)
