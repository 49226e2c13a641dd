-- expect: ok:"safe" | error
return string.dump == nil and "safe" or pcall(string.dump, function() end) and "ESCAPED" or "safe"
