-- spec: 2.1

---@case no io, debug and package
-- expect: "nil nil nil"
function handle() return table.concat({ type(io), type(debug), type(package) }, " ") end
---@case nothing that loads code
-- expect: "nil nil nil nil"
function handle() return table.concat({ type(dofile), type(loadfile), type(load), type(loadstring) }, " ") end
---@case no collectgarbage
-- expect: "nil"
function handle() return type(collectgarbage) end
---@case what Lua 5.4 does not have
-- expect: "nil nil nil nil nil"
function handle() return table.concat({ type(unpack), type(setfenv), type(getfenv), type(bit32), type(table.getn) }, " ") end
---@case base library
-- expect: []
function handle()
  local missing = toarray({})
  for name in ("assert error pcall xpcall select type tostring tonumber pairs ipairs next rawget rawset rawequal rawlen setmetatable getmetatable print warn"):gmatch("%a+") do
    if type(_G[name]) ~= "function" then missing[#missing + 1] = name end
  end
  return missing
end
---@case libraries
-- expect: "table table table table table table"
function handle()
  return table.concat({ type(string), type(table), type(math), type(utf8), type(coroutine), type(os) }, " ")
end
---@case version
-- expect: "Lua 5.4"
function handle() return _VERSION end
---@case os has four functions
-- expect: ["clock", "date", "difftime", "time"]
function handle()
  local names = {}
  for name in pairs(os) do names[#names + 1] = name end
  table.sort(names)
  return names
end
---@case _G is the table of globals
-- expect: [true, true, 5]
function handle()
  x = 5
  return { _G._G == _G, _G.string == string, _G.x }
end
---@case math of Lua 5.3 is there
-- expect: [1024, 3, 8, 0.75, 2]
function handle()
  local m, e = math.frexp(3)
  return { math.pow(2, 10), math.log10(1000), math.ldexp(1, 3), m, e }
end
---@case hyperbolic functions are there
-- expect: [1, 0, 0]
function handle() return { math.cosh(0), math.sinh(0), math.tanh(0) } end
---@case math of Lua 5.4
-- expect: [true, "integer", "float", "nil", 3, true]
function handle()
  return { math.ult(1, 2), math.type(1), math.type(1.0), tostring(math.type("1")), math.tointeger(3.0), math.pi > 3.14 }
end
---@case math.random in its ranges
-- expect: true
function handle()
  math.randomseed(7)
  for _ = 1, 100 do
    local a, b, c = math.random(), math.random(5), math.random(-3, 3)
    if a < 0 or a >= 1 or b < 1 or b > 5 or c < -3 or c > 3 then return false end
  end
  return true
end
---@case two runs draw other random numbers
-- runs: 2
-- expect: "string"
function handle() return type(tostring(math.random(1 << 30))) end
---@case table.unpack, pack, move, concat
-- expect: [[3, 2, 1], 2, [1, 1, 2], "1-2"]
function handle()
  return { { table.unpack({ 3, 2, 1 }) }, table.pack(1, nil).n, table.move({ 1, 2 }, 1, 2, 2), table.concat({ 1, 2 }, "-") }
end
---@case table.sort with a function
-- expect: [3, 2, 1]
function handle()
  local t = { 3, 1, 2 }
  table.sort(t, function(a, b) return a > b end)
  return t
end
---@case string patterns
-- expect: ["did:plc:x", "app.y", "z"]
function handle() return { string.match("at://did:plc:x/app.y/z", "^at://([^/]+)/([^/]+)/(.+)$") } end
---@case string.format
-- expect: "03.14|42|s|ff|\"q\"|5e+00"
function handle() return string.format("%05.2f|%d|%s|%x|%q|%.0e", 3.14159, 42, "s", 255, "q", 5.0) end
---@case floats of string.format are C's
-- expect: "1.234568e+04|1E+20|100000|1e+06|1.50000|1.23e+06|0|2|0.2|-003.142|+2.0| 1.00|0.33    | -0.0"
function handle()
  return string.format("%e|%G|%g|%g|%#g|%.3g|%.0f|%.0f|%.1f|%08.3f|%+.1f|% .2f|%-8.2f|%5.1f",
    12345.678, 1e20, 100000.0, 1e6, 1.5, 1234567, 0.5, 2.5, 0.25, -3.14159, 2.0, 1.005, 1/3, -0.04)
end
---@case integers of string.format are C's
-- expect: "   42|42   |-0042|+42| 42|005|ff|0xff|FF|10|010|3|10|1704067200000|ffffffffffffffff"
function handle()
  return string.format("%5d|%-5d|%05d|%+d|% d|%.3d|%x|%#x|%X|%o|%#o|%i|%d|%d|%x",
    42, 42, -42, 42, 42, 5, 255, 255, 255, 8, 8, 3.0, "10", 1704067200000.0, -1)
end
---@case strings of string.format are bytes
-- expect: ["    a|b    |xy|    q|Hi|nil|true|%", 1]
function handle()
  local text = string.format("%5s|%-5s|%.2s|%5.1s|%c%c|%s|%s|%%", "a", "b", "xyz", "qwe", 72, 105, nil, true)
  return { text, #string.format("%.1s", "é") }
end
---@case string.format says what is wrong
-- expect: ["invalid conversion '%y' to 'format'", "bad argument #2 to 'string.format' (number has no integer representation)",
--|  "bad argument #2 to 'string.format' (no value)"]
function handle()
  local function failure(...) return select(2, pcall(string.format, ...)) end
  return { failure("%y", 1), failure("%d", 1.5), failure("%d") }
end
---@case string.gsub gives two values
-- expect: ["bbb", 3]
function handle() return { string.gsub("aaa", "a", "b") } end
---@case string.gsub by table and function
-- expect: ["1-2", "<a><b>"]
function handle()
  return { (string.gsub("a-b", "%a", { a = "1", b = "2" })), (string.gsub("ab", ".", function(c) return "<" .. c .. ">" end)) }
end
---@case string.gmatch
-- expect: ["one", "two"]
function handle()
  local words = {}
  for word in string.gmatch("one two", "%a+") do words[#words + 1] = word end
  return words
end
---@case string.gmatch with a start
-- expect: ["b", "c"]
function handle()
  local found = {}
  for letter in string.gmatch("abc", "%a", 2) do found[#found + 1] = letter end
  return found
end
---@case string.pack and unpack
-- expect: [8, 1, "abc"]
function handle()
  local packed = string.pack("<i4z", 1, "abc")
  local n, s = string.unpack("<i4z", packed)
  return { #packed, n, s }
end
---@case string.rep with a separator
-- expect: "a,a,a"
function handle() return ("a"):rep(3, ",") end
---@case string coercion
-- expect: [15, "15"]
function handle() return { "10" + 5, 10 .. 5 == "105" and "15" } end
---@case an integer as text has no point and a float has
-- expect: "3 3.0 1e+100 -0.0"
function handle() return table.concat({ tostring(3), tostring(3.0), tostring(1e100), tostring(-0.0) }, " ") end
---@case a float as text has fourteen digits and C's exponent
-- expect: ["1e+14 1e+15 0.0001 1e-05 9.007199254741e+15 0.33333333333333 1234567890123.2 inf -inf -0.0", true]
function handle()
  local joined, added = {}, {}
  for i, value in ipairs({ 1e14, 1e15, 1e-4, 1e-5, 2.0 ^ 53, 1 / 3, 1234567890123.25, 1 / 0, -1 / 0, -0.0 }) do
    joined[i], added[i] = tostring(value), value .. ""
  end
  return { table.concat(joined, " "), table.concat(joined) == table.concat(added) }
end
---@case the length of a string is in bytes
-- expect: [2, 1]
function handle() return { #"é", utf8.len("é") } end
---@case utf8
-- expect: [2, "☃", 9731, [9731, 233]]
function handle()
  local points = {}
  for _, point in utf8.codes("☃é") do points[#points + 1] = point end
  return { utf8.len("☃é"), utf8.char(9731), utf8.codepoint("☃"), points }
end
---@case integers have 64 bits
-- expect: "2147483648 1099511627776 9223372036854775807"
function handle() return table.concat({ 2147483647 + 1, 1 << 40, math.maxinteger }, " ") end
---@case integers wrap at 64 bits
-- expect: true
function handle() return math.maxinteger + 1 == math.mininteger and math.maxinteger > 2 ^ 62 end
---@case time in milliseconds is an integer
-- expect: [true, "integer"]
function handle()
  local ms = os.time() * 1000
  return { ms > 1700000000000, math.type(ms) }
end
---@case bit operations
-- expect: [5, 8, 14, 6, 12, -1]
function handle() return { 6 ~ 3, 4 << 1, 12 | 2, 14 & 7, 25 >> 1, ~0 } end
---@case goto
-- expect: 3
function handle()
  local n = 3
  goto done
  n = 0
  ::done::
  return n
end
---@case constants
-- expect: 5
function handle()
  local x <const> = 5
  return x
end
---@case variables that are closed
-- expect: ["body", "closed"]
function handle()
  local seen = {}
  do
    local x <close> = setmetatable({}, { __close = function() seen[#seen + 1] = "closed" end })
    seen[#seen + 1] = "body"
  end
  return seen
end
---@case numeric for does not wrap around
-- expect: 2
function handle()
  local n = 0
  for _ = math.maxinteger - 1, math.maxinteger do
    n = n + 1
    if n > 5 then break end
  end
  return n
end
---@case coroutines
-- expect: [1, 2, 3, "dead"]
function handle()
  local co = coroutine.create(function()
    for i = 1, 2 do coroutine.yield(i) end
    return 3
  end)
  local seen = {}
  for i = 1, 3 do
    local _, value = coroutine.resume(co)
    seen[i] = value
  end
  seen[4] = coroutine.status(co)
  return seen
end
---@case coroutine.wrap and isyieldable
-- expect: [true, 1]
function handle()
  local co = coroutine.wrap(function() coroutine.yield(coroutine.isyieldable()) return 1 end)
  return { co(), co() }
end
---@case an error in a coroutine
-- expect: [false, true]
function handle()
  local ok, e = coroutine.resume(coroutine.create(function() error("inside") end))
  return { ok, e:find("inside", 1, true) ~= nil }
end
---@case pcall and a table as error value
-- expect: [false, 7]
function handle()
  local ok, e = pcall(error, { code = 7 })
  return { ok, e.code }
end
---@case xpcall with a handler
-- expect: [false, "h:x"]
function handle()
  local ok, e = xpcall(function() error("x", 0) end, function(m) return "h:" .. m end)
  return { ok, e }
end
---@case select
-- expect: [3, "b", "c"]
function handle() return { select("#", 1, nil, 3), (select(2, "a", "b")), (select(-1, "a", "b", "c")) } end
---@case a string has methods
-- expect: ["ABC", 3]
function handle() return { ("abc"):upper(), ("abc"):len() } end
---@case metatables of tables work
-- expect: [3, "called 5", "default", true]
function handle()
  local v = setmetatable({ n = 1 }, {
    __add = function(a, b) return a.n + b end,
    __call = function(_, x) return "called " .. x end,
    __index = function() return "default" end,
    __eq = function() return true end,
  })
  return { v + 2, v(5), v.nothing, v == setmetatable({}, getmetatable(v)) }
end
---@case a library may be overwritten by the script
-- expect: "mine"
function handle()
  string.upper = function() return "mine" end
  return ("x"):upper()
end
---@case what one run overwrites is whole again in the next
-- spec: 0.3
-- runs: 3
-- expect: ["X", "function", "nil"]
function handle()
  local before = { ("x"):upper(), type(db.query), type(leak) }
  string.upper = nil
  db.query = nil
  leak = true
  return before
end
---@case a change of the string metatable does not outlive its run
-- spec: 0.3
-- runs: 2
-- expect: "nil"
function handle()
  local before = type(rawget(getmetatable("").__index, "shout"))
  string.shout = string.upper
  return before
end
---@case globals of the top level live for one run
-- spec: 0.3
-- runs: 3
-- expect: 2
n = (n or 0) + 1
function handle()
  n = n + 1
  return n
end
---@case upvalues live for one run
-- spec: 0.3
-- runs: 3
-- expect: 1
local count = 0
function handle()
  count = count + 1
  return count
end
---@case globals of the host may be overwritten at the top level
-- expect: "mine"
collection = "mine"
function handle() return collection end
---@case the first argument of handle is there for those who take it
-- spec: 0.2
-- params: did=x
-- expect: ["table", "x"]
function handle(...)
  local input = ...
  return { type(params), input.did }
end
---@case handle may be a local that is made global later
-- expect: 1
local function run() return 1 end
handle = run
---@case handle may be defined in a block
-- expect: 2
do
  local n = 2
  function handle() return n end
end
---@case os.date in UTC
-- expect: "1970-01-01T00:00:00"
function handle() return os.date("!%Y-%m-%dT%H:%M:%S", 0) end
---@case os.date as a table
-- expect: [2024, 2, 29, 12, 30, 15, 5, 60]
function handle()
  local d = os.date("!*t", 1709209815)
  return { d.year, d.month, d.day, d.hour, d.min, d.sec, d.wday, d.yday }
end
---@case os.time of a table is an integer
-- expect: ["integer", 86400]
function handle()
  local day = os.time({ year = 2024, month = 1, day = 2, hour = 12 })
  return { math.type(day), day - os.time({ year = 2024, month = 1, day = 1, hour = 12 }) }
end
---@case os.difftime and os.clock
-- expect: [5, true]
function handle() return { os.difftime(10, 5), os.clock() >= 0 } end
---@case a pattern that is broken raises
-- expect: false
function handle() return (pcall(string.find, "x", "[a")) end
---@case bytecode cannot be dumped and loaded
-- expect: "nil"
function handle() return type(load) end
