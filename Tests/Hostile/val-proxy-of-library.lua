-- expect: reject | ok
-- why: a library table handed on
return string
