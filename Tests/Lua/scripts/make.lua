-- Make port: incremental C build with headers found by the compiler.
-- handout-lua run make.lua app --allow exec=cc,ar      (targets; `run make.lua test` builds and tests)
local handout = require "handout"
local g      = handout.graph "build"
local cc     = handout.param("CC", "cc", "compiler")
local cflags = handout.param("CFLAGS", { "-O2", "-Wall" }, "compiler flags")
local dir    = handout.param("out", "build", "where objects go")

local function run(argv) for _, f in ipairs(cflags) do table.insert(argv, 2, f) end; return handout.exec(argv) end
local function headers(text)                                           -- a depfile: "a.o: a.c a.h \<newline> b.h"
  local list = {}
  for word in text:gsub("\\\r?\n", " "):gsub("^[^:]*:", ""):gmatch "%S+" do list[#list + 1] = word end
  return list
end

local objects = {}
for _, c in ipairs(handout.glob "src/*.c") do
  local name = c:match "([^/]+)%.c$"
  local obj, dep = dir .. "/" .. name .. ".o", dir .. "/" .. name .. ".d"
  g:task("cc-" .. handout.id(name), {
    reads = { c }, writes = { obj, dep }, grant = { exec = { cc } },
  }, function()
    run { cc, "-MMD", "-MF", dep, "-c", c, "-o", obj }
    handout.reads(headers(handout.fs.read(dep)))
  end)
  objects[#objects + 1] = obj
end


local lib = g:task("lib", { reads = objects, writes = { dir .. "/libapp.a" }, grant = { exec = { "ar" } } }, function()
  handout.exec { "ar", "rcs", dir .. "/libapp.a", table.unpack(objects) }
end)
local app = g:task("app", { reads = { dir .. "/libapp.a" }, writes = { dir .. "/app" }, grant = { exec = { cc } } }, function()
  run { cc, "-o", dir .. "/app", dir .. "/libapp.a" }
  return dir .. "/app"
end)
g:task("test", { needs = { app }, grant = { exec = { dir .. "/app" } }, cache = false }, function(path)
  return handout.exec({ path, "--self-test" }).stdout
end)
return g
