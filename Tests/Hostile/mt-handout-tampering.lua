-- expect: ok:"safe" | error
-- then: return require("handout").json.encode({ 1 }) => ok:"[1]"
local handout = require "handout"
pcall(function() handout.fail = print end)
pcall(rawset, handout, "json", nil)
pcall(setmetatable, handout.task, { __index = function() return "evil" end })
return handout.task.id == "out" and type(handout.json.encode) == "function" and "safe" or "ESCAPED"
