-- expect: reject | memory | timeout
-- why: a value that doubles at each level when written out
return (function() local t = { 1 } for i = 1, 60 do t = { t, t } end return t end)()
