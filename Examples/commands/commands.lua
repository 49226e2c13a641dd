-- Commands of the machine as tasks: the longest words of some texts, each by a pipeline of tr, sort and uniq.
--
--   handout-lua run Examples/commands/commands.lua --dir /usr/share/common-licenses --allow exec=tr,sort,uniq
local handout = require "handout"

local g     = handout.graph "commands"
local files = handout.param("files", { "GPL-2", "GPL-3" }, "texts, beneath the run directory")

local words = g:map("words", { over = files, grant = { exec = { "tr", "sort", "uniq" } }, timeout = "1m" }, function(file)
  local result = handout.exec{
    { "tr", "-cs", "A-Za-z", "\n" }, { "sort" }, { "uniq" },
    stdin_file = file, env = { LC_ALL = "C" },
  }
  return result.stdout
end)

g:map("longest", { over = words }, function(text)
  local longest = ""
  for word in text:gmatch "%a+" do
    if #word > #longest then longest = word end
  end
  return longest
end)
return g
