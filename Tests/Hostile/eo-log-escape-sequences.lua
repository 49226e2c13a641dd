-- expect: ok:1
-- forbid: ‮
local handout = require "handout" handout.log("error", "%s", "\27[2J\7\u{202e}\n\r evil") print("\27[31m") return 1
