-- Run by: handout-lua test
local test = require "handout.test"
local script = test.load "main.lua"

return {
  ["short words are not counted"] = function()
    local count = script:call("count", { "the lazy lazy dog", 1 })
    assert(count.lazy == 2 and count.dog == nil)
  end,
  ["counts are added up"] = function()
    local sum = script:call("total", { { { a = 1 }, { a = 2, b = 1 } } })
    assert(sum.a == 3 and sum.b == 1)
  end,
  ["the whole graph, with words of six letters or more"] = function()
    local run = test.load("main.lua", { least = 6 }):run()
    assert(run.ok)
    assert(run.outputs.words.answer == 2 and run.outputs.words.quick == nil)
  end,
}
