-- spec: 2.4

---@case encode an object
-- expect: "{\"a\":1}"
function handle() return json.encode({ a = 1 }) end
---@case encode is compact
-- expect: "[1,{\"a\":[true]}]"
function handle() return json.encode({ 1, { a = { true } } }) end
---@case encode scalars
-- expect: "\"x\\\"\"truenull5"
function handle() return json.encode('x"') .. json.encode(true) .. json.encode(nil) .. json.encode(5) end
---@case encode tells integers from floats
-- expect: "[5,5.0,2.5]"
function handle() return json.encode({ 5, 5.0, 2.5 }) end
---@case encode an empty table
-- expect: "{}"
function handle() return json.encode({}) end
---@case encode what toarray gives
-- expect: "[]"
function handle() return json.encode(toarray({})) end
---@case encode writes text beyond ASCII as it is
-- expect: "\"☃\""
function handle() return json.encode("☃") end
---@case encode a function raises
-- expect: [false, true]
function handle()
  local ok, e = pcall(json.encode, { f = print })
  return { ok, string.find(tostring(e), "json.encode: ", 1, true) ~= nil }
end
---@case encode a cycle raises
-- expect: [false, true]
function handle()
  local t = {}
  t.t = t
  local ok, e = pcall(json.encode, t)
  return { ok, string.find(tostring(e), "json.encode: ", 1, true) ~= nil }
end
---@case encode bytes raises
-- expect: false
function handle() return (pcall(json.encode, "\xff")) end
---@case decode an object
-- expect: [2, 2, "x"]
function handle()
  local t = json.decode('{"a":[1,2],"b":"x"}')
  return { #t.a, t.a[2], t.b }
end
---@case decode scalars
-- expect: [1, "s", true, false]
function handle()
  return { json.decode("1"), json.decode('"s"'), json.decode("true"), json.decode("false") }
end
---@case decode ignores white space
-- expect: {"a": [1, 2]}
function handle() return json.decode(' {\n\t"a" : [ 1 , 2 ]\r\n} ') end
---@case decode numbers by their form
-- expect: ["integer", "float", "float", "float", "integer"]
function handle()
  local kinds = {}
  for i, n in ipairs(json.decode("[1,1.0,1.5,1e2,-3]")) do kinds[i] = math.type(n) end
  return kinds
end
---@case decode the largest integer
-- expect: ["9223372036854775807", "-9223372036854775808"]
function handle()
  local t = json.decode("[9223372036854775807,-9223372036854775808]")
  return { tostring(t[1]), tostring(t[2]) }
end
---@case an integer beyond 64 bits becomes a float
-- expect: "float"
function handle() return math.type(json.decode("18446744073709551615")) end
---@case an integer above 53 bits survives a round trip
-- expect-text: [9007199254740993]
function handle() return json.decode("[9007199254740993]") end
---@case an integer of more than 32 bits is not wrapped
-- expect: true
function handle() return json.decode("1704067200000000") > 1704067199999999 end
---@case decode escapes
-- expect: "a\n\"\\/ ☃ 𝄞"
function handle() return json.decode([["a\n\"\\\/ \u2603 \ud834\udd1e"]]) end
---@case decode a zero byte
-- expect: 3
function handle() return #json.decode([["a\u0000b"]]) end
---@case decode refuses what is no JSON
-- expect: [false, true]
function handle()
  local ok, e = pcall(json.decode, "{oops")
  return { ok, string.find(tostring(e), "json.decode: ", 1, true) ~= nil }
end
---@case decode refuses rests
-- expect: false
function handle() return (pcall(json.decode, "1 2")) end
---@case decode refuses an empty text
-- expect: false
function handle() return (pcall(json.decode, "")) end
---@case decode refuses trailing commas
-- expect: [false, false]
function handle() return { (pcall(json.decode, "[1,]")), (pcall(json.decode, '{"a":1,}')) } end
---@case decode refuses nil
-- expect: false
function handle() return (pcall(json.decode, nil)) end
---@case decode refuses NaN
-- expect: false
function handle() return (pcall(json.decode, "NaN")) end
---@case a later member of the same name wins
-- expect: {"a": 2}
function handle() return json.decode('{"a":1,"a":2}') end
---@case empty array and empty object survive a round trip
-- spec: 2.6
-- expect: "{\"a\":[]}{\"o\":{}}"
function handle() return json.encode(json.decode('{"a":[]}')) .. json.encode(json.decode('{"o":{}}')) end
---@case a decoded array stays an array when emptied
-- spec: 2.6
-- expect: []
function handle()
  local t = json.decode("[1]")
  table.remove(t)
  return t
end
---@case a decoded array stays an array when it grows
-- spec: 2.6
-- expect: [1]
function handle()
  local t = json.decode("[]")
  table.insert(t, 1)
  return t
end
---@case a string key on a decoded array is dropped
-- spec: 2.6
-- expect: [1, 2]
function handle()
  local t = json.decode("[1,2]")
  t.x = 1
  return t
end
---@case a decoded array is a table for ipairs and #
-- spec: 2.6
-- expect: [3, 6]
function handle()
  local t, sum = json.decode("[1,2,3]"), 0
  for _, n in ipairs(t) do sum = sum + n end
  return { #t, sum }
end
---@case the metatable of a decoded array is protected
-- spec: 2.6
-- expect: [false, false]
function handle()
  local t = json.decode("[]")
  return { getmetatable(t), (pcall(setmetatable, t, {})) }
end
---@case a decoded object has no metatable
-- spec: 2.6
-- expect: true
function handle() return getmetatable(json.decode("{}")) == nil end
---@case null is userdata
-- spec: 2.6
-- expect: "userdata"
function handle() return type(json.decode('{"x":null}').x) end
---@case null is truthy and not nil
-- spec: 2.6
-- expect: {"x": null, "isNil": false, "truthy": true, "missingIsNil": true}
function handle()
  local t = json.decode('{"x":null}')
  return { x = t.x, isNil = t.x == nil, truthy = t.x and true or false, missingIsNil = t.y == nil }
end
---@case every null is the same value
-- spec: 2.6
-- expect: true
function handle()
  local t = json.decode("[null,null]")
  return t[1] == t[2] and t[1] == json.decode("null")
end
---@case null in an array keeps its place
-- spec: 2.6
-- expect: [1, null, 3]
function handle()
  local t = json.decode("[1,null,3]")
  return #t == 3 and t or "holes"
end
---@case null may be returned and encoded
-- spec: 2.6
-- expect: {"text": "null", "value": null}
function handle()
  local null = json.decode("null")
  return { text = json.encode(null), value = null }
end
---@case json has encode and decode
-- expect: ["function", "function"]
function handle() return { type(json.encode), type(json.decode) } end
