-- expect: ok:nil | error
return (load("\27Lua\84\0\25\147\13\10\26\10", "x", "b"))
