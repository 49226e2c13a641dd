-- Grants, files, programs and the mocks for them.
local handout = require "handout"

local function run(options, body, mocks)
  local source = ('local handout = require "handout"\nlocal g = handout.graph "x"\ng:task("t", %s, function()\n%s\nend)\n'
    .. "return g\n"):format(options, body)
  local result = handout.pure.run { source = source, name = "t.lua", mocks = mocks, keep_going = true }
  if result.failures[1] then return nil, result.failures[1] end
  return result.values.t
end

local function fails(options, body, message, mocks)
  local _, failure = run(options, body, mocks)
  assert(failure, "did not fail")
  if failure.message ~= message then error(("expected %q, got %q"):format(message, failure.message), 2) end
  return failure
end

local function equal(got, expected)
  local a, b = handout.json.encode(got), handout.json.encode(expected)
  if a ~= b then error(("expected %s, got %s"):format(b, a), 2) end
end

local reading = '{ grant = { read = { "/in" }, write = { "out" } } }'

return {
  ["a program that is not granted is refused, once"] = function()
    local failure = fails("{ retries = 2 }", 'handout.exec { "curl" }',
      't.lua:4: exec: \'curl\' is not granted: the task asks for it with grant = { exec = { "curl" } }')
    equal(failure.attempt, 1)
  end,
  ["a mocked program gets its words, and check is honoured"] = function()
    local seen
    local mocks = { exec = function(argv) seen = argv return { code = 3, stderr = "no\n" } end }
    fails('{ grant = { exec = { "curl" } } }', 'handout.exec { "curl", 5 }', "t.lua:4: exec: 'curl' exited 3: no", mocks)
    equal(seen, { "curl", "5" })
    equal(run('{ grant = { exec = { "curl" } } }', 'return handout.exec { "curl", check = false }', mocks),
      { code = 3, stdout = "", stderr = "no\n", seconds = 0.0 })
  end,
  ["a mocked pipeline, with its output in a file"] = function()
    local mocks = { files = {}, exec = function(parts) return { stdout = parts[2][1] } end }
    equal(run('{ writes = { "o" }, grant = { exec = { "a", "b" } } }',
      'local r = handout.exec { { "a" }, { "b" }, stdout = "o" } return { r.codes, handout.fs.read "o" }', mocks),
      { { 0, 0 }, "b" })
  end,
  ["real programs: output, code, signal, pipeline, input, folder, variables"] = function()
    local options = '{ grant = { exec = { "sh", "cat", "no-such-program" } } }'
    equal(run(options, [[
      local a = handout.exec { "sh", "-c", "printf '%s' \"$1 $X\"; echo no >&2; exit 4", "sh", "it's", env = { X = "x" },
        check = false }
      local b = handout.exec { { "sh", "-c", "echo piped" }, { "cat" } }
      local c = handout.exec { "cat", stdin = "in\0put" }
      local d = handout.exec { "sh", "-c", "kill -9 $$", check = false }
      local e = handout.exec { "sh", "-c", "pwd", cwd = "/" }
      return { a.code, a.stdout, a.stderr, b.stdout, b.codes, c.stdout, d.signal, e.stdout }]]),
      { 4, "it's x", "no\n", "piped\n", { 0, 0 }, "in\0put", 9, "/\n" })
    fails(options, 'handout.exec { "no-such-program" }', "t.lua:4: exec: 'no-such-program' was not found in PATH")
    fails(options, 'handout.exec { "sh", "-c", "echo why >&2; exit 2" }', "t.lua:4: exec: 'sh' exited 2: why")
  end,
  ["files that are not granted"] = function()
    fails(reading, 'handout.fs.write("x", "")',
      't.lua:4: fs.write: \'x\' is not granted: the task asks for it with grant = { write = { "x" } }')
    fails(reading, 'handout.fs.read "/etc/passwd"', "t.lua:4: fs.read: '/etc/passwd' is outside of the run directory and "
      .. 'not granted: the task asks for it with grant = { read = { "/etc/passwd" } }')
    fails(reading, 'handout.fs.read "../x"', "t.lua:4: fs.read: '../x' is outside of the run directory and "
      .. 'not granted: the task asks for it with grant = { read = { "../x" } }')
    fails(reading, 'handout.fs.write("out/.x", "")', "t.lua:4: fs.write: 'out/.x': hidden files and folders are not written")
    fails(reading, 'handout.fs.read(".git/config")', "t.lua:4: fs.read: '.git/config': hidden files and folders are not read")
    fails(reading, 'handout.fs.read "nothing"', "t.lua:4: fs.read: 'nothing': No such file or directory", { files = {} })
  end,
  ["every call of fs, on tables and on a real disk"] = function()
    local body = [[
      local fs, d = handout.fs, BASE
      fs.mkdir(d .. "/sub")
      fs.write(d .. "/a.txt", "one\ntwo\nthree")
      fs.append(d .. "/a.txt", "!\n")
      fs.copy(d .. "/a.txt", d .. "/sub/b.txt")
      fs.rename(d .. "/sub/b.txt", d .. "/sub/c.txt")
      local ranges = {}
      for i, r in ipairs(fs.ranges(d .. "/a.txt", { bytes = 3 })) do ranges[i] = { r.offset, r.length } end
      local result = { fs.read(d .. "/a.txt", { offset = 4, length = 3 }), fs.lines(d .. "/a.txt"),
        fs.lines(d .. "/a.txt", { chunk = 2 }), ranges, fs.list(d), fs.glob(d .. "/**/*.txt"), fs.glob(d .. "/[a-b].*"),
        fs.stat(d .. "/a.txt").size, fs.stat(d .. "/sub").kind, fs.exists(d .. "/zz"), fs.hash(d .. "/a.txt") }
      fs.remove(d .. "/sub/c.txt")
      fs.remove(d .. "/sub")
      result[#result + 1] = fs.list(d)
      return result]]
    local function expected(base)
      return { "two", { "one", "two", "three!" }, { "one\ntwo\n", "three!\n" }, { { 0, 4 }, { 4, 4 }, { 8, 7 } },
        { "a.txt", "sub" }, { base .. "/a.txt", base .. "/sub/c.txt" }, { base .. "/a.txt" }, 15, "directory", false,
        "a6a8b8ee2c6a2b3d", { "a.txt" } }
    end
    local function compare(got, base)
      local wanted = expected(base)
      assert(#got[11] == 64)
      wanted[11] = got[11]
      equal(got, wanted)
      return got[11]
    end
    local options = '{ grant = { read = { BASE }, write = { BASE } } }'
    local folder = os.tmpname()
    os.remove(folder)
    local function at(text, base) return (text:gsub("BASE", function() return ("%q"):format(base) end)) end
    local first = compare(assert(run(at(options, "out"), at(body, "out"), { files = { ["out/a.txt"] = "" } })), "out")
    assert(os.execute(("mkdir '%s'"):format(folder)))
    local value, failure = run(at(options, folder), at(body, folder))
    os.execute(("rm -rf '%s'"):format(folder))
    assert(value, failure and failure.message)
    equal(compare(value, folder), first)
  end,
  ["SHA-256 of the empty text, of a short and of a long one"] = function()
    local files = { e = "", s = "abc", l = ("a"):rep(1000000) }
    equal(run("{}", 'local h = handout.fs.hash return { h "e", h "s", h "l" }', { files = files }), {
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" })
  end,
  ["variables and functions of the host"] = function()
    local mocks = { env = { A = "x" }, host = { add = function(a, b) return a + b end } }
    equal(run('{ grant = { env = { "A", "B" }, host = { "add" } } }',
      'return { handout.env "A", handout.env "B" == nil, handout.host.add(1, 2) }', mocks), { "x", true, 3 })
    fails("{}", 'handout.env "A"', "t.lua:4: env: 'A' is not granted: the task asks for it with grant = { env = { \"A\" } }",
      mocks)
    fails("{}", "handout.host.add()",
      "t.lua:4: host.add: 'add' is not granted: the task asks for it with grant = { host = { \"add\" } }", mocks)
  end,
  ["an attempt has a folder"] = function()
    equal(run('{ grant = { exec = { "ls" } } }', [[
      local d = handout.task.scratch
      handout.fs.write(d .. "/x", "1")
      return handout.exec { "ls", d }.stdout]]), "x\n")
  end,
  ["what is written later sees what was written before"] = function()
    local source = [[local handout = require "handout"
      local g = handout.graph "x"
      local n = #handout.glob "in/*.txt" + #handout.read "in/a.txt"
      local a = g:task("a", { writes = { "o" } }, function() handout.fs.write("o", tostring(n)) end)
      g:task("b", { after = a }, function() return handout.fs.read "o" end)
      return g]]
    local files = { ["in/a.txt"] = "12345", ["./in/b.txt"] = "" }
    equal(handout.pure.run { source = source, mocks = { files = files } }.values.b, "7")
    equal(files.o == nil, true)
  end,
}
