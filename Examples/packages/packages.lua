-- What the package manager did, by action and by day: a log of it is cut into chunks, each is counted, a tree adds up.
--
--   handout-lua run Examples/packages/packages.lua --dir /var/log
--
-- Another file of lines "date time action package ...": --dir FOLDER -p file=NAME
local handout = require "handout"

local g    = handout.graph "packages"
local file = handout.param("file", "dpkg.log", "log to read, beneath the run directory")

local chunks = g:task("read", function() return handout.fs.lines(file, { chunk = 500 }) end)

local counted = g:map("count", { over = chunks }, function(text)
  local count = { days = {}, actions = {} }
  for day, action in text:gmatch "(%d+%-%d+%-%d+) %S+ (%S+)[^\n]*" do
    count.days[day] = (count.days[day] or 0) + 1
    count.actions[action] = (count.actions[action] or 0) + 1
  end
  return count
end)

g:reduce("total", { over = counted, arity = 4 }, function(list)
  local sum = { days = {}, actions = {} }
  for _, count in ipairs(list) do
    for what, of in pairs(count) do
      for key, n in pairs(of) do sum[what][key] = (sum[what][key] or 0) + n end
    end
  end
  return sum
end)
return g
