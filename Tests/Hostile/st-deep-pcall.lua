-- expect: error | ok
local function f(n) return pcall(f, n + 1) end return select(2, f(1)) and true
