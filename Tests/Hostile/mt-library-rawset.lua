-- expect: ok:"safe" | error
-- then: return string.evil == nil => ok:true
for _, library in ipairs{ string, table, math, coroutine, utf8 } do
  if pcall(rawset, library, "evil", 1) and rawget(library, "evil") then return "ESCAPED" end
end
return "safe"
