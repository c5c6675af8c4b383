-- spec: 3.5

---@case indexing nil, with line
-- expect-error: runtime 3 attempt to index a nil value (local 'x')
function handle()
  local x
  return x.y
end
---@case indexing a missing global
-- expect-error: runtime 1 attempt to index a nil value (global 'missing')
function handle() return missing.field end
---@case a missing field
-- expect-error: runtime 2 (field 'b')
function handle() local a = {}
  return a.b.c
end
---@case calling nil
-- expect-error: runtime 2 attempt to call a nil value (global 'nothing')
function handle()
  nothing()
end
---@case calling a method that is not there
-- expect-error: runtime 1 attempt to call a nil value (method 'nope')
function handle() return ("x"):nope() end
---@case arithmetic on nil
-- expect-error: runtime 1 attempt to perform arithmetic on a nil value (field 'n')
function handle() local t = {} return t.n + 1 end
---@case comparing a number with a string
-- expect-error: runtime 1 attempt to compare number with string
function handle() return 1 < "2" end
---@case joining a table
-- expect-error: runtime 1 attempt to concatenate a table value
function handle() return "a" .. {} end
---@case the length of a number
-- expect-error: runtime 1 attempt to get length of a number value
function handle() local n = 5 return #n end
---@case dividing by zero as integers
-- expect-error: runtime 1 attempt to
function handle() return 1 // 0 end
---@case a float that has no integer
-- expect-error: runtime 1 number has no integer representation
function handle() return 1.5 | 1 end
---@case a bad argument of a library
-- expect-error: runtime 1 bad argument #1 to 'rep'
function handle() return string.rep() end
---@case error with a text
-- expect-error: runtime 2 not found
function handle()
  error("not found")
end
---@case error without position has no line
-- expect-error: runtime - plain
function handle() error("plain", 0) end
---@case error of level two names the caller's line
-- expect-error: runtime 3 from below
local function check() error("from below", 2) end
function handle()
  check()
end
---@case assert
-- expect-error: runtime - the reason
function handle() assert(false, "the reason") end
---@case assert without text
-- expect-error: runtime - assertion failed!
function handle() assert(nil) end
---@case error with a table
-- expect-error: runtime -
function handle() error({ code = 1 }) end
---@case error with nil
-- expect-error: runtime -
function handle() error(nil) end
---@case error with a table that has a text
-- expect-error: runtime -
function handle() error(setmetatable({}, { __tostring = function() return "custom" end })) end
---@case error with a table that refuses tostring
-- expect-error: runtime -
function handle() error(setmetatable({}, { __tostring = function() error("never") end })) end
---@case an error in a function that a function called
-- expect-error: runtime 1 deep
local function a() error("deep") end
local function b() a() end
function handle() b() end
---@case an error that was caught is none
-- expect: [false, "caught"]
function handle()
  local ok, e = pcall(error, "caught", 0)
  return { ok, e }
end
---@case an error caught and raised again keeps its line
-- expect-error: runtime 2 first
function handle()
  local ok, e = pcall(function() error("first") end)
  error(e, 0)
end
---@case the text of a caught error ends with line and message
-- expect: true
function handle()
  local _, e = pcall(function() error("x") end)
  return e:match(":2: x$") ~= nil
end
---@case an AUTH_ERROR is a 401 with the bare text
-- expect-status: 401
-- expect: {"error": "sign in again"}
function handle() error("AUTH_ERROR:sign in again", 0) end
---@case an AUTH_ERROR with a position is a 401 with the bare text
-- expect-status: 401
-- expect: {"error": "sign in again"}
function handle() error("AUTH_ERROR:sign in again") end
---@case a table with error is a 200
-- spec: 3.4
-- expect: {"error": "mine"}
function handle() return { error = "mine" } end
---@case a runtime error at the top level is of type syntax
-- expect-error: syntax 1 attempt to index a nil value
if method then local x = nothing.here end
function handle() return 1 end
---@case error at the top level
-- expect-error: syntax 2 early
if method then
  error("early")
end
function handle() return 1 end
---@case handle that the top level removes
-- expect-error: missing_handle - script does not define a handle() function
function handle() return 1 end
if method then handle = nil end
---@case handle that is no function
-- expect-error: missing_handle - script does not define a handle() function
function handle() return 1 end
if method then handle = "text" end
---@case a procedure fails as a query does
-- kind: procedure
-- expect-error: runtime 2 no luck
function handle()
  error("no luck")
end
---@case endless recursion is an error and no crash
-- expect-error: runtime - stack overflow
local function again(n) return 1 + again(n + 1) end
function handle() return again(1) end
---@case endless recursion can be caught
-- expect: false
local function again(n) return 1 + again(n + 1) end
function handle() return (pcall(again, 1)) end
---@case a stack overflow in a C function
-- expect-error: runtime - stack overflow
function handle()
  local t = {}
  setmetatable(t, { __index = function(s, k) return s[k .. "x"] end })
  return t.a
end
---@case tail calls have no end of stack
-- expect: 100000
local function count(n, m) if n == 0 then return m end return count(n - 1, m + 1) end
function handle() return count(100000, 0) end
---@case the line of a failing call of the API
-- expect-error: runtime 2 HTTP request failed: 
function handle()
  local r = http.get("http://127.0.0.1:1/")
  return r
end
---@case the line of a failing call in a function of the script
-- expect-error: runtime 2 invalid sort field
local function rows(sort)
  local page = db.query({ collection = collection, sort = sort })
  return page.records
end
function handle()
  local found = rows("a-b")
  return found
end
---@case the line of a failing require
-- expect-error: runtime 2 module 'nothing' not found
function handle()
  local m = require("nothing")
  return m
end
---@case the line of a failing nested query
-- expect-error: runtime 2 xrpc query failed: 
function handle()
  local r = xrpc.query("org.example.innerProcedure")
  return r
end
---@case the line of a failing method of a record
-- expect-error: runtime 3 rkey must be a non-empty string
function handle()
  local r = Record("org.example.item")
  r:set_rkey("")
  return r
end
