-- expect: ok:"safe"
local handout = require "handout"
for _, path in ipairs{ "/etc/passwd", "../../../../etc/passwd", "/proc/self/mem", "/dev/zero", "./../../etc/hostname", "", "\0", ".ssh/x" } do
  if pcall(handout.fs.read, path) then return path end
end
return "safe"
