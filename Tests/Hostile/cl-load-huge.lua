-- expect: error | ok:nil | memory
return (load(("x = 1 "):rep(1000000)))
