-- expect: ok | error | memory
return #assert(load("return " .. ("'x'.."):rep(190) .. "'x'"))()
