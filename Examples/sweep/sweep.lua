-- A parameter sweep: the logistic map x -> r x (1 - x) for many rates, each a graph of its own with two tasks.
local handout = require "handout"

local one = handout.graph "rate"
do
  local rate  = one:input "rate"
  local orbit = one:task("orbit", { needs = rate }, function(r)
    local x, seen = 0.5, {}
    for step = 1, 2000 do
      x = r * x * (1 - x)
      if step > 1000 then seen[#seen + 1] = x end
    end
    return seen
  end)
  one:output("period", one:task("period", { needs = orbit }, function(seen)
    for period = 1, 64 do
      local is_period = true
      for i = 1, #seen - period do
        if math.abs(seen[i] - seen[i + period]) > 1e-6 then is_period = false break end
      end
      if is_period then return period end
    end
    return nil
  end))
end

local g     = handout.graph "sweep"
local rates = {}
for i = 0, handout.param("steps", 11, "how many rates, from 2.8 on") do rates[i + 1] = 2.8 + i / 10 end

local periods = g:map("at", { over = rates }, one)
g:task("table", { needs = periods, args = { rates } }, function(list, all)
  local rows = {}
  for i, rate in ipairs(all) do rows[i] = ("%.1f %s"):format(rate, list[i] or "none up to 64") end
  return rows
end)
return g
