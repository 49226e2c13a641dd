-- expect: ok:1 | error | memory
for i = 1, 20000 do print(i, ("y"):rep(1000)) end return 1
