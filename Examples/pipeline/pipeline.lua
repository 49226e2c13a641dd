-- Primes below a limit: the ranges are known only when the run has begun, each is a graph with a map of its own inside.
local handout = require "handout"

local range = handout.graph "range"
do
  local bounds = range:input "bounds"
  local blocks = range:task("blocks", { needs = bounds }, function(b)
    local list = {}
    for first = b.first, b.last, 250 do list[#list + 1] = { first, math.min(first + 249, b.last) } end
    return list
  end)
  local primes = range:map("sieve", { over = blocks }, function(block)
    local count, sum = 0, 0
    for n = math.max(2, block[1]), block[2] do
      local is_prime = true
      for d = 2, math.floor(math.sqrt(n)) do
        if n % d == 0 then is_prime = false break end
      end
      if is_prime then count, sum = count + 1, sum + n end
    end
    return { count = count, sum = sum }
  end)
  range:output("primes", range:reduce("add", { over = primes, arity = 2 }, function(list)
    local total = { count = 0, sum = 0 }
    for _, part in ipairs(list) do total.count, total.sum = total.count + part.count, total.sum + part.sum end
    return total
  end))
end

local g      = handout.graph "pipeline"
local limit  = handout.param("limit", 5000, "primes up to here")
local ranges = g:task("ranges", function()
  local list = {}
  for first = 1, limit, 1000 do list[#list + 1] = { first = first, last = math.min(first + 999, limit) } end
  return list
end)
local found = g:map("in", { over = ranges }, range)
g:reduce("primes", { over = found }, function(list)
  local total = { count = 0, sum = 0 }
  for _, part in ipairs(list) do total.count, total.sum = total.count + part.count, total.sum + part.sum end
  return total
end)
return g
