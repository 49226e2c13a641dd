-- GPU workers are for tasks with a GPU, and are filled one after the other: the fullest that still fits goes first.
local handout = require "handout"
return handout.allocator {
  name = "gpu-first",
  filter = function(task, worker)
    if worker.total.gpu and not task.amounts.gpu then return false, "a GPU worker is kept for GPU tasks" end
    return true
  end,
  score = function(task, worker)
    local left = 0
    for name, amount in pairs(task.amounts) do
      local total = worker.total[name]
      if total and total > 0 then left = left + (worker.free[name] - amount) / total end
    end
    return -left
  end,
}
