-- expect: error | memory
return #{ table.unpack({}, 1, 10000000) }
