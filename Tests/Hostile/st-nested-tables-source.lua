-- expect: error
return assert(load("return " .. ("{"):rep(10000) .. ("}"):rep(10000)))()
