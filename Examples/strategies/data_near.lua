-- A task goes where most of its inputs are, unless the time to move them is less than what a faster worker saves.
local handout = require "handout"
return handout.allocator {
  name = "data-near", per_task = true,
  score = function(task, worker)
    local moved = task.input_bytes - worker:has(task)
    local seconds = moved / (worker.bandwidth or 100e6)
    return -seconds - (task.estimate or 1) / worker.speed - 0.01 * worker.running
  end,
}
