-- expect: ok | error
return os.date(("%c"):rep(100000)) and pcall(os.date, "%") and pcall(os.date, "%E") and true
