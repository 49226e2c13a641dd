-- expect: timeout
for _ in coroutine.wrap(function() while true do end end) do end
