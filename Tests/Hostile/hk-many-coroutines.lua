-- expect: timeout | memory
local all = {} while true do local co = coroutine.wrap(function() coroutine.yield() end) co() all[#all % 1000 + 1] = co end
