-- expect: ok:"safe"
for _, name in ipairs{ "io", "debug", "package", "dofile", "loadfile", "arg", "newproxy", "warn" } do
  if _G[name] ~= nil and name ~= "package" then
    local ok = type(_G[name]) == "function" and pcall(_G[name], "x")
    if ok then return name end
  end
end
for _, name in ipairs{ "execute", "exit", "getenv", "remove", "rename", "tmpname", "setlocale" } do
  if os[name] and pcall(os[name], "x") then return "os." .. name end
end
return "safe"
