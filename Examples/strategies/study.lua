-- A study whose parts want different things: many plain tasks, some with a GPU, some with one of few licences.
local handout = require "handout"
local g = handout.graph "study"
local n = handout.param("n", 40, "samples")

local samples = {}
for i = 1, n do samples[i] = i end

local clean = g:map("clean", { over = samples, cpu = 1, memory = "2GiB", estimate = "40s" }, function(x) return x end)
local fit = g:map("fit", { over = clean, cpu = 2, resources = { matlab = 1 }, estimate = "1m" }, function(x) return 2 * x end)
local net = g:map("net", { over = clean, cpu = 1, gpu = 0.5, estimate = "90s" }, function(x) return 3 * x end)
g:task("report", { needs = { fit, net }, estimate = "20s" }, function(fits, nets) return #fits + #nets end)
return g
