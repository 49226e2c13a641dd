-- expect: ok:1 | error | memory
for i = 1, 200000 do print(i, ("y"):rep(100)) end return 1
