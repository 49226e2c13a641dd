-- Cheap workers first; dear ones only while the run would otherwise be late.
local handout = require "handout"
return handout.allocator {
  name = "spot-aware",
  options = { most = 1.0, patience = "5m" },              -- the most an hour of a spot worker may cost
  allocate = function(ready, workers, context)
    local sorted = {}
    for i = 1, #workers do sorted[i] = workers[i] end
    table.sort(sorted, function(a, b)
      local left, right = a.price / a.speed, b.price / b.speed
      if left ~= right then return left < right end
      return a.id < b.id
    end)
    local left = context.deadline and context.deadline - context.now
    local out = {}
    for class in ready:classes() do
      local late = left and left < 2 * class.rank
      for _, worker in ipairs(sorted) do
        local dear = worker.labels.type == "spot" and worker.price > context.options.most
        local room = worker:fits(class)
        if room > 0 and (late or not dear) then
          for task in class:take(room) do out[#out + 1] = { task = task, worker = worker } end
        end
      end
    end
    return out
  end,
}
