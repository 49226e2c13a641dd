-- HyperQueue/Slurm port: 10 000 runs of a solver, GPU or CPU, time limits, more memory after running out.
-- handout-lua run sweep.lua -p 'mach=0.1,0.2,0.3' -p seeds=100 --allow exec=./solver --keep-going
local handout = require "handout"
local g = handout.graph { name = "sweep", retries = 4, backoff = "5s" }
local mach  = handout.param("mach", { 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0 }, "Mach numbers")   -- list by default's type
local alpha = handout.param("alpha", { 0, 2, 4, 6, 8, 10, 12, 14, 16, 18 }, "angles, degrees")
local seeds = handout.param("seeds", 100, "repeats")

local points = {}
for _, m in ipairs(mach) do for _, a in ipairs(alpha) do for s = 1, seeds do
  points[#points + 1] = { mach = m, alpha = a, seed = s }
end end end

local runs = g:map("run", {
  over = points,
  variants = { { gpu = 1, cpu = 4 }, { cpu = 16 } },
  memory = function(_, attempt)
    return handout.bytes "2GiB" * 2 ^ attempt.counts.memory // 1
  end,
  timeout  = function(_, attempt) return attempt.ended == "timeout" and "2h" or "30m" end,
  estimate = "12m",
  optional = true,                                                     -- 3 bad points must not lose 9 997 good ones
  grant = { exec = { "./solver" } },
}, function(p)
  local where = handout.task.variant == 1 and "--gpu" or "--threads=16"
  local r = handout.exec { "./solver", where, "--mach", tostring(p.mach), "--alpha", tostring(p.alpha),
                           "--seed", tostring(p.seed), check = false, cwd = handout.task.scratch }
  if r.code == 12 then handout.retry("solver ran out of memory", { ended = "memory" }) end
  if r.code == 2 then handout.fail("diverged: " .. r.stderr:sub(1, 200)) end
  if r.code ~= 0 then error("solver: exit " .. r.code) end
  return { mach = p.mach, alpha = p.alpha, lift = tonumber(r.stdout:match "lift=(%S+)") }
end)

g:reduce("best", { over = runs, arity = 64 }, function(list)
  local best = {}
  for _, r in ipairs(list) do
    if r and (not best.lift or (r.lift or -1) > best.lift) then best = r end
  end
  return best
end)
g:task("table", { needs = { runs } }, function(all)
  local ok, lost = 0, 0
  for _, r in ipairs(all) do if r then ok = ok + 1 else lost = lost + 1 end end
  return { ok = ok, lost = lost }
end)
return g
