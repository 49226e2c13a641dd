-- N declared tasks with two captured locals and options: what planning alone costs.
local handout = require "handout"
local g = handout.graph "plan"
local n = handout.param("n", 1000)

for i = 1, n do
  local factor = i % 10
  g:task("t" .. i, { retries = 1, timeout = 60 }, function() return i * factor end)
end
return g
