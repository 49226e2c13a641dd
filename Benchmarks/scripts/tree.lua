-- Addition of the numbers 1 to N in a binary tree of declared tasks: 2N - 1 tasks.
local handout = require "handout"
local g = handout.graph "tree"
local n = handout.param("n", 1000)

local level = {}
for i = 1, n do level[i] = g:task("leaf" .. i, function() return i end) end
local function add(a, b) return a + b end
local depth = 0
while #level > 1 do
  local above = {}
  depth = depth + 1
  for i = 1, #level - 1, 2 do
    above[#above + 1] = g:task("node" .. depth .. "." .. i, { needs = { level[i], level[i + 1] } }, add)
  end
  if #level % 2 == 1 then above[#above + 1] = level[#level] end
  level = above
end
g:output("sum", level[1])
return g
