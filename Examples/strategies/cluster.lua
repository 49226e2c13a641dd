-- Ten workers of four kinds. `handout-lua simulate study.lua --cluster cluster.lua` runs the study on them in virtual time.
local handout = require "handout"
return handout.cluster {
  { name = "gpu", count = 2, cpu = 16, memory = "64GiB", gpu = 2, price = 4.8, labels = { role = "gpu" } },
  { name = "spot", count = 4, cpu = 8, memory = "32GiB", price = { { 0, 0.4 }, { "10m", 1.6 }, { "20m", 0.3 } },
    labels = { type = "spot" } },
  { name = "fixed", count = 3, cpu = 8, memory = "32GiB", price = 1.2, labels = { type = "fixed" } },
  { name = "old", cpu = 8, memory = "16GiB", speed = 0.5 },
  shared = { matlab = 3 },
  network = { bandwidth = "1GB/s", latency = "200us" },
}
