-- spec: 5.2

---@case require is a function
-- expect: "function"
function handle() return type(require) end
---@case a built-in module
-- expect: "table"
function handle() return type(require("internal.json")) end
---@case a module is made once in a run
-- expect: true
function handle() return require("internal.json") == require("internal.json") end
---@case at the top level
-- expect: "[1]"
local json = require("internal.json")
function handle() return json.encode({ 1 }) end
---@case a built-in module that is not there
-- expect-error: runtime - module 'internal.nothing' not found -- built-in modules are: 
function handle() return require("internal.nothing") end
---@case a library that is not there
-- expect-error: runtime - module 'happyview.nothing' not found -- is the 'happyview.nothing' library plugin installed?
function handle() return require("happyview.nothing") end
---@case any other name
-- expect-error: runtime - module 'os' not found
function handle() return require("os") end
---@case a failure can be caught
-- expect: [false, true]
function handle()
  local ok, e = pcall(require, "nothing")
  return { ok, tostring(e):find("module 'nothing' not found", 1, true) ~= nil }
end
---@case json
-- expect: ["{\"a\":1}", 2, "[]"]
function handle()
  local json = require("internal.json")
  return { json.encode({ a = 1 }), json.decode("[1,2]")[2], json.encode(json.to_array({})) }
end
---@case time now is an integer of milliseconds
-- expect: ["integer", true]
function handle()
  local ms = require("internal.time").now()
  return { math.type(ms), math.abs(ms // 1000 - os.time()) <= 5 }
end
---@case time as text
-- expect: ["1970-01-01T00:00:00.000Z", "2024-01-01T00:00:00.123Z"]
function handle()
  local time = require("internal.time")
  return { time.to_iso8601(0), time.to_iso8601(1704067200123) }
end
---@case time from text
-- expect: [true, true, "nil"]
function handle()
  local time = require("internal.time")
  return {
    time.from_iso8601("2024-01-01T00:00:00.123Z") == 1704067200123,
    time.from_iso8601("2024-01-01T02:00:00+02:00") == 1704067200000,
    type(time.from_iso8601("nonsense")),
  }
end
---@case tids
-- expect: [13, "3khuwc44c2222", true, false]
function handle()
  local tids = require("internal.tids")
  return { #tids.create(), tids.to_tid(1704067200000), tids.from_tid("3khuwc44c2222") ~= nil, (pcall(tids.from_tid, "x")) }
end
---@case the names of v2 can be shadowed
-- spec: 0.2
-- expect: ["function", "[]"]
function handle()
  local json = require("internal.json")
  local log = require("internal.logging")
  return { type(log.info), json.encode(json.to_array({})) }
end
---@case logging reaches the event log
-- expect: true
-- expect-logs: ["an info", "a warning", "an error"]
function handle()
  local log = require("internal.logging")
  log.debug("for the process only")
  log.info("an info")
  log.warn("a warning")
  log.error("an error")
  return true
end
---@case async gives the first values in order
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "x"}]]
-- expect: ["x", 1, "third"]
function handle()
  local async = require("internal.async")
  local a, b, c = async.all(
    function() return db.get("at://did:plc:alice/org.example.item/a").name end,
    function() return db.count("org.example.item"), "dropped" end,
    function() return "third" end
  )
  return { a, b, c }
end
---@case async of nothing
-- expect: 0
function handle() return select("#", require("internal.async").all()) end
---@case async keeps nil in its place
-- expect: [3, "nil", 2]
function handle()
  local out = table.pack(require("internal.async").all(function() return 1 end, function() end, function() return 2 end))
  return { out.n, type(out[2]), out[3] }
end
---@case async raises what a function raised
-- expect: [false, true]
function handle()
  local ok, e = pcall(require("internal.async").all, function() return 1 end, function() error("no luck") end)
  return { ok, tostring(e):find("no luck", 1, true) ~= nil }
end
