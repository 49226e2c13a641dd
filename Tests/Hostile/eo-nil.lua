-- expect: error
error()
