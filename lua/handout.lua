--- The pure-Lua edition of `handout`: runs a graph serially under the stock Lua 5.4, without limits or a sandbox.
---
---   lua5.4 handout.lua SCRIPT [TARGET…] [-p name=value] [--params FILE] [--input name=JSON] [--seed N]
---     [--keep-going]
---
--- prints the same outputs as `handout-lua run`. docs/oracle.md says what it is for and what it does not do.

local handout = { version = "1.0", api = 1 }

local source_of_this = debug.getinfo(1, "S").source
local plan          -- of the script that is planned: parameters given and asked for, the seed
local current       -- what `handout.task` shows: the attempt that runs, or nil

-- ---- Errors ---------------------------------------------------------------------------------------------------------

--- The innermost place outside of this file, as `file:line: `.
local function place()
  for level = 2, math.huge do
    local info = debug.getinfo(level, "Sl")
    if not info then return "" end
    if info.source ~= source_of_this and info.currentline > 0 then
      return ("%s:%d: "):format(info.short_src, info.currentline)
    end
  end
end

--- The line of the script that runs.
local function line()
  return tonumber(place():match ":(%d+): $") or 0
end

local function raise(format, ...) error(place() .. format:format(...), 0) end

local function is_utf8(text) return utf8.len(text) ~= nil end

local function hexadecimal(c) return ("\\x%02X"):format(c:byte()) end

--- How a value is shown in messages.
local function describe(value)
  local kind = type(value)
  if kind == "string" then
    local shown = value:sub(1, 60):gsub(is_utf8(value) and "%c" or "[^ -~]", hexadecimal)
    return ('"%s"'):format(shown) .. (#value > 60 and "..." or "")
  elseif kind == "number" or kind == "boolean" or kind == "nil" then
    return kind == "number" and math.type(value) == "float" and ("%.14g"):format(value) or tostring(value)
  end
  return "a " .. kind
end

--- The nearest of some names to a misspelt one, as `(did you mean 'x'?)`.
local function hint(word, names)
  local best, least = nil, #word < 4 and 2 or 3
  for name in handout.sorted(names) do
    local row = {}
    for j = 0, #name do row[j] = j end
    for i = 1, #word do
      local diagonal = row[0]
      row[0] = i
      for j = 1, #name do
        local cost = diagonal + (word:byte(i) == name:byte(j) and 0 or 1)
        diagonal, row[j] = row[j], math.min(cost, row[j] + 1, row[j - 1] + 1)
      end
    end
    local distance = row[#name]
    if #word >= 4 and word:sub(1, 4) == name:sub(1, 4) then distance = math.min(distance, 2) end
    if distance < least then best, least = name, distance end
  end
  return best and (" (did you mean '%s'?)"):format(best) or ""
end

-- ---- Order of keys --------------------------------------------------------------------------------------------------

local ranks = { number = 1, string = 2, boolean = 3 }

local function precedes(a, b)
  local left, right = ranks[type(a)], ranks[type(b)]
  if left ~= right then return left < right end
  if left == 3 then return not a and b end
  return a < b
end

--- All keys of a table: numbers ascending, strings bytewise, false, true. The second result is a key without an order.
local function ordered_keys(table_)
  local keys = {}
  for key in next, table_ do
    if not ranks[type(key)] then return keys, key end
    keys[#keys + 1] = key
  end
  table.sort(keys, precedes)
  return keys
end

local function ordered_pairs(table_, who, when)
  local keys, wrong = ordered_keys(table_)
  if wrong ~= nil then raise("%s: a %s as key has no defined order%s", who, type(wrong), when) end
  local i = 0
  return function()
    while true do
      i = i + 1
      local key = keys[i]
      if key == nil then return nil end
      local value = rawget(table_, key)
      if value ~= nil then return key, value end -- else it was removed since
    end
  end, table_, nil
end

function handout.sorted(table_)
  if type(table_) ~= "table" then raise("bad argument #1 to 'sorted' (table expected, got %s)", type(table_)) end
  return ordered_pairs(table_, "sorted", "")
end

--- `pairs` while planning.
local function planning_pairs(value)
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__pairs then return pairs(value) end
  if type(value) ~= "table" then raise("bad argument #1 to 'pairs' (table expected, got %s)", type(value)) end
  return ordered_pairs(value, "pairs", " while planning")
end

-- ---- Plain data -----------------------------------------------------------------------------------------------------

local most_depth = 200
local scalars = { ["nil"] = true, boolean = true, number = true, string = true }

--- Whether a table is a list: keys 1 to n, or none.
local function is_list(table_)
  local count = 0
  for key in next, table_ do
    if math.type(key) ~= "integer" then return false end
    count = count + 1
  end
  for i = 1, count do
    if rawget(table_, i) == nil then return false end
  end
  return true
end

--- `result.rows[3]["a key"]`: the place of what is inside of the first `depth` tables. The middle of a long one goes.
local function path_of(root, trail, depth)
  local text = { root }
  for i = 1, depth do
    local key = trail[i]
    if type(key) ~= "string" then text[#text + 1] = ("[%s]"):format(tostring(key))
    elseif #key <= 40 and key:find "^[%a_][%w_]*$" then text[#text + 1] = "." .. key
    else text[#text + 1] = ("[%s]"):format(describe(key)) end
  end
  text = table.concat(text)
  return #text <= 400 and text or text:sub(1, 198) .. "..." .. text:sub(-199)
end

--- A deep copy of plain data, or nil and why it is none. Metatables are dropped, no metamethod runs.
local function copy(value, root, verb)
  if scalars[type(value)] then return value end
  local trail, open = {}, {}
  local function refuse(depth, format, ...)
    error({ refused = path_of(root, trail, depth) .. ": " .. format:format(...) })
  end
  local function copy_table(from, depth)
    if depth > most_depth then refuse(depth - 1, "nested deeper than %d tables", most_depth) end
    if open[from] then
      refuse(open[from] - 1, "the table contains itself at %s", path_of(root, trail, depth - 1))
    end
    open[from] = depth
    local keys, wrong = ordered_keys(from)
    if wrong ~= nil then refuse(depth - 1, "a %s key %s", type(wrong), verb) end
    local to = {}
    for _, key in ipairs(keys) do
      local inner = rawget(from, key)
      trail[depth] = key
      if type(inner) == "table" then to[key] = copy_table(inner, depth + 1)
      elseif scalars[type(inner)] then to[key] = inner
      else refuse(depth, "a %s %s", type(inner), verb) end
    end
    open[from] = nil
    return to
  end
  if type(value) ~= "table" then return nil, ("%s: a %s %s"):format(root, type(value), verb) end
  local good, result = pcall(copy_table, value, 1)
  if good then return result end
  if type(result) ~= "table" then error(result, 0) end
  return nil, result.refused
end

-- ---- JSON -----------------------------------------------------------------------------------------------------------

local base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(bytes)
  local text = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    for k = 1, 4 do
      local digit = bits >> (24 - 6 * k) & 63
      text[#text + 1] = (k == 3 and not b or k == 4 and not c) and "=" or base64_digits:sub(digit + 1, digit + 1)
    end
  end
  return table.concat(text)
end

--- The bytes that base64 in its one canonical form stands for, or nil.
local function from_base64(text)
  if #text % 4 ~= 0 or not text:find "^[%w+/]*=?=?$" then return nil end
  local bytes = {}
  for i = 1, #text, 4 do
    local bits, padding = 0, 0
    for k = i, i + 3 do
      local digit = base64_digits:find(text:sub(k, k), 1, true)
      if not digit then padding = padding + 1 end
      bits = bits << 6 | (digit or 1) - 1
    end
    bytes[#bytes + 1] = string.char(bits >> 16, bits >> 8 & 255, bits & 255):sub(1, 3 - padding)
  end
  local result = table.concat(bytes)
  return base64(result) == text and result or nil
end

--- The text of a number: floats keep a point and read back as they were. Nil of what has no text: then its name.
local function number_text(number)
  if math.type(number) == "integer" then return ("%d"):format(number) end
  if number ~= number then return nil, "nan" end
  if number == math.huge or number == -math.huge then return nil, number > 0 and "inf" or "-inf" end
  local text
  for digits = 15, 17 do
    text = ("%." .. digits .. "g"):format(number)
    if tonumber(text) == number then break end
  end
  return text:find "^[-+%d]+$" and text .. ".0" or text
end

--- Text with U+FFFD for each byte that is not part of UTF-8.
local function repaired(text)
  local parts, at = {}, 1
  while true do
    local good, bad = utf8.len(text, at)
    if good then break end
    parts[#parts + 1] = text:sub(at, bad - 1) .. "\u{FFFD}"
    at = bad + 1
  end
  return table.concat(parts) .. text:sub(at)
end

local short_escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r",
  ["\t"] = "\\t" }

local function quoted(text)
  text = text:gsub('[%c"\\]', function(c)
    return c ~= "\127" and (short_escapes[c] or ("\\u%04x"):format(c:byte())) or nil
  end)
  return '"' .. text:gsub("\u{2028}", "\\u2028"):gsub("\u{2029}", "\\u2029") .. '"'
end

--- Appends the JSON text of plain data to a list of pieces. `trail` holds the keys above, for messages.
local function write_json(value, out, trail)
  local function add(text) out[#out + 1] = text end
  if type(value) == "string" then
    return add(is_utf8(value) and quoted(value) or '{"$bytes":"' .. base64(value) .. '"}')
  elseif type(value) == "number" then
    local text, name = number_text(value)
    return add(text or '{"$float":"' .. name .. '"}')
  elseif type(value) ~= "table" then
    return add(value == nil and "null" or tostring(value))
  elseif is_list(value) then
    add "["
    for i = 1, #value do
      if i > 1 then add "," end
      trail[#trail + 1] = i
      write_json(value[i], out, trail)
      trail[#trail] = nil
    end
    return add "]"
  end
  local texts, keys = {}, {}
  for key in next, value do
    local text, name = key, nil
    if type(key) == "number" then text, name = number_text(key)
    elseif type(key) == "boolean" then text = tostring(key) end
    text = repaired(text or name)
    if keys[text] ~= nil then
      local where = path_of("result", trail, #trail)
      error({ refused = ("two keys become the same text: %s at %s"):format(describe(text), where) })
    end
    keys[text] = key
    texts[#texts + 1] = text
  end
  table.sort(texts)
  add "{"
  for i, text in ipairs(texts) do
    if i > 1 then add "," end
    add(quoted(text) .. ":")
    trail[#trail + 1] = keys[text]
    write_json(value[keys[text]], out, trail)
    trail[#trail] = nil
  end
  add "}"
end

--- The JSON text of plain data, or nil and what is against it.
local function to_json(value)
  local out = {}
  local good, problem = pcall(write_json, value, out, {})
  if good then return table.concat(out) end
  if type(problem) ~= "table" then error(problem, 0) end
  return nil, problem.refused
end

local unescapes = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

--- The value of a JSON text, or nil and what is wrong with it.
local function from_json(text)
  local at, depth = 1, 0
  local value

  local function expected(what, where)
    where = where or at
    local word = text:match("^%a+", where) or text:match("^[!-~]", where)
    local got = where > #text and "the end" or word and ('"%s"'):format(word:sub(1, 20))
      or ("byte 0x%02X"):format(text:byte(where))
    error({ refused = ("position %d: expected %s, got %s"):format(where, what, got) })
  end
  local function skip() at = text:match("^[ \n\t\r]*()", at) end
  local function take(byte)
    if text:sub(at, at) ~= byte then return false end
    at = at + 1
    return true
  end
  local function unicode()
    local high = text:match("^%x%x%x%x", at)
    if not high then expected "four hexadecimal digits" end
    local code, start = tonumber(high, 16), at - 2
    at = at + 4
    if code < 0xD800 or code > 0xDFFF then return utf8.char(code) end
    local low = tonumber(text:match("^\\u(%x%x%x%x)", at) or "0", 16)
    if code > 0xDBFF or low < 0xDC00 or low > 0xDFFF then
      expected("a pair of surrogates such as \\uD83D\\uDE00", start)
    end
    at = at + 6
    return utf8.char(0x10000 + (code - 0xD800 << 10) + low - 0xDC00)
  end
  local function string_()
    local parts = {}
    at = at + 1
    while true do
      local plain = text:match('^[^%z\1-\31"\\]*', at)
      local good, bad = utf8.len(plain)
      if not good then expected("UTF-8", at + bad - 1) end
      parts[#parts + 1] = plain
      at = at + #plain
      if at > #text then expected '"\\""' end
      if take '"' then return table.concat(parts) end
      if not take "\\" then expected "control characters to be escaped" end
      local letter = text:sub(at, at)
      if letter == "u" then
        at = at + 1
        parts[#parts + 1] = unicode()
      else
        parts[#parts + 1] = unescapes[letter] or expected "an escape such as \\n"
        at = at + 1
      end
    end
  end
  local function number()
    local start = at
    take "-"
    if not text:find("^%d", at) then expected "a digit" end
    at = text:match("^0()", at) or text:match("^%d+()", at)
    for _, part in ipairs { "^%.()", "^[eE][+-]?()" } do
      local digits = text:match(part, at)
      if digits then at = text:match("^%d+()", digits) or expected("a digit", digits) end
    end
    local result = tonumber(text:sub(start, at - 1))
    if result == math.huge or result == -math.huge then
      error({ refused = ("position %d: expected a number in the range of a float, got a larger one"):format(start) })
    end
    return result
  end
  local function array()
    local list = {}
    at = at + 1
    skip()
    if take "]" then return list end
    repeat
      local element = value()
      if element == nil then element = false end
      list[#list + 1] = element
      skip()
    until not take ","
    return take "]" and list or expected '"," or "]"'
  end
  local function object()
    local table_ = {}
    at = at + 1
    skip()
    if take "}" then return table_ end
    repeat
      skip()
      if text:sub(at, at) ~= '"' then expected "a key in quotes" end
      local key = string_()
      skip()
      if not take ":" then expected '":"' end
      table_[key] = value()
      skip()
    until not take ","
    if not take "}" then expected '"," or "}"' end
    local key, only = next(table_)
    if key == nil or next(table_, key) ~= nil or type(only) ~= "string" then return table_ end
    if key == "$bytes" then return from_base64(only) or table_ end
    if key == "$float" then return ({ nan = 0 / 0, inf = math.huge, ["-inf"] = -math.huge })[only] or table_ end
    return table_
  end
  local words = { ["true"] = true, ["false"] = false, null = "nothing" }
  function value()
    skip()
    local first = text:sub(at, at)
    if first == "{" or first == "[" then
      if depth == most_depth then expected "at most 200 levels" end
      depth = depth + 1
      local result
      if first == "{" then result = object() else result = array() end
      depth = depth - 1
      return result
    elseif first == '"' then return string_()
    elseif first:find "^[-%d]" then return number() end
    for word, meaning in next, words do
      if text:sub(at, at + #word - 1) == word then
        at = at + #word
        if word == "null" then return nil end
        return meaning
      end
    end
    expected "a value"
  end

  local good, result = pcall(function()
    local whole = value()
    skip()
    if at <= #text then expected "the end" end
    return whole
  end)
  if good then return result end
  if type(result) ~= "table" then error(result, 0) end
  return nil, result.refused
end

handout.json = {}

function handout.json.encode(value)
  local plain, wrong = copy(value, "value", "cannot be written as JSON")
  local text
  if not wrong then text, wrong = to_json(plain) end
  return text or raise("json.encode: %s", wrong)
end

function handout.json.decode(text)
  if type(text) ~= "string" then raise("bad argument #1 to 'decode' (string expected, got %s)", type(text)) end
  local value, wrong = from_json(text)
  if wrong then raise("json.decode: %s", wrong) end
  return value
end

-- ---- Sizes, durations, ids ------------------------------------------------------------------------------------------

local sizes = { { "KiB", 1 << 10 }, { "MiB", 1 << 20 }, { "GiB", 1 << 30 }, { "TiB", 1 << 40 }, { "kB", 1000 },
  { "MB", 1000000 }, { "GB", 1000000000 }, { "TB", 1000000000000 }, { "B", 1 } }
local durations = { { "ms", 1000000 }, { "us", 1000 }, { "d", 86400000000000 }, { "h", 3600000000000 },
  { "m", 60000000000 }, { "s", 1000000000 } }

--- Reads `12.5KiB` at a position: the product, rounded down, the unit's factor, and the position after; or nil.
local function read_amount(text, at, units)
  local whole, fraction, after = text:match("^(%d+)()", at)
  after = fraction
  fraction = after and text:match("^%.(%d+)", after) or ""
  if not after or #whole:gsub("^0+", "") > 19 or math.type(tonumber(whole)) ~= "integer" then return nil end
  if #fraction > 0 then after = after + 1 + #fraction end
  for _, unit in ipairs(units) do
    local name, factor = unit[1], unit[2]
    if text:sub(after, after + #name - 1) == name then
      local rest = 0
      for i = math.min(#fraction, 15), 1, -1 do rest = (fraction:byte(i) - 48) * factor + rest // 10 end
      rest = rest // 10
      local number = tonumber(whole)
      if number > (math.maxinteger - rest) // factor then return nil end
      return number * factor + rest, factor, after + #name
    end
  end
end

--- Bytes of a size, or nil.
local function size_of(value)
  if type(value) == "number" then
    local bytes = math.tointeger(value)
    return bytes and bytes >= 0 and bytes or nil
  end
  local bytes, _, after = read_amount(type(value) == "string" and value or "", 1, sizes)
  return bytes and after > #value and bytes or nil
end

--- Seconds of a duration, or nil.
local function seconds_of(value)
  if type(value) == "number" then return value >= 0 and value < 9.2e9 and value + 0.0 or nil end
  if type(value) ~= "string" then return nil end
  local total, last, at = 0, math.maxinteger, 1
  repeat
    local nanoseconds, factor, after = read_amount(value, at, durations)
    if not nanoseconds or factor >= last or nanoseconds > math.maxinteger - total then return nil end
    total, last, at = total + nanoseconds, factor, after
  until at > #value
  return total / 1e9
end

function handout.bytes(size)
  return size_of(size) or raise('bytes: expected a size such as "512MiB", got %s', describe(size))
end

function handout.seconds(duration)
  return seconds_of(duration)
    or raise('seconds: expected a duration such as "1h30m" or seconds, got %s', describe(duration))
end

-- Control, separator and format characters outside of ASCII.
local unprintable = { { 0x80, 0xA0 }, { 0xAD, 0xAD }, { 0x600, 0x605 }, { 0x61C, 0x61C }, { 0x6DD, 0x6DD },
  { 0x70F, 0x70F }, { 0x890, 0x891 }, { 0x8E2, 0x8E2 }, { 0x1680, 0x1680 }, { 0x180E, 0x180E }, { 0x2000, 0x200F },
  { 0x2028, 0x202F }, { 0x205F, 0x2064 }, { 0x2066, 0x206F }, { 0x3000, 0x3000 }, { 0xFEFF, 0xFEFF },
  { 0xFFF9, 0xFFFB }, { 0x110BD, 0x110BD }, { 0x110CD, 0x110CD }, { 0x13430, 0x1343F }, { 0x1BCA0, 0x1BCA3 },
  { 0x1D173, 0x1D17A }, { 0xE0001, 0xE0001 }, { 0xE0020, 0xE007F } }

--- The character of an id at a position, or nil.
local function id_character(text, at)
  local character = text:match("^[%w_.:@+=,%%-]", at)
  if character then return character end
  character = text:match("^[\xC2-\xF4][\x80-\xBF]+", at)
  if not character then return nil end
  local lead = character:byte()
  character = character:sub(1, lead >= 0xF0 and 4 or lead >= 0xE0 and 3 or 2)
  if utf8.len(character) ~= 1 then return nil end
  local code = utf8.codepoint(character)
  for _, range in ipairs(unprintable) do
    if code >= range[1] and code <= range[2] then return nil end
  end
  return character
end

--- What is wrong with an id, or nil.
local function wrong_id(id)
  if type(id) ~= "string" then return "it is no string" end
  if id == "" then return "it is empty" end
  if #id > 200 then return "it is longer than 200 bytes" end
  if id:find "^[-.:@+=,%%]" then return "it must begin with a letter, a digit or _" end
  local at = 1
  while at <= #id do
    local character = id_character(id, at)
    if not character then return "only letters, digits and _ - . : @ + = , % are allowed (see handout.id)" end
    at = at + #character
  end
end

local function percent(c) return ("%%%02X"):format(c:byte()) end

function handout.id(text)
  if type(text) ~= "string" then raise("bad argument #1 to 'id' (string expected, got %s)", type(text)) end
  if #text > 200 then raise "id: longer than 200 bytes" end
  local encoded, at = {}, 1
  while at <= #text do
    local character = id_character(text, at)
    if character and character ~= "%" and (at > 1 or not character:find "^[-.:@+=,]") then
      encoded[#encoded + 1] = character
      at = at + #character
    else
      if at == 1 then encoded[1] = "_" end -- an id does not begin with %
      encoded[#encoded + 1] = percent(text:sub(at, at))
      at = at + 1
    end
  end
  local id = text == "" and "_" or table.concat(encoded)
  return #id <= 200 and id or raise "id: longer than 200 bytes when encoded"
end

--- A key as part of a task's name.
local function key_text(key)
  return type(key) == "string" and key:gsub("[^%w_.:@+=,\x80-\xFF-]", percent) or tostring(key)
end

-- ---- Parameters -----------------------------------------------------------------------------------------------------

local articles = { boolean = "a boolean", integer = "an integer", float = "a float", string = "a string",
  list = "a list", table = "a table" }

local expected_elements = "expected a list of elements that are each"

local function kind_of(value)
  if type(value) == "number" then return math.type(value) end
  if type(value) ~= "table" then return type(value) end
  local key = next(value)
  return (key == nil or type(key) ~= "string") and "list" or "table"
end

--- A value given as text on the command line, as one of that kind; nil when it is none.
local function scalar_from_text(text, kind)
  if kind == "boolean" then
    if text == "true" or text == "false" then return text == "true" end
    return nil
  elseif kind == "integer" or kind == "float" then
    local number = not text:find "^%s" and not text:find "%s$" and tonumber(text) or nil
    if kind == "float" then return number and number + 0.0 end
    return math.type(number) == "integer" and number or nil
  end
  return text
end

local function checked_elements(name, list, kind)
  for i, element in ipairs(list) do
    local got = kind_of(element)
    if kind == "float" and got == "integer" then list[i] = element + 0.0
    elseif got ~= kind and not (articles[kind]:find "l" and type(element) == "table") then
      raise("parameter '%s': %s %s, got %s", name, expected_elements, articles[kind], describe(element))
    end
  end
  return list
end

--- A given value as the type that the parameter has. `given` is `{ text = }` or `{ value = }`.
local function given_value(name, given, kind, element)
  local value = given.value
  if value == nil then
    local text = given.text
    if kind == "table" or kind == "list" and text:sub(1, 1) == "[" then
      local wrong
      value, wrong = from_json(text)
      if wrong then raise("parameter '%s': %s", name, wrong) end
      if type(value) ~= "table" then
        raise("parameter '%s': expected %s, got %s", name, articles[kind], describe(text))
      end
      return kind == "table" and value or checked_elements(name, value, element)
    elseif kind == "list" then
      local list = {}
      for part in (text == "" and "" or text .. ","):gmatch "([^,]*)," do
        local one = scalar_from_text(part, element)
        if one == nil then
          raise("parameter '%s': %s %s, got %s", name, expected_elements, articles[element], describe(part))
        end
        list[#list + 1] = one
      end
      return list
    end
    value = scalar_from_text(text, kind)
    if value == nil then
      local what = kind == "boolean" and "true or false" or articles[kind]
      raise("parameter '%s': expected %s, got %s", name, what, describe(text))
    end
    return value
  end
  value = copy(value, "value", "cannot be a parameter")
  if kind == "float" and math.type(value) == "integer" then value = value + 0.0 end
  local got = kind_of(value)
  if got ~= kind and not (kind == "table" and type(value) == "table" and next(value) == nil) then
    raise("parameter '%s': expected %s, got %s", name, articles[kind], describe(value))
  end
  return kind == "list" and checked_elements(name, value, element) or value
end

--- "list" and its length, "names", or nil of a table that is neither.
local function shape_of(table_)
  if is_list(table_) then return "list", #table_ end
  for key in next, table_ do
    if type(key) ~= "string" then return nil end
  end
  return "names"
end

local parameter_keys = { name = true, default = true, type = true, help = true, choices = true }

function handout.param(name, default, help)
  if current then raise "handout.param is only there while planning, not in a task" end
  local options = { name = name, default = default, help = help }
  if type(name) == "table" then
    options = name
    name = options.name
    for key in handout.sorted(options) do
      if not parameter_keys[key] then
        raise("parameter '%s': unknown key %s%s", name, describe(key), hint(tostring(key), parameter_keys))
      end
    end
  end
  local wrong = wrong_id(name)
  if wrong then raise("parameter %s: not an id: %s", describe(name), wrong) end
  default = options.default
  local kind = options.type or default ~= nil and kind_of(default) or "string"
  if not articles[kind] then
    raise("parameter '%s': type: expected boolean, integer, float, string, list or table, got %s", name, describe(kind))
  end
  if kind == "float" and math.type(default) == "integer" then default = default + 0.0 end
  if default ~= nil and kind_of(default) ~= kind and not (kind == "table" and kind_of(default) == "list") then
    raise("parameter '%s': default: expected %s, got %s", name, articles[kind], describe(default))
  end
  local plain
  plain, wrong = copy(default, "default", "cannot be a parameter")
  if wrong then raise("parameter '%s': %s", name, wrong) end
  local first = type(plain) == "table" and rawget(plain, 1)
  if type(plain) == "table" and not shape_of(plain) then
    raise("parameter '%s': default: expected either positions 1 to n or names, not both and no gaps", name)
  elseif kind == "list" and first ~= nil then
    plain = checked_elements(name, plain, kind_of(first))
  end
  if options.help ~= nil and type(options.help) ~= "string" then
    raise("parameter '%s': help: expected a string, got %s", name, describe(options.help))
  end
  if options.choices ~= nil and type(options.choices) ~= "table" then
    raise("parameter '%s': choices: expected a list of values, got %s", name, describe(options.choices))
  end
  local declaration = kind .. (to_json(plain) or "")
  local known = plan.parameters[name]
  if known then
    if known.declaration ~= declaration then
      raise("parameter '%s': asked for again with another default or type", name)
    end
    return (copy(known.value))
  end
  local value, given = plain, plan.given[name]
  if given then
    value = given_value(name, given, kind, first and kind_of(first) or "string")
  elseif default == nil then
    raise("parameter '%s' is required: give it with -p %s=...", name, name)
  end
  local allowed = not options.choices
  for _, choice in ipairs(options.choices or {}) do allowed = allowed or rawequal(choice, value) end
  if not allowed then
    local shown = {}
    for i, choice in ipairs(options.choices) do shown[i] = describe(choice) end
    raise("parameter '%s': expected one of %s, got %s", name, table.concat(shown, ", "), describe(value))
  end
  plan.parameters[name] = { declaration = declaration, value = value }
  return (copy(value))
end

-- ---- Graphs ---------------------------------------------------------------------------------------------------------

local Graph, Handle = {}, {}
local node_of = setmetatable({}, { __mode = "k" }) -- handle → what it stands for

local function is_graph(value) return getmetatable(value) == Graph end
local function is_handle(value) return getmetatable(value) == Handle end

local function describe_entry(value)
  return is_graph(value) and "a graph" or is_handle(value) and "a handle" or describe(value)
end

local function new_handle(node)
  local handle = setmetatable({}, Handle)
  node_of[handle] = node
  return handle
end

function Handle.__index(handle, key)
  local node = node_of[handle]
  if key == "id" then return node.id end
  if key == "at" then return Handle.at end
  raise("a handle has no field %s: it stands for a value that is not there while planning", describe(key))
end

function Handle.__newindex() raise "a handle is read-only" end

--- A part of a handle's value: by key, by this instance's own key, or by a function of element and key.
function Handle.at(handle, key)
  local kind = type(key)
  if not is_handle(handle) then raise("at: expected a handle before the colon (h:at), got %s", describe(handle)) end
  if kind ~= "nil" and kind ~= "string" and kind ~= "function" and not math.tointeger(key) then
    raise("at: expected a string, an integer or a function, got %s", describe_entry(key))
  end
  local of = node_of[handle]
  return new_handle { kind = "at", graph = of.graph, id = of.id, of = of, key = key }
end

-- Where options may stand (t task, m map, r reduce, w when, g graph), and what is wrong with a value: nil, or what was
-- expected. Those that only place or limit tasks are looked at and have no effect here.
local function anything() end
local function whole(low, high, words)
  return function(value)
    local number = math.type(value) and math.tointeger(value)
    if not number or number < low or number > high then return words end
  end
end
local function amount(value)
  if type(value) == "function" then return end
  if type(value) ~= "number" or not (value >= 0 and value <= 1e9) then return "a number from 0 to 1000000000" end
end
local function size(value)
  if type(value) ~= "function" and not size_of(value) then return 'a size such as "512MiB"' end
end
local function duration(value)
  if type(value) ~= "function" and not seconds_of(value) then return 'a duration such as "1h30m" or seconds' end
end
local function boolean(value) if type(value) ~= "boolean" then return "true or false" end end
local function of_type(kind, words)
  return function(value) if type(value) ~= kind then return words end end
end

local function is_list_of_strings(value)
  if type(value) ~= "table" or not is_list(value) then return false end
  for _, entry in ipairs(value) do
    if type(entry) ~= "string" then return false end
  end
  return true
end

local function paths(value)
  if type(value) ~= "function" and not is_list_of_strings(value) then return "a list of paths or a function" end
end

local options_known = {
  needs = { "tmrw", anything },
  after = { "tmrwi", anything },
  args = { "tmrw", anything },
  over = { "mr", anything },
  arity = { "r", whole(2, 1 << 24, "a whole number, at least 2") },
  when = { "tmrwi", anything },
  unless = { "tmrwi", anything },
  always = { "tmrw", boolean },
  optional = { "tmrw", boolean },
  recover = { "tmrw", of_type("function", "a function") },
  retries = { "tmrwg", whole(0, 100, "a whole number from 0 to 100") },
  backoff = { "tmrwg", function(value) if type(value) ~= "table" then return duration(value) end end },
  timeout = { "tmrwg", duration },
  estimate = { "tmrwg", duration },
  cpu = { "tmrwg", amount },
  gpu = { "tmrwg", amount },
  memory = { "tmrwg", size },
  cache = { "tmrwg", boolean },
  inline = { "tmrw", boolean },
  priority = { "tmrwg", function(value)
    if type(value) ~= "function" and not (math.type(value) and math.tointeger(value)) then return "a whole number" end
  end },
  isolation = { "tmrwg", function(value)
    if value ~= "thread" and value ~= "process" then return '"thread" or "process"' end
  end },
  worker = { "tmrw", of_type("string", "the name of a worker") },
  near = { "tmrw", anything },
  grant = { "tmrwg", of_type("table", 'a table such as { read = { "data" } }') },
  resources = { "tmrwg", of_type("table", "a table of amounts") },
  where = { "tmrwg", of_type("table", "a table of labels") },
  variants = { "tmrw", of_type("table", "a list of tables") },
  reads = { "tmrw", paths },
  writes = { "tmrw", paths },
  name = { "g", anything },
  limits = { "g", of_type("table", "a table of amounts") },
  deadline = { "g", duration },
  weight = { "g", amount },
}

local grant_lists = { exec = "a list of program names", read = "a list of paths", write = "a list of paths",
  env = "a list of names of variables", host = "a list of names of functions" }

--- Copies what a task asks for.
local function read_grant(grant, who)
  local taken = {}
  for kind, list in handout.sorted(grant) do
    local words = grant_lists[kind]
    if not words then
      raise("%s: option 'grant': unknown key %s%s", who, describe(kind), hint(tostring(kind), grant_lists))
    end
    if not is_list_of_strings(list) then
      raise("%s: option 'grant.%s': expected %s, got %s", who, kind, words, describe_entry(list))
    end
    taken[kind] = copy(list)
  end
  return taken
end

local function checked_options(options, call, who, allowed)
  if options == nil then return {} end
  if type(options) ~= "table" then raise("%s: options: expected a table, got %s", who, describe_entry(options)) end
  local known = {}
  for name, option in next, options_known do
    if option[1]:find(call, 1, true) and (not allowed or allowed[name]) then known[name] = option end
  end
  local taken = {}
  for key, value in handout.sorted(options) do
    if type(key) ~= "string" then raise("%s: option names are strings, got %s", who, describe(key)) end
    if not known[key] then raise("%s: unknown option '%s'%s", who, key, hint(key, known)) end
    local expected = known[key][2](value)
    if expected then raise("%s: option '%s': expected %s, got %s", who, key, expected, describe_entry(value)) end
    taken[key] = key == "grant" and read_grant(value, who) or value
  end
  return taken
end

function handout.graph(options)
  if current then raise "handout.graph is only there while planning, not in a task" end
  local name = options
  if type(options) == "table" then name = rawget(options, "name") else options = nil end
  local wrong = wrong_id(name)
  if wrong then raise("graph %s: not an id: %s", describe(name), wrong) end
  local graph = { name = name, rows = {}, inputs = {}, ids = {}, outputs = {} }
  graph.defaults = checked_options(options, "g", ("graph '%s'"):format(name))
  return setmetatable(graph, Graph)
end

Graph.__index = {}
function Graph.__tostring(graph) return ("graph '%s'"):format(graph.name) end

local function self(graph, method)
  if not is_graph(graph) then
    raise("%s: expected a graph before the colon (g:%s), got %s", method, method, describe(graph))
  end
  if graph.sealed then
    raise("graph '%s' was included at line %d: nothing can be added to it any more", graph.name, graph.sealed)
  end
  if current then raise("g:%s is only there while planning, not in a task", method) end
end

local function check_id(graph, id, what)
  if type(id) ~= "string" then raise("%s: the id is a string, got %s", what, describe_entry(id)) end
  local wrong = wrong_id(id)
  if wrong then raise("%s %s: not an id: %s", what, describe(id), wrong) end
  if graph.ids[id] then raise("%s '%s': the id is taken", what, id) end
end

--- The node of a handle of this graph.
local function own_node(graph, handle, who, path)
  local node = node_of[handle]
  if node.graph ~= graph then
    raise("%s: %s: handle of another graph '%s', expected one of '%s'", who, path, node.graph.name, graph.name)
  end
  return node
end

--- `needs` as a tree of `{ node = }`, `{ list = { … } }` and `{ names = { … }, by = { … } }`.
local function read_needs(graph, entry, who, path, depth)
  if is_handle(entry) then return { node = own_node(graph, entry, who, path) } end
  if type(entry) ~= "table" or is_graph(entry) then
    raise("%s: %s: expected a handle, or a list or table of handles, got %s", who, path, describe_entry(entry))
  end
  if depth > 50 then raise("%s: %s: nested deeper than 50 tables", who, path) end
  local shape, count = shape_of(entry)
  if not shape then
    raise("%s: %s: expected either positions 1 to n or names, not both and no gaps", who, path)
  elseif shape == "list" then
    if depth == 0 and count > 200 then
      raise("%s: %s: at most 200 positions, got %d (nest a list: needs = { list })", who, path, count)
    end
    local list = {}
    for i = 1, count do list[i] = read_needs(graph, rawget(entry, i), who, ("%s[%d]"):format(path, i), depth + 1) end
    return { list = list }
  end
  local needs = { names = ordered_keys(entry), by = {} }
  for _, name in ipairs(needs.names) do
    needs.by[name] = read_needs(graph, rawget(entry, name), who, ("%s[%s]"):format(path, describe(name)), depth + 1)
  end
  return needs
end

--- A handle or a list of handles, as a list of nodes.
local function read_handles(graph, value, who, path)
  if value == nil then return {} end
  if is_handle(value) then return { own_node(graph, value, who, path) } end
  if type(value) ~= "table" or is_graph(value) or not is_list(value) then
    raise("%s: %s: expected a handle, or a list or table of handles, got %s", who, path, describe_entry(value))
  end
  local nodes = {}
  for i, entry in ipairs(value) do
    if not is_handle(entry) then
      raise("%s: %s[%d]: expected a handle, got %s", who, path, i, describe_entry(entry))
    end
    nodes[i] = own_node(graph, entry, who, ("%s[%d]"):format(path, i))
  end
  return nodes
end

local function read_args(args, who)
  if args == nil then return {} end
  if type(args) ~= "table" or is_handle(args) or not is_list(args) then
    raise("%s: option 'args': expected a list without nil, got %s", who, describe_entry(args))
  end
  local taken = {}
  for i, value in ipairs(args) do
    local path, wrong = ("args[%d]"):format(i), nil
    if is_handle(value) then
      raise("%s: %s: a handle cannot be an argument (pass its value through needs)", who, path)
    end
    taken[i], wrong = copy(value, path, "cannot be an argument")
    if wrong then raise("%s: %s", who, wrong) end
  end
  return taken
end

local function read_over(graph, over, who)
  if over == nil then raise("%s: option 'over' is missing: expected a list, a keyed table or a handle", who) end
  if is_handle(over) then return own_node(graph, over, who, "over") end
  if type(over) ~= "table" or is_graph(over) then
    raise("%s: option 'over': expected a list, a keyed table or a handle, got %s", who, describe_entry(over))
  end
  local elements, wrong = copy(over, "over", "cannot be an element")
  if wrong then raise("%s: %s", who, wrong) end
  if not shape_of(elements) then raise("%s: option 'over': expected keys 1 to n or string keys only", who) end
  return nil, elements
end

local function each_node(needs, visit)
  if not needs then return end
  if needs.node then return visit(needs.node) end
  for _, entry in ipairs(needs.list or {}) do each_node(entry, visit) end
  for _, name in ipairs(needs.names or {}) do each_node(needs.by[name], visit) end
end

--- Calls `visit` with every node that a node refers to; with `only_inputs` not with those it is only to run near.
local function each_reference(node, visit, only_inputs)
  if node.over then visit(node.over) end
  each_node(node.needs, visit)
  for _, list in ipairs { node.after, node.when, node.unless, not only_inputs and node.near or nil } do
    for _, other in ipairs(list) do visit(other) end
  end
  for _, writer in ipairs(node.writers or {}) do visit(writer) end
end

--- Literal `reads` come after the rows whose literal `writes` name them: sets `writers` of each row, and puts the rows
--- of the graph into an order of which no reference goes against.
local function connect_files(graph)
  local writer_of, has_edges = {}, false
  for _, row in ipairs(graph.rows) do
    for _, path in ipairs(type(row.options.writes) == "table" and row.options.writes or {}) do
      local other = writer_of[path]
      if other and other ~= row then
        error(("task '%s': '%s' is written by task '%s' too"):format(row.id, path, other.id), 0)
      end
      writer_of[path] = row
    end
  end
  for _, row in ipairs(graph.rows) do
    row.writers = {}
    for _, path in ipairs(type(row.options.reads) == "table" and row.options.reads or {}) do
      if writer_of[path] and writer_of[path] ~= row then
        row.writers[#row.writers + 1], has_edges = writer_of[path], true
      end
    end
  end
  if not has_edges then return end
  local ordered, state, trail = {}, {}, {}
  local function visit(node)
    while node.kind == "at" or node.kind == "part" do node = node.of end
    if node.kind == "input" or state[node] == "placed" then return end
    trail[#trail + 1] = node.id
    if state[node] then error(("graph '%s': a cycle: %s"):format(graph.name, table.concat(trail, " -> ")), 0) end
    state[node] = "open"
    each_reference(node, visit)
    state[node], trail[#trail] = "placed", nil
    ordered[#ordered + 1] = node
  end
  for _, row in ipairs(graph.rows) do visit(row) end
  graph.rows = ordered
end

--- Whether a node's meaning is another one in each instance of a map.
local function is_of_instance(node)
  return node.kind == "at" and (node.key == nil or type(node.key) == "function" or is_of_instance(node.of))
end

local function contains(graph, other)
  if graph == other then return true end
  for _, row in ipairs(graph.rows) do
    if row.inner and contains(row.inner, other) then return true end
  end
  return false
end

local sub_graph_options = { over = true, needs = true, after = true, when = true, unless = true, optional = true }
local inline_options = { needs = true, after = true, args = true, over = true, arity = true, when = true, unless = true,
  inline = true }
local letters = { task = "t", map = "m", reduce = "r", when = "w" }

local function declare(graph, kind, id, options, fn)
  self(graph, kind)
  if kind == "task" and fn == nil and type(options) == "function" then options, fn = nil, options end
  check_id(graph, id, kind)
  local who = ("%s '%s'"):format(kind, id)
  local inner = kind == "map" and is_graph(fn) and fn or nil
  if not inner and type(fn) ~= "function" then
    raise("%s: expected a Lua function as last argument, got %s", who, describe_entry(fn))
  end
  options = checked_options(options, letters[kind], who, inner and sub_graph_options)
  if options.inline then
    for name in handout.sorted(options) do
      if not inline_options[name] then
        raise("%s: option '%s' cannot be combined with inline: it is computed in each consumer", who, name)
      end
    end
  end
  local node = { kind = kind, graph = graph, id = id, fn = fn, inner = inner, options = options }
  if inner then
    if contains(inner, graph) then raise("%s: a graph cannot include itself", who) end
    inner.sealed = inner.sealed or line()
  end
  if kind == "map" or kind == "reduce" then node.over, node.elements = read_over(graph, options.over, who) end
  node.needs = options.needs ~= nil and read_needs(graph, options.needs, who, "needs", 0) or nil
  node.args = read_args(options.args, who)
  for _, name in ipairs { "after", "when", "unless", "near" } do
    node[name] = read_handles(graph, options[name], who, name)
  end
  for name, value in next, graph.defaults do
    if options[name] == nil then options[name] = value end
  end
  if kind ~= "map" then
    each_reference(node, function(other)
      if is_of_instance(other) then raise("%s: handle:at without a key is for maps", who) end
    end)
  end
  graph.rows[#graph.rows + 1] = node
  graph.ids[id] = node
  return new_handle(node)
end

function Graph.__index.task(graph, id, options, fn) return declare(graph, "task", id, options, fn) end
function Graph.__index.map(graph, id, options, fn) return declare(graph, "map", id, options, fn) end
function Graph.__index.reduce(graph, id, options, fn) return declare(graph, "reduce", id, options, fn) end
function Graph.__index.when(graph, id, options, fn) return declare(graph, "when", id, options, fn) end
function Graph.__index.allocator(graph) self(graph, "allocator") end -- a strategy changes no result

function Graph.__index.input(graph, name, default)
  self(graph, "input")
  check_id(graph, name, "input")
  local value, wrong = copy(default, "default", "cannot be an input")
  if wrong then raise("input '%s': %s", name, wrong) end
  local node = { kind = "input", graph = graph, id = name, value = value }
  graph.inputs[#graph.inputs + 1] = node
  graph.ids[name] = node
  return new_handle(node)
end

function Graph.__index.output(graph, name, handle)
  self(graph, "output")
  local wrong = wrong_id(name)
  if wrong then raise("output %s: not an id: %s", describe(name), wrong) end
  if not is_handle(handle) then
    raise("output %s: expected a handle, got %s", describe(name), describe_entry(handle))
  end
  for _, output in ipairs(graph.outputs) do
    if output.name == name then raise("output %s: the name is taken", describe(name)) end
  end
  local node = own_node(graph, handle, ("output '%s'"):format(name), "handle")
  graph.outputs[#graph.outputs + 1] = { name = name, node = node }
end

--- What a node is called in its graph: of an output of an included graph the name of the task there.
local path_in
function path_in(node)
  return node.kind == "part" and node.of.id .. "/" .. path_in(node.node) or node.id
end

--- The outputs of a graph, by name: those that it names, or the tasks that nothing refers to.
local function outputs_of(graph)
  local outputs = {}
  connect_files(graph)
  if #graph.outputs > 0 then
    table.move(graph.outputs, 1, #graph.outputs, 1, outputs)
  else
    local referred, parts = {}, {}
    local function note(node)
      if node.kind == "at" then return note(node.of) end
      if node.kind ~= "part" then referred[node] = true return end
      parts[node.of] = parts[node.of] or {}
      parts[node.of][path_in(node.node)] = true
    end
    for _, row in ipairs(graph.rows) do each_reference(row, note) end
    for _, row in ipairs(graph.rows) do
      if row.kind == "include" then
        for _, inner in ipairs(outputs_of(row.inner)) do
          if not (parts[row] and parts[row][path_in(inner.node)]) then
            local name = row.id .. "/" .. inner.name
            local part = { kind = "part", graph = graph, id = name, of = row, node = inner.node }
            outputs[#outputs + 1] = { name = name, node = part }
          end
        end
      elseif not referred[row] then
        outputs[#outputs + 1] = { name = row.id, node = row }
      end
    end
  end
  table.sort(outputs, function(a, b) return a.name < b.name end)
  return outputs
end

function Graph.__index.include(graph, id, other, inputs, options)
  self(graph, "include")
  if is_graph(id) then id, other, inputs, options = id.name, id, other, inputs end
  check_id(graph, id, "include")
  local who = ("include '%s'"):format(id)
  if not is_graph(other) then raise("%s: expected a graph, got %s", who, describe_entry(other)) end
  if contains(other, graph) then raise("%s: a graph cannot include itself", who) end
  options = checked_options(options, "i", who)
  local node = { kind = "include", graph = graph, id = id, inner = other, options = {}, bound = {} }
  other.sealed = other.sealed or line()
  for _, name in ipairs { "after", "when", "unless" } do
    node[name] = read_handles(graph, options[name], who, name)
  end
  local known, by = {}, {}
  for _, input in ipairs(other.inputs) do known[input.id] = true end
  for name, value in handout.sorted(inputs or {}) do
    if not known[name] then raise("%s: unknown input %s%s", who, describe(name), hint(tostring(name), known)) end
    if is_handle(value) then
      by[name] = { node = own_node(graph, value, who, ("inputs[%s]"):format(describe(name))) }
    else
      local plain, wrong = copy(value, name, "cannot be an input")
      if wrong then raise("%s: %s", who, wrong) end
      node.bound[name] = { state = "done", value = plain }
    end
  end
  for _, input in ipairs(other.inputs) do
    if not by[input.id] and not node.bound[input.id] and input.value == nil then
      raise("%s: input '%s' is not given and has no default", who, input.id)
    end
  end
  node.needs = { names = ordered_keys(by), by = by }
  graph.rows[#graph.rows + 1] = node
  graph.ids[id] = node
  local handles = {}
  for _, output in ipairs(outputs_of(other)) do
    local part = { kind = "part", graph = graph, id = id .. "/" .. output.node.id, of = node, node = output.node }
    handles[output.name] = new_handle(part)
  end
  return handles
end

-- ---- Inside a task --------------------------------------------------------------------------------------------------

local files = {} -- of the part below on files and programs, what others use

local function inside(call) return current or raise("%s is only there inside a task", call) end

local function say(text) io.stderr:write((current and current.id or "plan") .. ": " .. text .. "\n") end

local function print_(...)
  local texts = table.pack(...)
  for i = 1, texts.n do texts[i] = tostring(texts[i]) end
  say(table.concat(texts, "\t"))
end

handout.task = setmetatable({}, {
  __index = function(_, key)
    local task = inside "handout.task"
    return key == "scratch" and files.scratch(task) or task[key]
  end,
  __newindex = function() raise "handout.task is read-only" end,
  __metatable = false,
})

function handout.progress(fraction, text)
  inside "handout.progress"
  if type(fraction) ~= "number" or not (fraction >= 0 and fraction <= 1) then
    raise("progress: expected a fraction from 0 to 1, got %s", describe(fraction))
  end
  if text ~= nil and type(text) ~= "string" then raise("progress: expected a string, got %s", describe(text)) end
end

local levels = { debug = true, info = true, warning = true, error = true }

function handout.log(level, format, ...)
  if not levels[level] then raise("bad argument #1 to 'log' (invalid option %s)", describe(level)) end
  inside "handout.log"
  say(level .. ": " .. format:format(...))
end

local Raised = { __tostring = function(raised) return raised.message end }

function handout.fail(message)
  inside "handout.fail"
  if type(message) ~= "string" then raise("bad argument #1 to 'fail' (string expected, got %s)", type(message)) end
  error(setmetatable({ message = message, is_final = true }, Raised))
end

function handout.retry(message, options)
  inside "handout.retry"
  if type(message) ~= "string" then raise("bad argument #1 to 'retry' (string expected, got %s)", type(message)) end
  local raised = { message = message, ended = "error" }
  for key, value in handout.sorted(options or {}) do
    if key == "after" and not seconds_of(value) then
      raise('retry: after: expected a duration such as "1h30m" or seconds, got %s', describe(value))
    elseif key == "ended" then
      if value ~= "error" and value ~= "memory" and value ~= "timeout" then
        raise 'retry: ended: expected "error", "memory" or "timeout"'
      end
      raised.ended = value
    elseif key ~= "after" then
      raise("retry: unknown option %s%s", describe(key), hint(tostring(key), { after = true, ended = true }))
    end
  end
  error(setmetatable(raised, Raised))
end

function handout.allocator(spec) return spec end
function handout.cluster(workers) return workers end
function handout.tracker(tracker) return tracker end

function handout.reads(paths)
  inside "handout.reads"
  if type(paths) ~= "table" or not is_list(paths) then
    raise("reads: expected a list of paths, got %s", describe(paths))
  end
  for i, path in ipairs(paths) do
    if type(path) ~= "string" then raise("reads: entry %d: expected a path, got %s", i, describe(path)) end
  end
end

-- ---- Outside: grants, files, programs -------------------------------------------------------------------------------
--
-- `world` stands in for it in tests: `files` (path → text; then no real file is touched), `folders`, `env`, `exec`,
-- `host`. What is not in it is real. What a run allows is not looked at: grants are enough.

local world = {}
local grants_of = setmetatable({}, { __mode = "k" })  -- attempt → what its task asked for
local scratch_of = setmetatable({}, { __mode = "k" }) -- attempt → its folder, when it was asked for

do
  --- A path without `.`, `..` and doubled slashes; relative when it is beneath the run directory.
  local function normal(path)
    local home = os.getenv "PWD"
    if home and home ~= "/" and (path .. "/"):sub(1, #home + 1) == home .. "/" then
      path = "./" .. path:sub(#home + 2)
    end
    local root, parts = path:sub(1, 1) == "/" and "/" or "", {}
    for part in path:gmatch "[^/]+" do
      if part == ".." and #parts > 0 and parts[#parts] ~= ".." then parts[#parts] = nil
      elseif part ~= "." and not (part == ".." and root == "/") then parts[#parts + 1] = part end
    end
    local text = root .. table.concat(parts, "/")
    return text == "" and "." or text
  end

  --- What of a path is beneath a folder, which may be the path itself; nil: it lies elsewhere. Both are normal.
  local function beneath(folder, path)
    if folder == "." then return not path:find "^/" and not (path .. "/"):find "^%.%./" and path or nil end
    if folder == "/" then return path:match "^/(.*)$" end
    if path == folder then return "" end
    return path:sub(1, #folder + 1) == folder .. "/" and path:sub(#folder + 2) or nil
  end

  local function is_hidden(path)
    path = "/" .. path
    return path:find "/%.[^./]" ~= nil or path:find "/%.%.[^/]" ~= nil
  end

  --- Raises what is not retried.
  local function refuse(format, ...)
    error(setmetatable({ message = place() .. format:format(...), is_final = true }, Raised))
  end

  local function need_grant(call, kind, name)
    for _, granted in ipairs(grants_of[current][kind] or {}) do
      if granted == name then return end
    end
    refuse("%s: '%s' is not granted: the task asks for it with grant = { %s = { %s } }", call, name, kind,
      describe(name))
  end

  --- A path that a task names, normal. Raises when its grants do not cover it.
  local function reach(call, path, verb)
    inside("handout." .. call)
    if type(path) ~= "string" then raise("%s: expected a path, got %s", call, describe(path)) end
    if path == "" or path:find("\0", 1, true) then raise("%s: %s is no path", call, describe(path)) end
    local full, rest, longest = normal(path), nil, -1
    for _, folder in ipairs(grants_of[current][verb] or {}) do
      folder = normal(folder)
      local inner = beneath(folder, full)
      if inner and #folder > longest then rest, longest = inner, #folder end
    end
    if scratch_of[current] and beneath(scratch_of[current], full) then return full end
    local here = beneath(".", full)
    if rest and not is_hidden(rest) then return full end
    if is_hidden(rest or here or "") then
      refuse("%s: '%s': hidden files and folders are not %s", call, path, verb == "read" and "read" or "written")
    elseif verb == "write" then
      refuse("%s: '%s' is not granted: the task asks for it with grant = { write = { %s } }", call, path,
        describe(path))
    elseif not here then
      refuse("%s: '%s' is outside of the run directory and not granted: the task asks for it with grant = "
        .. "{ read = { %s } }", call, path, describe(path))
    end
    return full
  end

  -- Two disks: the real one, by plain Lua and a shell, and one of tables. Each call gives nil and why when it fails.

  local function quote(text) return "'" .. tostring(text):gsub("'", "'\\''") .. "'" end
  local function argument(path) return quote(path:find "^/" and path or "./" .. path) end
  local function shell(...) return (os.execute(table.concat({ ... }, " ") .. " 2>/dev/null")) end
  local function output_of(...)
    local pipe = io.popen(table.concat({ ... }, " ") .. " 2>/dev/null", "r")
    local text = pipe:read "a"
    return pipe:close() and text or nil
  end

  local disk = {}

  function disk.stat(path)
    local kind, bytes, time = (output_of("stat -L -c '%F|%s|%.9Y'", argument(path)) or ""):match "^([^|]*)|(%d+)|(%S+)"
    if not kind then return nil end
    kind = kind:find "regular" and "file" or kind == "directory" and kind or "other"
    return { kind = kind, size = math.tointeger(tonumber(bytes)), mtime = tonumber(time) + 0.0 }
  end

  function disk.read(path)
    local file, wrong = io.open(path, "rb")
    if not file then return nil, (wrong:gsub("^.*: ", "")) end
    local text = file:read "a"
    file:close()
    if text then return text end
    return nil, "is a directory"
  end

  function disk.write(path, text)
    local part = path .. ".handout-part"
    local file, wrong = io.open(part, "wb")
    if not file then return nil, (wrong:gsub("^.*: ", "")) end
    local good = file:write(text)
    if file:close() and good and os.rename(part, path) then return true end
    os.remove(part)
    return nil, disk.stat(path) and "Is a directory" or "cannot be written"
  end

  function disk.list(path)
    local text = output_of("find", argument(path) .. "/", "-mindepth 1 -maxdepth 1 -printf '%f\\0'")
    if not text then return nil, disk.stat(path) and "Not a directory" or "No such file or directory" end
    local names = {}
    for name in text:gmatch "([^\0]+)\0" do names[#names + 1] = name end
    table.sort(names)
    return names
  end

  function disk.mkdir(path) return shell("mkdir -p", argument(path)) or nil, "cannot be made" end
  function disk.remove(path)
    local good, wrong = os.remove(path)
    return good, wrong and wrong:gsub("^.*: ", "")
  end
  function disk.rename(from, to)
    local good, wrong = os.rename(from, to)
    return good, wrong and wrong:gsub("^.*: ", "")
  end

  local tables = {}

  function tables.stat(path)
    if world.files[path] then return { kind = "file", size = #world.files[path], mtime = 0.0 } end
    if path == "." or world.folders[path] then return { kind = "directory", size = 0, mtime = 0.0 } end
    for name in next, world.files do
      if (beneath(path, name) or "") ~= "" then return { kind = "directory", size = 0, mtime = 0.0 } end
    end
  end

  function tables.read(path)
    if world.files[path] then return world.files[path] end
    return nil, tables.stat(path) and "is a directory" or "No such file or directory"
  end

  function tables.write(path, text)
    if not world.files[path] and tables.stat(path) then return nil, "Is a directory" end
    world.files[path] = text
    return true
  end

  function tables.list(path)
    local status, seen = tables.stat(path), {}
    if not status or status.kind == "file" then
      return nil, status and "Not a directory" or "No such file or directory"
    end
    for _, all in ipairs { world.files, world.folders } do
      for name in next, all do
        local first = (beneath(path, name) or ""):match "^[^/]+"
        if first and first ~= "." then seen[first] = true end
      end
    end
    return ordered_keys(seen)
  end

  function tables.mkdir(path)
    world.folders[path] = true
    return true
  end

  function tables.remove(path)
    local status = tables.stat(path)
    if not status then return nil, "No such file or directory" end
    if status.kind == "directory" and #tables.list(path) > 0 then return nil, "Directory not empty" end
    world.files[path], world.folders[path] = nil, nil
    return true
  end

  function tables.rename(from, to)
    if not tables.stat(from) then return nil, "No such file or directory" end
    for _, all in ipairs { world.files, world.folders } do
      for _, name in ipairs(ordered_keys(all)) do
        local rest = beneath(from, name)
        if rest then all[rest == "" and to or to .. "/" .. rest], all[name] = all[name], nil end
      end
    end
    return true
  end

  local function on() return world.files and tables or disk end

  --- What a call on the disk gives, or raises why not.
  local function done(call, path, result, wrong)
    if result == nil or result == false then raise("%s: '%s': %s", call, path, wrong) end
    return result
  end

  -- Patterns of paths.

  --- The Lua pattern of one part of a path's pattern.
  local function part_pattern(part)
    local text, at = { "^" }, 1
    while at <= #part do
      local c, set, after = part:sub(at, at), part:match("^%[[!^]?(%]?[^%]]*)%]()", at)
      if c == "*" then text[#text + 1] = ".*"
      elseif c == "?" then text[#text + 1] = "."
      elseif c == "[" and set then
        local no = part:find("^%[[!^]", at) and "^" or ""
        text[#text + 1] = "[" .. no .. set:gsub("[%%%]^]", "%%%0") .. "]"
        at = after - 1
      else text[#text + 1] = c:gsub("%W", "%%%0") end
      at = at + 1
    end
    return table.concat(text) .. "$"
  end

  --- The paths that match, sorted, without doubles.
  local function matching(pattern)
    local parts, found, begin = {}, {}, pattern:match "^/*"
    for part in pattern:gmatch "[^/]+" do parts[#parts + 1] = part end
    local function walk(prefix, i)
      local part = parts[i]
      local function go_on(path)
        if i == #parts then found[path] = true else walk(path .. "/", i + 1) end
      end
      if not part:find "[*?[]" then
        local path = prefix .. part
        if i < #parts or on().stat(normal(path)) then go_on(path) end
        return
      end
      if part == "**" and i < #parts then walk(prefix, i + 1) end
      for _, name in ipairs(on().list(normal(prefix == "" and "." or prefix)) or {}) do
        if name:sub(1, 1) ~= "." then
          if part == "**" then
            local status = on().stat(normal(prefix .. name))
            if i == #parts then found[prefix .. name] = true end
            if status and status.kind == "directory" then walk(prefix .. name .. "/", i) end
          elseif name:find(part_pattern(part)) then go_on(prefix .. name) end
        end
      end
    end
    if #parts > 0 then walk(begin, 1) end
    return ordered_keys(found)
  end

  local function planning_path(call, path)
    if current then raise("handout.%s is only there while planning; in a task: handout.fs.%s", call, call) end
    if type(path) ~= "string" or path == "" then raise("%s: expected a path, got %s", call, describe(path)) end
    local full = normal(path)
    if not beneath(".", full) then raise("%s: '%s': is outside of the run directory", call, path) end
    if is_hidden(full) then raise("%s: '%s': hidden files and folders are not read", call, path) end
    return full
  end

  function handout.glob(pattern) return matching(planning_path("glob", pattern)) end

  function handout.read(path)
    local full = planning_path("read", path)
    local text = done("read", path, on().read(full))
    if #text > 16 << 20 then raise("read: '%s': is larger than 16 MiB: read it in a task", path) end
    return text
  end

  -- handout.fs.

  local fs = {}

  local function options_of(call, options, ...)
    local known = {}
    for _, name in ipairs { ... } do known[name] = true end
    if options ~= nil and type(options) ~= "table" then
      raise("%s: expected a table, got %s", call, describe(options))
    end
    for key in handout.sorted(options or {}) do
      if not known[key] then raise("%s: unknown option %s%s", call, describe(key), hint(tostring(key), known)) end
    end
    return options or {}
  end

  local function count_of(call, options, name, least, otherwise)
    local value = options[name]
    if value == nil then return otherwise end
    local number = math.type(value) and math.tointeger(value)
    if not number or number < least then
      raise("%s: %s: expected a whole number, at least %d, got %s", call, name, least, describe(value))
    end
    return number
  end

  local function text_of(call, text)
    if type(text) ~= "string" and type(text) ~= "number" then
      raise("%s: expected a string to write, got %s", call, describe(text))
    end
    return tostring(text)
  end

  function fs.read(path, options)
    options = options_of("fs.read", options, "offset", "length")
    local offset = count_of("fs.read", options, "offset", 0, 0)
    local length = count_of("fs.read", options, "length", 0, math.maxinteger)
    local text = done("fs.read", path, on().read(reach("fs.read", path, "read")))
    return text:sub(offset + 1, length > #text and -1 or offset + length)
  end

  function fs.lines(path, options)
    local chunk = count_of("fs.lines", options_of("fs.lines", options, "chunk"), "chunk", 1)
    local text = done("fs.lines", path, on().read(reach("fs.lines", path, "read")))
    local lines, count = {}, 0
    for line_, newline in text:gmatch "([^\n]*)(\n?)" do
      if line_ ~= "" or newline ~= "" then
        if not chunk then lines[#lines + 1] = line_
        elseif count % chunk == 0 then lines[#lines + 1] = line_ .. newline
        else lines[#lines] = lines[#lines] .. line_ .. newline end
        count = count + 1
      end
    end
    return lines
  end

  function fs.ranges(path, options)
    local most = options_of("fs.ranges", options, "bytes").bytes
    local bytes = most == nil and 64 << 20 or size_of(most)
    if not bytes or bytes == 0 then
      raise('fs.ranges: bytes: expected a size such as "64MiB", got %s', describe(most))
    end
    local text = done("fs.ranges", path, on().read(reach("fs.ranges", path, "read")))
    local ranges, start = {}, 0
    while start < #text do
      local stop = bytes < #text - start and text:find("\n", start + bytes, true) or #text
      ranges[#ranges + 1] = { path = path, offset = start, length = stop - start }
      start = stop
    end
    return ranges
  end

  function fs.glob(pattern)
    if type(pattern) ~= "string" then raise("fs.glob: expected a pattern, got %s", describe(pattern)) end
    local fixed = pattern:match "^([^*?[]*)/[^/]*" or (pattern:find "^/" and "/" or ".")
    reach("fs.glob", fixed == "" and "/" or fixed, "read")
    if is_hidden(pattern) then refuse("fs.glob: '%s': hidden files and folders are not read", pattern) end
    return matching(pattern)
  end

  function fs.list(path) return done("fs.list", path, on().list(reach("fs.list", path, "read"))) end
  function fs.stat(path) return on().stat(reach("fs.stat", path, "read")) end
  function fs.exists(path) return on().stat(reach("fs.exists", path, "read")) ~= nil end

  function fs.write(path, text)
    text = text_of("fs.write", text)
    done("fs.write", path, on().write(reach("fs.write", path, "write"), text))
  end

  function fs.append(path, text)
    local full = reach("fs.append", path, "write")
    done("fs.append", path, on().write(full, (on().read(full) or "") .. text_of("fs.append", text)))
  end

  function fs.mkdir(path) done("fs.mkdir", path, on().mkdir(reach("fs.mkdir", path, "write"))) end
  function fs.remove(path) done("fs.remove", path, on().remove(reach("fs.remove", path, "write"))) end

  function fs.rename(from, to)
    local a, b = reach("fs.rename", from, "write"), reach("fs.rename", to, "write")
    done("fs.rename", from, on().rename(a, b))
  end

  function fs.copy(from, to)
    local a, b = reach("fs.copy", from, "read"), reach("fs.copy", to, "write")
    done("fs.copy", to, on().write(b, done("fs.copy", from, on().read(a))))
  end

  --- SHA-256 of a text, as bytes in hexadecimal.
  local function sha256(text)
    local primes, k, h = {}, {}, {}
    for n = 2, 311 do
      local is_prime = true
      for _, p in ipairs(primes) do is_prime = is_prime and n % p ~= 0 end
      if is_prime then primes[#primes + 1] = n end
    end
    --- The first 32 bits of the fraction of a root: the greatest n with (n / 2^32)^power <= p, its high part cut off.
    local function fraction(p, power)
      local root = p ^ (1 / power)
      return math.tointeger((root - root // 1) * 0x1p32 // 1)
    end
    for i = 1, 64 do k[i] = fraction(primes[i], 3) end
    for i = 1, 8 do h[i] = fraction(primes[i], 2) end
    local function turn(x, by) return (x >> by | x << 32 - by) & 0xFFFFFFFF end
    local bits = #text * 8
    text = text .. "\x80" .. ("\0"):rep((55 - #text) % 64) .. (">I8"):pack(bits)
    for at = 1, #text, 64 do
      local w = { (">" .. ("I4"):rep(16)):unpack(text, at) }
      for i = 17, 64 do
        local x, y = w[i - 15], w[i - 2]
        w[i] = w[i - 16] + (turn(x, 7) ~ turn(x, 18) ~ x >> 3) + w[i - 7] + (turn(y, 17) ~ turn(y, 19) ~ y >> 10)
          & 0xFFFFFFFF
      end
      local a, b, c, d, e, f, g, last = table.unpack(h)
      for i = 1, 64 do
        local one = last + (turn(e, 6) ~ turn(e, 11) ~ turn(e, 25)) + (e & f ~ ~e & g) + k[i] + w[i] & 0xFFFFFFFF
        local two = (turn(a, 2) ~ turn(a, 13) ~ turn(a, 22)) + (a & b ~ a & c ~ b & c)
        a, b, c, d, e, f, g, last = one + two & 0xFFFFFFFF, a, b, c, d + one & 0xFFFFFFFF, e, f, g
      end
      for i, more in ipairs { a, b, c, d, e, f, g, last } do h[i] = h[i] + more & 0xFFFFFFFF end
    end
    return (("%08x"):rep(8)):format(table.unpack(h))
  end

  function fs.hash(path) return sha256(done("fs.hash", path, on().read(reach("fs.hash", path, "read")))) end

  files.calls = fs

  handout.fs = setmetatable({}, {
    __index = function(_, key)
      return fs[key] or raise("handout.fs has no call %s%s", describe(key), hint(tostring(key), fs))
    end,
    __newindex = function() raise "handout.fs is read-only" end,
    __metatable = false,
  })

  -- Variables and functions of the host.

  function handout.env(name)
    inside "handout.env"
    if type(name) ~= "string" or name == "" then
      raise("env: expected the name of a variable, got %s", describe(name))
    end
    need_grant("env", "env", name)
    if world.env then return world.env[name] end
    return os.getenv(name)
  end

  handout.host = setmetatable({}, {
    __index = function(_, name)
      return function(...)
        inside("handout.host." .. tostring(name))
        need_grant("host." .. tostring(name), "host", name)
        local fn = (world.host or {})[name]
        if not fn then raise("host.%s: there is no such function here (a test gives it with the mock `host`)", name) end
        local given = table.pack(...)
        for i = 1, given.n do
          local plain, wrong = copy(given[i], ("argument %d"):format(i), "cannot be given to the host")
          if wrong then raise("host.%s: %s", name, wrong) end
          given[i] = plain
        end
        local result, wrong = copy(fn(table.unpack(given, 1, given.n)), "result", "cannot come from the host")
        if wrong then raise("host.%s: %s", name, wrong) end
        return result
      end
    end,
    __newindex = function() raise "handout.host is read-only" end,
    __metatable = false,
  })

  -- Programs.

  local exec_options = { stdin = true, stdin_file = true, stdout = true, stderr = true, env = true, cwd = true,
    timeout = true, check = true }
  files.exec_options = exec_options

  --- A program and its arguments as strings.
  local function words_of(list)
    local words = {}
    for i, word in ipairs(list) do
      if type(word) ~= "string" and type(word) ~= "number" then
        local what = i == 1 and "program" or ("argument %d"):format(i - 1)
        raise("exec: %s: expected a string or a number, got %s", what, describe(word))
      end
      words[i] = tostring(word)
    end
    if #words == 0 then raise "exec: expected a program and its arguments, got none" end
    need_grant("exec", "exec", words[1])
    return words
  end

  --- Copies a command: `parts` of words, and its options, checked.
  local function read_command(command)
    if type(command) ~= "table" then raise("exec: expected a table of words, got %s", describe(command)) end
    local job = { parts = {} }
    for key, value in next, command do
      if math.type(key) ~= "integer" then
        if not exec_options[key] then
          raise("exec: unknown option %s%s", describe(key), hint(tostring(key), exec_options))
        end
        job[key] = value
      end
    end
    if type(command[1]) == "table" then
      for i, part in ipairs(command) do
        if type(part) ~= "table" then raise("exec: part %d of the pipeline: expected a table of words", i) end
        job.parts[i] = words_of(part)
      end
    else
      job.parts[1] = words_of(command)
    end
    if job.stdin ~= nil and type(job.stdin) ~= "string" then raise "exec: stdin: expected a string" end
    if job.stdin and job.stdin_file then raise "exec: stdin and stdin_file: expected one of them" end
    if job.check ~= nil and type(job.check) ~= "boolean" then raise "exec: check: expected true or false" end
    if job.timeout ~= nil and not seconds_of(job.timeout) then
      raise('exec: timeout: expected a duration such as "1h30m" or seconds, got %s', describe(job.timeout))
    end
    if job.env ~= nil and type(job.env) ~= "table" then raise "exec: env: expected a table of names and values" end
    if job.stdin_file then job.stdin_file = reach("exec: stdin_file", job.stdin_file, "read") end
    for _, name in ipairs { "stdout", "stderr" } do
      if job[name] ~= nil then job[name] = reach("exec: " .. name, job[name], "write") end
    end
    return job
  end

  --- What a mock answers. It is given the words, of a pipeline a list of lists.
  local function mocked(job)
    local answer = world.exec(#job.parts == 1 and job.parts[1] or job.parts)
    if type(answer) ~= "table" then
      raise("exec: the mock gave %s for '%s', expected a table such as { code = 0 }", describe(answer), job.parts[1][1])
    end
    local code = answer.code or answer.signal and 128 + answer.signal or 0
    local result = { code = code, signal = answer.signal, stdout = answer.stdout or "", stderr = answer.stderr or "",
      seconds = answer.seconds or 0.0, codes = answer.codes }
    if #job.parts > 1 and not result.codes then
      result.codes = {}
      for i = 1, #job.parts do result.codes[i] = i == #job.parts and code or 0 end
    end
    for _, name in ipairs { "stdout", "stderr" } do
      if job[name] then
        done("exec: " .. name, job[name], on().write(job[name], result[name]))
        result[name] = nil
      end
    end
    return result
  end

  local function assigned(job)
    local values = {}
    for _, name in ipairs { "PATH", "HOME", "LANG" } do values[name] = os.getenv(name) end
    values.TMPDIR = handout.task.scratch
    values.OMP_NUM_THREADS = math.max(1, math.floor(current.amounts.cpu or 1))
    for _, name in ipairs(grants_of[current].env or {}) do values[name] = handout.env(name) end
    for name, value in next, job.env or {} do values[name] = value end
    local text = {}
    for name, value in handout.sorted(values) do text[#text + 1] = quote(("%s=%s"):format(name, value)) end
    return table.concat(text, " ")
  end

  --- Runs it by the shell, with files between.
  local function real(job)
    if world.files then
      raise("exec: '%s' would run on real files: a test with the mock `files` gives `exec` too", job.parts[1][1])
    end
    local begun, folder = os.time(), handout.task.scratch
    local base = ("%s/.exec"):format(folder)
    if job.stdin then done("exec: stdin", base .. ".in", disk.write(base .. ".in", job.stdin)) end
    local input = job.stdin and base .. ".in" or job.stdin_file or "/dev/null"
    local out, err = job.stdout or base .. ".out", job.stderr or base .. ".err"
    local home = job.cwd and ("cd %s &&"):format(argument(normal(job.cwd))) or ""
    local start = os.getenv "PWD" or "."
    local function absolute(path) return quote(path:find "^/" and path or start .. "/" .. path) end
    local limit = job.timeout and ("timeout -s KILL %s"):format(("%.3f"):format(seconds_of(job.timeout))) or ""
    local pieces = {}
    for i, words in ipairs(job.parts) do
      local name = words[1]
      if name:find "/" then
        if not shell("test -x", argument(name)) then raise("exec: '%s' is no program", name) end
      elseif not shell("command -v", quote(name), ">/dev/null") then
        raise("exec: '%s' was not found in PATH", name)
      end
      local shown = {}
      for k, word in ipairs(words) do shown[k] = quote(word) end
      if name:find "/" and not name:find "^/" then shown[1] = absolute(name) end
      pieces[i] = ("{ env -i %s %s %s; echo $? >%s; }"):format(assigned(job), limit, table.concat(shown, " "),
        absolute(("%s.code%d"):format(base, i)))
    end
    os.execute(("{ %s %s; } <%s >%s 2>%s"):format(home, table.concat(pieces, " | "), absolute(input), absolute(out),
      absolute(err)))
    local result = { code = 0, seconds = os.difftime(os.time(), begun), codes = #pieces > 1 and {} or nil }
    for i = 1, #pieces do
      local code = math.tointeger(tonumber(disk.read(("%s.code%d"):format(base, i)) or "")) or 127
      if result.codes then result.codes[i] = code end
      if code ~= 0 then result.code, result.failed = code, i end
    end
    if job.timeout and result.code == 137 then
      raise("exec: '%s' ran longer than %.14g s (timeout)", job.parts[1][1], seconds_of(job.timeout))
    end
    if result.code > 128 and result.code <= 192 then result.signal = result.code - 128 end
    for name, path in next, { stdout = out, stderr = err } do
      if not job[name] then result[name] = disk.read(path) or "" end
    end
    return result
  end

  function handout.exec(command)
    inside "handout.exec"
    local job = read_command(command)
    local result = (world.exec and mocked or real)(job)
    if job.check ~= false and (result.code ~= 0 or result.signal) then
      local failed = result.failed
      for i, code in ipairs(result.codes or {}) do failed = code ~= 0 and i or failed end
      local name = job.parts[failed or #job.parts][1]
      local text = (result.stderr or ""):gsub("\n+$", ""):sub(-2048)
      local how = result.signal and ("was ended by signal %d"):format(result.signal)
        or ("exited %d"):format(result.code)
      raise("exec: '%s' %s%s", name, how, text ~= "" and ": " .. text or "")
    end
    result.failed = nil
    return result
  end

  --- The folder of an attempt, made when it is first asked for.
  function files.scratch(task)
    if not scratch_of[task] then
      if world.files then
        scratch_of[task] = "scratch/" .. task.id
        world.folders[scratch_of[task]] = true
      else
        local path = os.tmpname()
        os.remove(path)
        done("scratch", path, disk.mkdir(path))
        scratch_of[task] = path
      end
    end
    return scratch_of[task]
  end

  --- After an attempt.
  function files.drop_scratch(task)
    if scratch_of[task] and not world.files then shell("rm -rf --", argument(scratch_of[task])) end
    scratch_of[task] = nil
  end

  --- Makes the folders that files are to be written to.
  function files.make_parents(paths)
    for _, path in ipairs(paths) do
      local folder = normal(path):match "^(.+)/[^/]+$"
      if folder and not on().stat(folder) then done("writes", path, on().mkdir(folder)) end
    end
  end

  --- A world for `mocks`, whose files are copied.
  function files.world(mocks)
    local new = { env = mocks.env, exec = mocks.exec, host = mocks.host }
    if mocks.files then
      new.files, new.folders = {}, {}
      for path, text in next, mocks.files do new.files[normal(path)] = text end
    end
    return new
  end
end

-- ---- Random numbers -------------------------------------------------------------------------------------------------
--
-- The generator of Lua's own math.random, but with a state that can be put aside: each attempt, and each module while it
-- is loaded, has its own sequence.

local sequence = {}

--- FNV-1a, 64 bits: tells the random numbers of one task from those of another.
local function hash(text)
  local h = 0xCBF29CE484222325
  for i = 1, #text do h = (h ~ text:byte(i)) * 0x100000001B3 end
  return h
end

local function rotate(x, by) return x << by | x >> 64 - by end

local function next_random()
  local a, b, c, d = table.unpack(sequence)
  c, d = c ~ a, d ~ b
  sequence = { a ~ d, b ~ c, c ~ b << 17, rotate(d, 45) }
  return rotate(b * 5, 7) * 9
end

local function start_sequence(seed, stream)
  sequence = { seed, 0xFF, stream, 0 }
  for _ = 1, 16 do next_random() end
end

local function random(...)
  local count, low, high = select("#", ...), ...
  local number = next_random()
  if count == 0 then return (number >> 11) * 0x1p-53 end
  if count > 2 then raise "wrong number of arguments" end
  for i = 1, count do
    if not math.tointeger((select(i, ...))) then
      raise("bad argument #%d to 'random' (an integer expected, got %s)", i, describe((select(i, ...))))
    end
  end
  if count == 1 then
    if low == 0 then return number end
    low, high = 1, low
  end
  low, high = math.tointeger(low), math.tointeger(high)
  if low > high then raise("bad argument #%d to 'random' (interval is empty)", count) end
  local most = high - low -- without a sign
  local mask = most
  for _, by in ipairs { 1, 2, 4, 8, 16, 32 } do mask = mask | mask >> by end
  number = number & mask
  while math.ult(most, number) do number = next_random() & mask end
  return number + low
end

-- ---- Running --------------------------------------------------------------------------------------------------------
--
-- A cell is what became of a node: its state is "done", "absent" (a condition, or optional), "failed" or "skipped"
-- (what it needs has failed). The cell of a map has the cells of its instances as `items`, with their keys in `keys`.

local absent = { state = "absent", reason = "skipped" }
local stop = {} -- raised to end a run after a failure

--- The message of a raised value, and how the attempt ended by it. No metamethod runs.
local function failure_of(raised)
  local traceback = debug.traceback("", 2):gsub("%s+%[C%]: in function 'xpcall'.*", "")
  local failure = { kind = "error", traceback = traceback }
  local text = raised
  if type(raised) == "table" then
    text = rawget(raised, "message")
    if getmetatable(raised) == Raised then failure.kind, failure.is_final = raised.ended or "error", raised.is_final
    else failure.value = copy(raised, "value", "cannot leave its task") end
  end
  if type(text) ~= "string" and type(text) ~= "number" then text = "raised " .. describe(raised) end
  failure.message = tostring(text)
  return failure
end

--- Random numbers by seed and task.
local function begin_sequence(run, task) start_sequence(run.seed, hash(task.id)) end

--- One call of a task's function. Returns its result, or nil and the failure.
local function attempt(run, fn, arguments, task)
  current = task
  begin_sequence(run, task)
  local results = table.pack(xpcall(fn, failure_of, table.unpack(arguments, 1, arguments.n)))
  files.drop_scratch(task)
  current = nil
  if not results[1] then return nil, results[2] end
  if results.n > 2 then
    local words = ("the task returned %d values, expected one"):format(results.n - 1)
    return nil, { kind = "result", message = words }
  end
  local value, wrong = copy(results[2], "result", "cannot leave its task")
  return value, wrong and { kind = "result", message = wrong } or nil
end

local function may_retry(failure, options)
  if failure.is_final or failure.kind == "result" then return false end
  return failure.kind ~= "memory" or type(options.memory) == "function" -- else there is never more of it
end

-- ---- Options that are functions -------------------------------------------------------------------------------------

local default_memory = 256 << 20

--- Bytes of a value as the program encodes it (MessagePack).
local function encoded_size(value)
  local function head(n, short, medium) return n < short and 1 or n < medium and 2 or n < 65536 and 3 or 5 end
  local kind = math.type(value) or type(value)
  if kind == "nil" or kind == "boolean" then return 1 end
  if kind == "float" then return 9 end
  if kind == "integer" then
    if value >= -32 and value < 128 then return 1 end
    local most = value < 0 and { 0x80, 0x8000, 0x80000000 } or { 0x100, 0x10000, 0x100000000 }
    local size = value < 0 and -(value + 1) or value
    return size < most[1] and 2 or size < most[2] and 3 or size < most[3] and 5 or 9
  end
  if kind == "string" then return head(#value, 32, 256) + #value end
  local count, size, list = 0, 0, is_list(value)
  for key, element in next, value do
    count, size = count + 1, size + encoded_size(element) + (list and 0 or encoded_size(key))
  end
  return head(count, 16, 0) + size
end

--- `64MiB`, `1.5GiB`
local function size_text(bytes)
  for _, unit in ipairs { { "TiB", 1 << 40 }, { "GiB", 1 << 30 }, { "MiB", 1 << 20 }, { "KiB", 1 << 10 } } do
    if bytes >= unit[2] then
      if bytes % unit[2] == 0 then return bytes // unit[2] .. unit[1] end
      return ("%.2f"):format(bytes // (unit[2] // 100 + 1) / 100):gsub("%.?0+$", "") .. unit[1]
    end
  end
  return bytes .. " bytes"
end

--- An amount with the four decimals that are kept.
local function rounded(number)
  number = math.floor(number * 10000 + 0.5) / 10000
  return math.tointeger(number) or number
end

--- What a function gave for an option, as it counts; or nil and what was expected.
local function read_given(name, value)
  local got = ", got " .. describe(value)
  if name == "memory" then
    local bytes = size_of(value)
    if not bytes then return nil, 'expected a size such as "512MiB"' .. got end
    if bytes > 0 and bytes < 1 << 20 then return nil, ("expected 0 or at least 1MiB, got %d bytes"):format(bytes) end
    return bytes
  elseif name == "timeout" or name == "estimate" then
    local seconds = seconds_of(value)
    return seconds, 'expected a duration such as "1h30m" or seconds' .. got
  elseif name == "priority" then
    local number = math.type(value) and math.tointeger(value)
    local fits = number and number >= -1 << 31 and number < 1 << 31
    return fits and number or nil, "expected a whole number" .. got
  end
  if type(value) ~= "number" or not (value >= 0 and value <= 1e9) then
    return nil, "expected a number from 0 to 1000000000" .. got
  end
  value = rounded(value)
  if name == "gpu" and value > 1 and math.type(value) ~= "integer" then
    return nil, ("above 1 it is a whole number, got %g"):format(value)
  end
  return value
end

local function is_set_by_variant(options, name)
  local resource = name:match "^resources%.(.*)"
  for _, variant in ipairs(type(options.variants) == "table" and options.variants or {}) do
    local set = variant[resource and "resources" or name]
    if set ~= nil and (not resource or set[resource] ~= nil) then return true end
  end
  return false
end

--- The functions among a task's options, by name.
local function functions_of(options)
  local found = {}
  if options.inline then return found end
  for _, name in ipairs { "cpu", "estimate", "gpu", "memory", "priority", "timeout" } do
    if type(options[name]) == "function" then found[name] = options[name] end
  end
  for name, value in next, options.resources or {} do
    if type(value) == "function" then found["resources." .. name] = value end
  end
  for name in next, found do
    if is_set_by_variant(options, name) then found[name] = nil end
  end
  return found
end

--- What a task holds, as far as it is declared, and with what functions gave.
local function amounts_of(options, given)
  local amounts = {}
  local function set(name, value)
    if value == nil or type(value) == "function" then return end
    amounts[name] = value ~= 0 and rounded(value) or nil
  end
  set("gpu", given.gpu or options.gpu)
  for name, value in next, options.resources or {} do set(name, given["resources." .. name] or value) end
  amounts.cpu = rounded(given.cpu or type(options.cpu) == "number" and options.cpu or 1)
  amounts.memory = given.memory or options.memory and type(options.memory) ~= "function" and size_of(options.memory)
  if amounts.memory == 0 then amounts.memory = nil end
  return amounts
end

--- Asks one function. Returns what it gave, or nil and the failure.
local function ask(name, fn, inputs, before)
  local results = table.pack(xpcall(fn, failure_of, inputs, before))
  if not results[1] then
    local failure = results[2]
    failure.message = ("option '%s': %s"):format(name, failure.message)
    return nil, failure
  end
  local value, wrong = read_given(name, results[2])
  if value then return value end
  local place_ = debug.getinfo(fn, "S")
  return nil, { kind = "error", message = ("option '%s': the function at %s:%d: %s"):format(name,
    place_.source:sub(2), place_.linedefined, wrong) }
end

--- Asks the functions among a task's options, before an attempt of it: sets what the task holds. Returns nothing, or the
--- failure. `met`: the most memory that was not enough.
local function measure(run, node, task, arguments, before, met)
  local functions = functions_of(node.options)
  if not next(functions) then return end
  local inputs, given = { n = arguments.n, bytes = {} }, {}
  for i = 1, arguments.n do
    inputs.bytes[i] = encoded_size(arguments[i])
    if inputs.bytes[i] <= 65536 then inputs[i] = copy(arguments[i]) end
  end
  before = copy(before)
  begin_sequence(run, task)
  for name, fn in handout.sorted(functions) do
    local failure
    given[name], failure = ask(name, fn, inputs, before)
    if failure then return failure end
  end
  if given.memory and met and (given.memory == 0 and default_memory or given.memory) <= met then
    local words = "option 'memory': %s is no more than was not enough before: %s"
    return { kind = "memory", is_final = true, message = words:format(size_text(given.memory), size_text(met)) }
  end
  task.amounts = amounts_of(node.options, given)
  if given.timeout then task.deadline = given.timeout > 0 and given.timeout or nil end
end

--- Notes what became of a task. Its name without keys is its declared name.
local function note_state(run, name, state)
  run.states[name] = state
  run.tasks[state] = run.tasks[state] + 1
end

local function declared_name(name) return (name:gsub("%[[^]]*%]", "")) end

--- The last failure of a task: what it becomes.
local function fail(run, node, name, failure, number)
  local optional = node.options.optional
  local file, at = failure.message:match "^([^:\n]+):(%d+): "
  run.failures[#run.failures + 1] = { task = name, attempt = number, kind = failure.kind, message = failure.message,
    traceback = failure.traceback, optional = optional or nil, worker = "local", file = file,
    line = math.tointeger(tonumber(at)) }
  note_state(run, name, "failed")
  if optional then return { state = "absent", reason = "failed" } end
  run.ok = false
  if not run.keep_going then error(stop) end
  return { state = "failed" }
end

--- Appends the paths of `reads` or `writes`, which may be a function of `(inputs, attempt)`, to a list.
local function add_paths(list, paths_, node, given, before)
  if type(paths_) == "function" then
    local inputs = copy(given, "inputs", "cannot be an input")
    inputs.bytes = {}
    for i = 1, given.n do inputs.bytes[i] = encoded_size(given[i]) end
    paths_ = paths_(inputs, copy(before))
    if not is_list_of_strings(paths_) then
      raise("task '%s': reads, writes: expected a list of paths, got %s", node.id, describe(paths_))
    end
  end
  table.move(paths_, 1, #paths_, #list + 1, list)
  return paths_
end

--- Sets what an attempt is granted, and makes the folders of what it writes. Returns nothing, or the failure.
local function grant(node, task, given, before)
  local granted = node.options.grant and copy(node.options.grant) or {}
  granted.read, granted.write = granted.read or {}, granted.write or {}
  grants_of[task] = granted
  local good, failure = xpcall(function()
    if node.options.reads then add_paths(granted.read, node.options.reads, node, given, before) end
    if node.options.writes then
      files.make_parents(add_paths(granted.write, node.options.writes, node, given, before))
    end
    table.move(granted.write, 1, #granted.write, #granted.read + 1, granted.read) -- what it made it may read
  end, failure_of)
  if not good then return failure end
end

--- Runs a task to its end; `arguments` makes them anew for each attempt.
local function execute(run, node, name, key, arguments, missing)
  local options = node.options
  local retries, failure, value, number = options.retries or 0, nil, nil, 0
  local fn = run.replace and run.replace[declared_name(name)] or node.fn
  local before = { counts = { error = 0, result = 0, timeout = 0, memory = 0, crash = 0, lost = 0, cancelled = 0 } }
  local task = { id = name, name = node.id, key = key, run = "serial", worker = "local", variant = 1, indices = {},
    missing = missing or {}, amounts = amounts_of(options, {}) }
  local met -- the most memory that was not enough
  if options.timeout and type(options.timeout) ~= "function" then task.deadline = seconds_of(options.timeout) end
  repeat
    number = number + 1
    task.attempt, task.retries_left, before.number = number, retries - number + 1, number
    local given = arguments()
    value, failure = nil, measure(run, node, task, given, before, met)
    local has_begun = not failure
    failure = failure or grant(node, task, given, before)
    if not failure then value, failure = attempt(run, fn, given, task) end
    if failure then
      before.ended, before.message, before.worker, before.amounts = failure.kind, failure.message, nil, nil
      if has_begun then before.worker, before.amounts = "local", copy(task.amounts) end
      before.counts[failure.kind] = before.counts[failure.kind] + 1
      if has_begun and failure.kind == "memory" then met = math.max(met or 0, task.amounts.memory or default_memory) end
    end
  until not failure or number > retries or not may_retry(failure, options)
  if failure and options.recover then
    local given = arguments()
    table.move(given, 1, given.n, 2) -- some may be nil
    given[1] = { kind = failure.kind, message = failure.message, task = name, attempt = number,
      worker = "local", value = failure.value }
    given.n = given.n + 1
    value, failure = attempt(run, options.recover, given, task)
  end
  if failure then return fail(run, node, name, failure, number) end
  if node.kind == "when" then value = value and true or false end
  note_state(run, name, "done")
  return { state = "done", value = value }
end

--- A fresh copy of the value of a cell; nil when it has none.
local function value_of(cell)
  if not cell.items then return (copy(cell.value)) end
  local value = {}
  for i, item in ipairs(cell.items) do
    local element = value_of(item)
    if element == nil and not cell.is_keyed then element = false end
    value[cell.keys[i]] = element
  end
  return value
end

--- The cell of an element of a value.
local function element_of(cell, key)
  if type(key) == "number" then key = math.tointeger(key) or key end
  if cell.items then
    for i, own in ipairs(cell.keys) do
      if own == key then return cell.items[i] end
    end
    return absent
  end
  if cell.state ~= "done" then return cell end
  if type(cell.value) ~= "table" or cell.value[key] == nil then return absent end
  return { state = "done", value = cell.value[key] }
end

local bad = { failed = 2, skipped = 1 }

--- The cell of a node in an instance of its graph. `own` is the element and key of the instance of a map.
local function resolve(instance, node, own)
  if node.kind == "part" then
    local cell = instance.cells[node.of]
    return cell.instance and resolve(cell.instance, node.node) or cell
  elseif node.kind ~= "at" then
    return instance.cells[node]
  end
  local cell, key = resolve(instance, node.of, own), node.key
  if type(key) == "function" then key = key((copy(own.element)), own.key)
  elseif key == nil then key = own.key end
  if type(key) ~= "table" then return key == nil and absent or element_of(cell, key) end
  local slice = { state = "done", items = {}, keys = {}, is_slice = true }
  for i, one in ipairs(key) do
    local item = element_of(cell, one)
    slice.items[i], slice.keys[i] = item, i
    if bad[item.state] then slice.state = item.state end
  end
  return slice
end

--- What stands against running a node: "skipped" or "absent", or nil. With `own`: an instance of a map.
local function gate(instance, node, own)
  local state
  local function look(other)
    if is_of_instance(other) and not own then
      -- What every instance is an element of: without it there is nothing to pick from.
      local root = other
      while is_of_instance(root) do root = root.of end
      local cell = resolve(instance, root)
      if bad[cell.state] and not cell.items then state = "skipped" end
      return
    end
    if is_of_instance(other) ~= (own ~= nil) then return end
    if bad[resolve(instance, other, own).state] then state = "skipped" end
  end
  -- A map over a map goes element by element: each instance looks at its own.
  -- A reduce over a map looks at its conditions when that has instances, and at how they ended after.
  local over = node.over and resolve(instance, node.over, own)
  local has_instances = over and over.items and (node.kind == "map" or node.over.kind == "map")
  if over and not has_instances then look(node.over) end
  each_node(node.needs, look)
  for _, list in ipairs { node.after, node.when, node.unless, node.writers } do
    for _, other in ipairs(list) do look(other) end
  end
  if state and not node.options.always then return state end
  for name, wanted in next, { when = true, unless = false } do
    for _, other in ipairs(node[name]) do
      if is_of_instance(other) == (own ~= nil) and not value_of(resolve(instance, other, own)) == wanted then
        return "absent"
      end
    end
  end
  if has_instances and node.kind == "reduce" and bad[over.state] and not node.options.always then return "skipped" end
end

--- The value of an entry of `needs`.
local function need(instance, entry, own)
  if entry.node then return value_of(resolve(instance, entry.node, own)) end
  local value = {}
  for i, inner in ipairs(entry.list or {}) do
    local element = need(instance, inner, own)
    if element == nil then element = false end
    value[i] = element
  end
  for _, name in ipairs(entry.names or {}) do value[name] = need(instance, entry.by[name], own) end
  return value
end

--- Appends what a node needs and its constants to the arguments; notes what is missing.
local function add_arguments(instance, node, own, arguments, missing)
  local function note(entry, place_)
    if not missing or not entry.node then return end
    local cell = resolve(instance, entry.node, own)
    if cell.state ~= "done" and not cell.is_slice then
      missing[place_] = (cell.state == "failed" or cell.reason == "failed") and "failed" or "skipped"
    end
  end
  local function add(value)
    arguments.n = arguments.n + 1
    arguments[arguments.n] = value
  end
  local needs = node.needs
  if needs and needs.list then
    for i, entry in ipairs(needs.list) do
      note(entry, i)
      add(need(instance, entry, own))
    end
  elseif needs then
    note(needs, 1)
    for _, name in ipairs(needs.names or {}) do note(needs.by[name], name) end
    add(need(instance, needs, own))
  end
  for _, value in ipairs(node.args) do add((copy(value))) end
  return arguments
end

local function run_task(run, instance, node)
  local missing = {}
  return execute(run, node, instance.prefix .. node.id, nil, function()
    return add_arguments(instance, node, nil, { n = 0 }, missing)
  end, missing)
end

--- The elements that a map or reduce runs over: cells and keys; or nil and what is wrong.
local function elements_of(instance, node)
  local value, from = node.elements, ""
  if node.over then
    local cell = resolve(instance, node.over)
    if cell.items then return { cells = cell.items, keys = cell.keys, is_keyed = cell.is_keyed } end
    value, from = cell.value, (" of task '%s'"):format(instance.names[node.over] or node.over.id)
  end
  local kind = type(value)
  if kind ~= "table" or not shape_of(value) then
    local what = "a value that is neither"
    if kind == "nil" or kind == "boolean" or kind == "number" then
      what = (kind == "nil" and "nil" or "a " .. kind) .. from
    end
    return nil, "over: expected a list or a keyed table, got " .. what
  end
  local elements = { cells = {}, keys = ordered_keys(value), is_keyed = shape_of(value) == "names" }
  for i, key in ipairs(elements.keys) do elements.cells[i] = { state = "done", value = value[key] } end
  return elements
end

local run_graph

--- An instance of a graph as an element of a map. Inputs are bound by name, the others in order of declaration.
local function run_inner(run, instance, node, name, own, element)
  local bound, given = {}, { element, { state = "done", value = own.key } }
  local needs = node.needs or {}
  local function cell_of(entry)
    if entry.node then return resolve(instance, entry.node, own) end
    return { state = "done", value = need(instance, entry, own) }
  end
  for _, input in ipairs(needs.names or {}) do bound[input] = cell_of(needs.by[input]) end
  if needs.node then given[3] = cell_of(needs) end
  for _, entry in ipairs(needs.list or {}) do given[#given + 1] = cell_of(entry) end
  local next_given = 0
  for _, input in ipairs(node.inner.inputs) do
    if not bound[input.id] and next_given < #given then
      next_given = next_given + 1
      bound[input.id] = given[next_given]
    end
  end
  local inner = run_graph(run, node.inner, name .. "/", bound)
  local outputs = outputs_of(node.inner)
  local result = { state = "done" }
  if #outputs ~= 1 then result.items, result.keys, result.is_keyed = {}, {}, true end
  for i, output in ipairs(outputs) do
    local cell = resolve(inner, output.node)
    if bad[cell.state] then
      return node.options.optional and { state = "absent", reason = "failed" } or { state = "skipped" }
    end
    if #outputs == 1 then return cell end
    result.items[i], result.keys[i] = cell, output.name
  end
  return result
end

--- What a row becomes that runs over no list.
local function fail_over(run, instance, node, wrong)
  return fail(run, node, instance.prefix .. node.id, { kind = "result", message = wrong }, 1) -- counted as one task
end

--- Notes the tasks of a graph that have no state yet as skipped.
local function skip_rest(run, graph, prefix)
  for _, row in ipairs(graph.rows) do
    local name = prefix .. row.id
    if row.kind == "include" then skip_rest(run, row.inner, name .. "/")
    elseif not run.states[name] then note_state(run, name, "skipped") end
  end
end

local function run_map(run, instance, node)
  local elements, wrong = elements_of(instance, node)
  if not elements then return fail_over(run, instance, node, wrong) end
  local cell = { state = "done", items = {}, keys = elements.keys, is_keyed = elements.is_keyed }
  for i, key in ipairs(elements.keys) do
    local name = ("%s%s[%s]"):format(instance.prefix, node.id, key_text(key))
    local element = elements.cells[i]
    local own = { element = value_of(element), key = key }
    local is_lost = bad[element.state] and not node.options.always
    local state = is_lost and "skipped" or gate(instance, node, own)
    local item
    if state then
      item = { state = state, reason = "skipped" }
      if node.inner then skip_rest(run, node.inner, name .. "/") else note_state(run, name, "skipped") end
    elseif node.inner and not (run.replace and run.replace[declared_name(name)]) then
      item = run_inner(run, instance, node, name, own, element)
    else
      local missing = {}
      item = execute(run, node, name, key, function()
        return add_arguments(instance, node, own, { n = 2, value_of(element), key }, missing)
      end, missing)
    end
    cell.items[i] = item
    if bad[item.state] and cell.state ~= "failed" then cell.state = item.state end
  end
  run.states[instance.prefix .. node.id] = cell.state -- no task of its own: not counted
  return cell
end

local function run_reduce(run, instance, node)
  local elements, wrong = elements_of(instance, node)
  if not elements then return fail_over(run, instance, node, wrong) end
  local arity, level, name = node.options.arity or 8, 0, instance.prefix .. node.id
  local inputs = elements.cells
  local function group(first, count, id)
    local missing = {}
    return execute(run, node, id, nil, function()
      local list = {}
      for i = 1, count do
        local value = value_of(inputs[first + i - 1])
        if value == nil then value = false end
        list[i] = value
      end
      return add_arguments(instance, node, nil, { n = 1, list }, missing)
    end, missing)
  end
  while #inputs > arity do
    local results = {}
    level = level + 1
    for first = 1, #inputs, arity do
      local id = ("%s[%d.%d]"):format(name, level, #results + 1)
      local cell = group(first, math.min(arity, #inputs - first + 1), id)
      if bad[cell.state] and not node.options.always then
        note_state(run, name, "skipped")
        return { state = "skipped" }
      end
      results[#results + 1] = cell
    end
    inputs = results
  end
  return group(1, #inputs, name)
end

local function run_include(run, instance, node, wanted)
  local bound, names = {}, {}
  for name, cell in next, node.bound do bound[name] = cell end
  for _, name in ipairs(node.needs.names) do
    local input, given = node.inner.ids[name], node.needs.by[name].node
    bound[name] = (not wanted or wanted[input]) and resolve(instance, given) or absent
    names[input] = instance.names[given] or given.id
  end
  local inner = run_graph(run, node.inner, instance.prefix .. node.id .. "/", bound, wanted, names)
  return { state = "done", instance = inner }
end

local runners = { task = run_task, when = run_task, map = run_map, reduce = run_reduce, include = run_include }

--- Runs an instance of a graph: its rows in order of declaration, which is one that no reference goes against.
function run_graph(run, graph, prefix, bound, wanted, names)
  local instance = { prefix = prefix, cells = {}, names = names or {} } -- names: of what inputs were bound to
  for _, input in ipairs(graph.inputs) do
    local cell = bound[input.id] or { state = "done", value = input.value }
    if not bound[input.id] and input.value == nil then
      raise("input '%s%s' is not given and has no default", prefix, input.id)
    end
    instance.cells[input] = cell
  end
  for _, row in ipairs(graph.rows) do
    if not wanted or wanted[row] then
      -- What an include is given may have failed: the tasks inside that need it are skipped, no others.
      local node = row.kind == "include" and setmetatable({ needs = false }, { __index = row }) or row
      local state = gate(instance, node)
      if state and row.kind == "include" then skip_rest(run, row.inner, prefix .. row.id .. "/")
      elseif state then note_state(run, prefix .. row.id, "skipped") end
      instance.cells[row] = state and { state = state, reason = "skipped" }
        or runners[row.kind](run, instance, row, wanted and wanted[row])
    end
  end
  return instance
end

-- ---- Scripts --------------------------------------------------------------------------------------------------------

--- Without arguments it starts the task's own numbers anew.
local function randomseed(seed, stream)
  if seed == nil then seed, stream = plan.seed, current and hash(current.id) or 0 end
  seed, stream = math.tointeger(seed), math.tointeger(stream or 0)
  if not seed or not stream then raise "bad argument #1 to 'randomseed' (an integer expected)" end
  start_sequence(seed, stream)
  return seed, stream
end

--- The globals of a script. `pairs` has a defined order while it is planned.
local function environment(directory)
  local env, modules = {}, { handout = handout }
  for name, value in next, _G do env[name] = value end
  env._G, env.arg, env.pairs, env.print = env, nil, planning_pairs, print_
  env.math = {}
  for name, value in next, math do env.math[name] = value end
  env.math.random, env.math.randomseed = random, randomseed
  function env.require(name)
    if modules[name] ~= nil then return modules[name] end
    local path = tostring(name):gsub("%.", "/")
    for _, pattern in ipairs { "%s.lua", "%s/init.lua", "lua_modules/%s.lua", "lua_modules/%s/init.lua" } do
      local file = directory .. pattern:format(path)
      local opened = io.open(file)
      if opened then
        opened:close()
        local chunk, own = assert(loadfile(file, "t", env)), sequence
        start_sequence(plan.seed, hash(name))
        local result = chunk(name)
        sequence = own
        if result == nil then result = true end
        modules[name] = result
        return result
      end
    end
    return require(name)
  end
  return env
end

--- The node of a task's name, which may be in an included graph, or nil.
local function node_named(graph, name)
  local head, rest = name:match "^([^/]+)/(.+)$"
  if not head then return graph.ids[name] end
  local row = graph.ids[head]
  local node = row and row.kind == "include" and node_named(row.inner, rest)
  return node and { kind = "part", graph = graph, id = name, of = row, node = node } or nil
end

--- The outputs and tasks of some names, and the rows that they need: of an included graph a table of its own rows.
local function wanted_rows(graph, targets)
  local outputs, chosen, wanted = outputs_of(graph), {}, {}
  local function want(scope, node)
    while node.kind == "at" do node = node.of end
    if node.kind == "input" then
      scope.rows[node] = true
      local given = scope.row and scope.row.needs.by[node.id]
      if given then want(scope.outer, given.node) end
    elseif node.kind == "part" then
      local row = node.of
      if not scope.rows[row] then
        scope.rows[row], scope.inner[row] = {}, { inner = {}, outer = scope, row = row }
        scope.inner[row].rows = scope.rows[row]
        for _, list in ipairs { row.after, row.when, row.unless } do
          for _, other in ipairs(list) do want(scope, other) end
        end
      end
      want(scope.inner[row], node.node)
    elseif not scope.rows[node] then
      scope.rows[node] = true
      each_reference(node, function(other) want(scope, other) end, true)
    end
  end
  local top = { rows = wanted, inner = {} }
  for _, target in ipairs(targets) do
    local found
    for _, output in ipairs(outputs) do found = found or output.name == target and output.node end
    found = found or node_named(graph, target)
    if not found then raise("target '%s': no output or task of that name", target) end
    want(top, found)
    chosen[#chosen + 1] = { name = target, node = found }
  end
  table.sort(chosen, function(a, b) return a.name < b.name end)
  return chosen, wanted
end

--- The outputs as JSON texts, and as `handout-lua run` prints them. One without a JSON form is a failure of its task.
local function printed(run, instance, outputs)
  local lines, texts = {}, {}
  for i, output in ipairs(outputs) do
    local text, wrong = to_json(value_of(resolve(instance, output.node)))
    if wrong then
      run.ok = false
      run.failures[#run.failures + 1] = { task = output.node.id, attempt = 1, kind = "result", message = wrong }
    end
    texts[i] = { name = output.name, json = text or "null" }
    lines[i] = ("  %s: %s"):format(quoted(output.name), texts[i].json)
  end
  return texts, #lines == 0 and "{}\n" or "{\n" .. table.concat(lines, ",\n") .. "\n}\n"
end

handout.pure = {}

--- Calls `body` with a plan and a world of its own; the former ones are back afterwards, also when it raises.
local function within(own_plan, own_world, body)
  local before, outside = plan, world
  plan, world = own_plan, own_world
  local results = table.pack(pcall(body))
  plan, world, current = before, outside, nil
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

--- Plans a script. Raises what is refused.
---
--- options: `script` (a path), or `source` (its text) and `name` (what messages call it); `given` (parameters: name →
--- `{ text = }` or `{ value = }`), `seed`, `mocks` (`files env exec host`: docs/oracle.md).
--- Returns what `handout.pure.perform` and `handout.pure.call` take: `{ graph, name, plan, world }`.
function handout.pure.load(options)
  local name = options.script or options.name or "script"
  local env = environment(options.script and options.script:match "^(.*/)" or "")
  local chunk, wrong
  if options.source then chunk, wrong = load(options.source, "@" .. name, "t", env)
  else chunk, wrong = loadfile(options.script, "t", env) end
  if not chunk then error(wrong, 0) end
  local loaded = { name = name, plan = { parameters = {}, given = options.given or {}, seed = options.seed or 0 },
    world = files.world(options.mocks or {}) }
  loaded.graph = within(loaded.plan, loaded.world, function()
    start_sequence(plan.seed, 0)
    return chunk()
  end)
  if not is_graph(loaded.graph) then
    error(("%s: the script must return a graph, got %s"):format(name, describe_entry(loaded.graph)), 0)
  end
  for given in handout.sorted(loaded.plan.given) do
    if not loaded.plan.parameters[given] then error(("parameter '%s' is not one of the script's"):format(given), 0) end
  end
  if env.pairs == planning_pairs then env.pairs = pairs end
  return loaded
end

--- The declared task of a name such as `region/table/rows`. Raises when there is none.
local function declared_task(graph, name, whole)
  local head, rest = name:match "^([^/]+)/(.+)$"
  local node = graph.ids[head or name]
  local inner = node and rest and node.inner
  if inner then return declared_task(inner, rest, whole or name) end
  if not node or rest or not node.fn and not node.inner then
    error(("no task '%s' in graph '%s'%s"):format(whole or name, graph.name, hint(head or name, graph.ids)), 0)
  end
  return node
end

--- Calls one task's function, in an attempt of its own: its value, or nil and the failure.
---
--- `arguments` is a list (`n` may say how many); `replace` may have another function for it.
function handout.pure.call(loaded, name, arguments, replace)
  local node = declared_task(loaded.graph, name)
  local fn = replace and replace[name] or not node.inner and node.fn
  if not fn then error(("'%s' has no function: it stands for graph '%s'"):format(name, node.inner.name), 0) end
  local given, wrong = copy(arguments or {}, "arguments", "cannot be an argument")
  if wrong or not given then error(wrong or "arguments: expected a list", 0) end
  for key in next, given do
    if math.type(key) == "integer" then given.n = math.max(given.n or 0, key) end
  end
  given.n = given.n or 0
  local task = { id = name, name = node.id, key = node.kind == "map" and given[2] or nil, run = "call", worker = "local",
    variant = 1, indices = {}, missing = {}, amounts = amounts_of(node.options, {}), attempt = 1,
    retries_left = node.options.retries or 0 }
  return within(loaded.plan, loaded.world, function()
    local value, failure
    failure = grant(node, task, given, { number = 1, counts = {} })
    if not failure then value, failure = attempt({ seed = plan.seed }, fn, given, task) end
    if not failure and node.kind == "when" then value = value and true or false end
    return value, failure
  end)
end

--- Runs a script that was loaded.
---
--- options: `inputs` (name → value), `targets`, `keep_going`, `replace` (declared name → function).
--- Returns `{ ok, text, outputs, values, failures, tasks, states }`: `text` as `handout-lua run` prints it, `outputs` a
--- list of `{ name, json }`, `values` the Lua values by name; none of the three when the run was stopped by a failure.
--- `states` says `done`, `failed` or `skipped` of every task, `tasks` how many there are of each.
function handout.pure.perform(loaded, options)
  local graph = loaded.graph
  local run = { seed = loaded.plan.seed, keep_going = options.keep_going, failures = {}, ok = true, states = {},
    tasks = { done = 0, failed = 0, skipped = 0, cached = 0 }, replace = options.replace }
  for name in handout.sorted(options.replace or {}) do declared_task(graph, name) end
  within(loaded.plan, loaded.world, function()
    local outputs, wanted = outputs_of(graph), nil
    if options.targets and #options.targets > 0 then outputs, wanted = wanted_rows(graph, options.targets) end
    local bound = {}
    for input, value in handout.sorted(options.inputs or {}) do
      if not graph.ids[input] or graph.ids[input].kind ~= "input" then
        raise("graph '%s' has no input '%s'%s", graph.name, input, hint(input, graph.ids))
      end
      bound[input] = { state = "done", value = value }
    end
    local good, instance = pcall(run_graph, run, graph, "", bound, wanted)
    current = nil
    if good then
      run.outputs, run.text = printed(run, instance, outputs)
      run.values = {}
      for _, output in ipairs(outputs) do run.values[output.name] = value_of(resolve(instance, output.node)) end
    elseif instance ~= stop then
      error(instance, 0)
    end
    if not wanted then skip_rest(run, graph, "") end
  end)
  for name, state in next, run.states do
    if state == "absent" then run.states[name] = "skipped" end
  end
  return { ok = run.ok, text = run.text, outputs = run.outputs, values = run.values, failures = run.failures,
    tasks = run.tasks, states = run.states }
end

--- The names there are, each in a table of its own as keys: `options` by call, calls of `fs` and `graph`.
function handout.pure.known()
  local known = { options = { param = parameter_keys, grant = grant_lists, exec = files.exec_options,
    ["map over a graph"] = sub_graph_options }, fs = files.calls, graph = Graph.__index }
  for call, letter in next, { task = "t", map = "m", reduce = "r", when = "w", graph = "g", include = "i" } do
    known.options[call] = {}
    for name, option in next, options_known do
      if option[1]:find(letter, 1, true) then known.options[call][name] = true end
    end
  end
  return known
end

--- Plans and runs a script; the options of both.
function handout.pure.run(options) return handout.pure.perform(handout.pure.load(options), options) end

plan = { parameters = {}, given = {}, seed = 0 } -- of a script that is run without this file's help

-- ---- Command line ---------------------------------------------------------------------------------------------------

local function read_file(path)
  local file, wrong = io.open(path, "rb")
  if not file then error(wrong, 0) end
  local text = file:read "a"
  file:close()
  return text
end

--- What the command line asks for, as options of `handout.pure.run`.
local function parsed(words)
  local options, from_file, i = { given = {}, inputs = {}, targets = {}, seed = 0 }, {}, 0
  local function value_for(option)
    i = i + 1
    return words[i] or error(option .. ": a value is missing", 0)
  end
  local function pair(text, option)
    local name, value = text:match "^([^=]+)=(.*)$"
    if not name then error(("%s: expected name=value, got '%s'"):format(option, text), 0) end
    return name, value
  end
  local readers = {
    ["-p"] = function(text)
      local name, value = pair(text, "-p")
      options.given[name] = { text = value:sub(1, 1) == "@" and read_file(value:sub(2)) or value }
    end,
    ["--params"] = function(path)
      local values, wrong = from_json(read_file(path))
      if type(values) ~= "table" then error(path .. ": " .. (wrong or "expected a JSON object of parameters"), 0) end
      for name, value in next, values do from_file[name] = { value = value } end
    end,
    ["--input"] = function(text)
      local name, value = pair(text, "--input")
      local decoded, wrong = from_json(value)
      if wrong then error(("--input %s: %s"):format(name, wrong), 0) end
      options.inputs[name] = decoded
    end,
    ["--seed"] = function(text)
      if not text:find "^%d+$" then error(("--seed: expected a number, got '%s'"):format(text), 0) end
      options.seed = 0
      for digit in text:gmatch "%d" do options.seed = options.seed * 10 + tonumber(digit) end -- 64 bits, no sign
    end,
  }
  while i < #words do
    i = i + 1
    local word = words[i]
    if word == "--keep-going" then options.keep_going = true
    elseif readers[word] then readers[word](value_for(word))
    elseif word:find "^%-p." then readers["-p"](word:sub(3))
    elseif word:find "^%-%-%a+=" then
      local name, value = word:match "^(%-%-%a+)=(.*)$"
      if not readers[name] then error(("unknown option '%s'"):format(name), 0) end
      readers[name](value)
    elseif word:find "^%-." then error(("unknown option '%s'"):format(word), 0)
    elseif not options.script then options.script = word
    else options.targets[#options.targets + 1] = word end
  end
  if not options.script then error("usage: lua5.4 handout.lua SCRIPT [TARGET…] [-p name=value]", 0) end
  for name, value in next, from_file do options.given[name] = options.given[name] or value end
  return options
end

local function main(words)
  local good, result = pcall(function() return handout.pure.run(parsed(words)) end)
  if not good then
    io.stderr:write(tostring(result), "\n")
    return 2
  end
  for _, failure in ipairs(result.failures) do
    io.stderr:write(("task '%s' failed (%s, attempt %d): %s%s\n"):format(failure.task, failure.kind, failure.attempt,
      failure.message, failure.traceback or ""))
  end
  if result.text then io.stdout:write(result.text) end
  return result.ok and 0 or 1
end

if arg and arg[0] and source_of_this == "@" .. arg[0] then os.exit(main(arg), true) end

return handout
