-- expect: reject
-- why: a coroutine is no data
return coroutine.create(print)
