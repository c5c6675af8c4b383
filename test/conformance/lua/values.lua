-- spec: 2.5

---@case nil is null
-- expect: null
function handle() return nil end
---@case nothing is null
-- expect: null
function handle() local x = 1 end
---@case true
-- expect: true
function handle() return true end
---@case false
-- expect: false
function handle() return false end
---@case integer
-- expect-text: 42
function handle() return 42 end
---@case negative integer
-- expect-text: -7
function handle() return -7 end
---@case zero
-- expect-text: 0
function handle() return 0 end
---@case string with escapes
-- expect: "a\nb\t\"\\ /"
function handle() return 'a\nb\t"\\ /' end
---@case control characters are escaped
-- expect: "\u0000\u0001\u001f\u007f"
function handle() return "\0\1\31\127" end
---@case empty string
-- expect: ""
function handle() return "" end
---@case float keeps its point
-- expect-text: 5.0
function handle() return 5.0 end
---@case division gives a float
-- expect-text: 5.0
function handle() return 10 / 2 end
---@case integer division gives an integer
-- expect-text: 3
function handle() return 7 // 2 end
---@case fraction
-- expect-text: 1.5
function handle() return 1.5 end
---@case negative zero is a float
-- expect-text: -0.0
function handle() return -0.0 end
---@case a sum of integer and float is a float
-- expect-text: 3.0
function handle() return 1 + 2.0 end
---@case exponent gives a float
-- expect-text: 8.0
function handle() return 2 ^ 3 end
---@case not a number is null
-- expect: {"x": null}
function handle() return { x = 0 / 0 } end
---@case infinities are null
-- expect: {"x": null, "y": null}
function handle() return { x = math.huge, y = -math.huge } end
---@case bare not a number is null
-- expect: null
function handle() return 0 / 0 end
---@case integer above 53 bits keeps every digit
-- expect-text: 9007199254740993
function handle() return 9007199254740993 end
---@case largest integer
-- expect-text: 9223372036854775807
function handle() return math.maxinteger end
---@case smallest integer
-- expect-text: -9223372036854775808
function handle() return math.mininteger end
---@case a float that is a large whole number parses to the same number
-- expect: 1e21
function handle() return 1e21 end
---@case two to the 53rd as a float
-- expect: 9007199254740992
function handle() return 2.0 ^ 53 end
---@case a float with seventeen digits survives
-- expect: 0.30000000000000004
function handle() return 0.1 + 0.2 end
---@case smallest denormal survives
-- expect: 5e-324
function handle() return 5e-324 end
---@case largest float survives
-- expect: 1.7976931348623157e308
function handle() return 1.7976931348623157e308 end
---@case unicode
-- expect: "naïve ☃ 𝄞"
function handle() return "naïve ☃ \u{1D11E}" end
---@case empty table is an object
-- expect: {}
function handle() return {} end
---@case sequence is an array
-- expect: [1, "two", true]
function handle() return { 1, "two", true } end
---@case object
-- expect: {"a": 1, "b": {"c": "d"}}
function handle() return { a = 1, b = { c = "d" } } end
---@case nested empty tables
-- expect: {"a": {}, "b": [{}]}
function handle() return { a = {}, b = { {} } } end
---@case a sequence drops its hash keys
-- expect: [1, 2]
function handle() return { 1, 2, x = 3 } end
---@case a hole in a constructor becomes null
-- expect: [1, null, 3]
function handle() return { 1, nil, 3 } end
---@case a hole made later becomes null
-- expect: [1, null, 3]
function handle()
  local t = { 1, 2, 3 }
  t[2] = nil
  return t
end
---@case a trailing nil is not an element
-- expect: [1, 2]
function handle()
  local t = { 1, 2, 3 }
  t[3] = nil
  return t
end
---@case nil fields vanish
-- expect: {"b": 1}
function handle() return { a = nil, b = 1 } end
---@case numeric strings as keys make an object
-- expect: {"1": "a", "2": "b"}
function handle() return { ["1"] = "a", ["2"] = "b" } end
---@case an empty key is a key
-- expect: {"": 1}
function handle() return { [""] = 1 } end
---@case a key may be any text
-- expect: {"a.b c\"☃": 1}
function handle() return { ['a.b c"☃'] = 1 } end
---@case prototype names are plain keys
-- expect-text: {"__proto__":{"x":1}}
function handle() return { ["__proto__"] = { x = 1 } } end
---@case only the first result counts
-- expect: 1
function handle() return 1, 2, 3 end
---@case a metatable is ignored
-- expect: {"a": 1}
function handle()
  return setmetatable({ a = 1 }, { __index = { b = 2 }, __pairs = function() error("called") end })
end
---@case a length metamethod is ignored
-- expect: {"a": 1}
function handle()
  return setmetatable({ a = 1 }, { __len = function() return 5 end })
end
---@case the same table twice is written twice
-- expect: {"a": {"x": 1}, "b": {"x": 1}}
function handle()
  local t = { x = 1 }
  return { a = t, b = t }
end
---@case deep nesting
-- expect: true
function handle()
  local t = {}
  for i = 1, 100 do t = { t } end
  local text = json.encode(t)
  return text:sub(1, 100) == ("["):rep(100) and text:sub(101, 102) == "{}"
end
---@case a number as key of an object without sequence is an error
-- expect-error: runtime - deserialize error: invalid type: integer `5`, expected a string key
function handle() return { [5] = "x" } end
---@case a boolean key is an error
-- expect-error: runtime - expected a string key
function handle() return { [true] = 1 } end
---@case a float key is an error
-- expect-error: runtime - expected a string key
function handle() return { [1.5] = 1 } end
---@case a function is an error
-- expect-error: runtime - deserialize error: unsupported value type `function`
function handle() return { f = print } end
---@case a bare function is an error
-- expect-error: runtime - deserialize error: unsupported value type `function`
function handle() return print end
---@case a coroutine is an error
-- expect-error: runtime - deserialize error: unsupported value type
function handle() return { co = coroutine.create(print) } end
---@case a table that holds itself is an error
-- expect-error: runtime - deserialize error: recursive table detected
function handle()
  local t = {}
  t.me = t
  return t
end
---@case a table that holds itself further down is an error
-- expect-error: runtime - deserialize error: recursive table detected
function handle()
  local t = { a = { b = {} } }
  t.a.b[1] = t
  return t
end
---@case a string that is not UTF-8 is an error
-- expect-error: runtime - invalid type: byte array, expected any valid JSON value
function handle() return "\xff\xfe" end
---@case a truncated UTF-8 string is an error
-- expect-error: runtime - byte array
function handle() return { a = ("☃"):sub(1, 2) } end
---@case a lone surrogate is an error
-- expect-error: runtime - byte array
function handle() return "\xed\xa0\x80" end
---@case toarray of an empty table
-- spec: 2.3
-- expect: {"a": [], "b": {}}
function handle() return { a = toarray({}), b = {} } end
---@case toarray keeps values and drops keys
-- spec: 2.3
-- expect: [1, 2]
function handle() return toarray({ 1, 2, x = 3 }) end
---@case toarray stops at the first nil
-- spec: 2.3
-- expect: [1]
function handle() return toarray({ 1, nil, 3 }) end
---@case toarray gives a new table
-- spec: 2.3
-- expect: {"same": false, "a": {}, "b": []}
function handle()
  local a = {}
  local b = toarray(a)
  return { same = a == b, a = a, b = b }
end
---@case toarray of an object is empty
-- spec: 2.3
-- expect: []
function handle() return toarray({ x = 1 }) end
---@case what toarray gave stays an array when it is filled and emptied
-- spec: 2.3
-- expect: [[1], []]
function handle()
  local a, b = toarray({}), toarray({ 1 })
  table.insert(a, 1)
  table.remove(b)
  return { a, b }
end
---@case an array of arrays
-- spec: 2.3
-- expect: [[], [1], [[2]]]
function handle() return { toarray({}), { 1 }, { { 2 } } } end
---@case a large answer
-- expect: 100000
function handle() return #json.encode(string.rep("x", 100000)) - 2 end
---@case a large sequence
-- expect: true
function handle()
  local t = {}
  for i = 1, 20000 do t[i] = i end
  local back = json.decode(json.encode(t))
  return #back == 20000 and back[20000] == 20000
end
