-- Counts the words of a few texts: a map has one task a text, a reduction brings together what they give.
--
--   handout-lua run main.lua
--   handout-lua run main.lua -p least=6
local handout = require "handout"

local least = handout.param("least", 4, "words of fewer letters are not counted")

local texts = {
  "the quick brown fox jumps over the lazy dog",
  "a quick answer is not always the best answer",
  "over the hills and far away",
}

local g = handout.graph "words"

local counts = g:map("count", { over = texts, retries = 1 }, function(text)
  local count = {}
  for word in text:gmatch "%a+" do
    if #word >= least then count[word] = (count[word] or 0) + 1 end
  end
  return count
end)

-- What a reduction returns is what it is given on the next level: it must not matter how the counts are grouped.
local total = g:reduce("total", { over = counts }, function(list)
  local sum = {}
  for _, count in ipairs(list) do
    for word, n in pairs(count) do sum[word] = (sum[word] or 0) + n end
  end
  return sum
end)

g:output("words", total)
return g
