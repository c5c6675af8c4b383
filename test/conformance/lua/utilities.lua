-- spec: 2.3

---@case now is a UTC time with an offset
-- expect: true
function handle() return now():match("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.?%d*%+00:00$") ~= nil end
---@case now has 0, 3, 6 or 9 digits of a second
-- expect: true
function handle()
  local digits = #(now():match("%.(%d+)") or "")
  return digits == 0 or digits == 3 or digits == 6 or digits == 9
end
---@case now is now
-- expect: true
function handle() return now():sub(1, 4) == os.date("!%Y") end
---@case now can be read by TID
-- expect: 13
function handle() return #TID.fromISO8601(now()) end
---@case log takes a string
-- expect: true
-- expect-logs: ["hello", "☃"]
function handle()
  log("hello")
  log("☃")
  return true
end
---@case log takes numbers
-- expect: true
-- expect-logs: ["5", "1.5"]
function handle()
  log(5)
  log(1.5)
  return true
end
---@case log refuses nil
-- expect: false
-- expect-logs: []
function handle() return (pcall(log, nil)) end
---@case log refuses a table
-- expect: false
-- expect-logs: []
function handle() return (pcall(log, {})) end
---@case log refuses a boolean
-- expect: false
-- expect-logs: []
function handle() return (pcall(log, true)) end
---@case log returns nothing
-- expect: "nil"
function handle() return type((log("x"))) end
---@case what was logged before a failure is kept
-- expect-error: runtime 3 no luck
-- expect-logs: ["before"]
function handle()
  log("before")
  error("no luck")
end
---@case log at the top level
-- expect: 1
-- expect-logs: ["top", "in"]
log("top")
function handle()
  log("in")
  return 1
end
---@case print does not disturb the answer
-- expect: 1
-- expect-logs: []
function handle()
  print("to the process", 1, nil)
  return 1
end
---@case warn does not disturb the answer
-- expect: 1
function handle()
  warn("@on")
  warn("careful")
  return 1
end
---@case env is a table of strings
-- spec: 6.3
-- env: {"TOKEN": "secret", "N": "5"}
-- expect: ["table", "secret", "string", "nil"]
function handle() return { type(env), env.TOKEN, type(env.N), type(env.MISSING) } end
---@case env at the top level
-- spec: 6.3
-- env: {"HOST": "https://example.com"}
-- expect: "https://example.com/path"
local url = env.HOST .. "/path"
function handle() return url end
---@case env may have an empty value
-- spec: 6.3
-- env: {"EMPTY": ""}
-- expect: ["", 0]
function handle() return { env.EMPTY, #env.EMPTY } end
---@case a missing variable and a default
-- spec: 6.3
-- expect: "fallback"
function handle() return env.NOPE or "fallback" end
---@case env changed by one run is as before in the next
-- spec: 0.3
-- env: {"A": "1"}
-- runs: 2
-- expect: ["1", "nil"]
function handle()
  local before = { env.A, type(env.B) }
  env.A, env.B = "2", "2"
  return before
end
