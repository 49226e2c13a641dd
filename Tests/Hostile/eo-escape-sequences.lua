-- expect: error
-- forbid: ‮
error("\27[2J\27]0;title\7 red \27[31m\r\n \u{202e}")
