-- expect: reject | timeout
-- kind: script
-- time: 0.3
-- why: planning that never returns, inside C
return (("a"):rep(250)):find(".-.-.-.-.-.-b")
