-- Counts the words of some texts: a task a text reads it, a task a text counts it, a tree of tasks adds the counts up.
--
--   handout-lua run Examples/wordcount/wordcount.lua --dir /usr/share/common-licenses
--
-- The licence texts are on every Debian. Any other texts: --dir FOLDER -p files=a.txt,b.txt
local handout = require "handout"

local g     = handout.graph "wordcount"
local files = handout.param("files", {
  "Apache-2.0", "Artistic", "BSD", "GFDL-1.3", "GPL-1", "GPL-2", "GPL-3", "LGPL-2.1", "LGPL-3", "MPL-1.1", "MPL-2.0",
}, "texts to count, beneath the run directory")
local most  = handout.param("most", 20, "words to show")

local texts = g:map("read", { over = files }, function(path)
  return handout.fs.lines(path, { chunk = 100 })  -- a list: one string of 100 lines an element
end)

local counts = g:map("count", { over = texts, timeout = "30s" }, function(chunks)
  local count = {}
  for _, chunk in ipairs(chunks) do
    for word in chunk:gmatch "%a+" do
      word = word:lower()
      count[word] = (count[word] or 0) + 1
    end
  end
  return count
end)

local total = g:reduce("merge", { over = counts, arity = 4 }, function(list)
  local sum = {}
  for _, count in ipairs(list) do
    for word, n in pairs(count) do sum[word] = (sum[word] or 0) + n end
  end
  return sum
end)

local top = g:task("top", { needs = { total } }, function(sum)
  local words, all = {}, 0
  for word, n in pairs(sum) do
    words[#words + 1] = { word = word, count = n }
    all = all + n
  end
  local distinct = #words
  table.sort(words, function(a, b)
    if a.count ~= b.count then return a.count > b.count end
    return a.word < b.word
  end)
  return { words = all, distinct = distinct, top = table.move(words, 1, math.min(most, distinct), 1, {}) }
end)

g:output("top", top)
return g
