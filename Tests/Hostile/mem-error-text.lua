-- expect: error
error(("m"):rep(30000000))
