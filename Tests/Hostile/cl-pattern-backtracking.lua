-- expect: timeout
-- why: in C no deadline is seen
return (("a"):rep(250)):find(".-.-.-.-.-.-b")
