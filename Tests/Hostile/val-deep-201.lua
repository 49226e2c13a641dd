-- expect: reject
-- why: nested deeper than plain data may be
return (function() local t = {} for i = 1, 201 do t = { t } end return t end)()
