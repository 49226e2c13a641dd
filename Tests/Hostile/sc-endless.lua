-- expect: reject
-- kind: script
-- time: 0.3
while true do end
