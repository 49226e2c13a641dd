-- Licences are never idle: tasks that hold one go to the fastest worker, all others keep off those.
local handout = require "handout"
return handout.allocator {
  name = "licences-busy",
  score = function(task, worker)
    local fast = worker.speed / (1 + worker.running)
    if task.amounts.matlab then return fast end
    return -fast
  end,
}
