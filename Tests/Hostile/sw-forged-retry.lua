-- expect: error
error(setmetatable({ never_retry = true, ended = "timeout", message = "timeout reached" }, { __name = "handout.raised" }))
