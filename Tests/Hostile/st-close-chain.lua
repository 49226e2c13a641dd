-- expect: ok | error
-- why: 1e64c139: coroutines closed in each other
local co
for i = 1, 300 do
  local inner = co
  co = coroutine.create(function() local x <close> = setmetatable({}, { __close = function() if inner then coroutine.close(inner) end end }) coroutine.yield() end)
  coroutine.resume(co)
end
return (pcall(coroutine.close, co))
