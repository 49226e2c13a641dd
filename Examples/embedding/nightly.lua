-- What a user of the Swift program writes.
local handout = require "handout"
local acme = require "acme" -- a module that the program adds
local day = handout.param { name = "day", type = "string", help = "which day" }

local g = handout.graph "nightly"
local ids = g:task("ids", function() return acme.customers end)
local rows = g:map("row", { over = ids, retries = 2, grant = { host = { "lookup_customer" } } }, function(id, i)
  handout.progress(i / 3, "customer " .. id)
  local customer = handout.host.lookup_customer(id)
  return { id = id, name = customer.name, day = day }
end)
g:output("rows", rows)
return g
