-- spec: 2.2

---@case an endless loop at run time
-- expect-error: timeout - script exceeded execution time limit
function handle() while true do end end
---@case an endless loop in pcall
-- expect-error: timeout - script exceeded execution time limit
function handle()
  while true do pcall(function() while true do end end) end
end
---@case an endless loop in xpcall with a handler
-- expect-error: timeout -
function handle()
  while true do xpcall(function() while true do end end, function() return "go on" end) end
end
---@case an endless loop in a coroutine
-- expect-error: timeout -
function handle()
  while true do coroutine.wrap(function() while true do end end)() end
end
---@case an endless loop in a coroutine that is caught
-- expect-error: timeout -
function handle()
  while true do coroutine.resume(coroutine.create(function() while true do end end)) end
end
---@case an endless loop in a metamethod
-- expect-error: timeout -
function handle()
  local t = setmetatable({}, { __index = function() while true do end end })
  return t.x
end
---@case an endless loop in a comparison of table.sort
-- expect-error: timeout -
function handle()
  table.sort({ 3, 2, 1 }, function() while true do end end)
end
---@case an endless loop in the callback of string.gsub
-- expect-error: timeout -
function handle() return (("x"):gsub("x", function() while true do end end)) end
---@case an endless loop in a close
-- expect-error: timeout -
function handle()
  local x <close> = setmetatable({}, { __close = function() while true do end end })
  return 1
end
---@case an endless loop of goto
-- expect-error: timeout -
function handle()
  ::again::
  goto again
end
---@case more instructions than the original counted
-- expect: 3000000
function handle()
  local n = 0
  for _ = 1, 3000000 do n = n + 1 end
  return n
end
---@case a string that is too large
-- expect-error: memory -
function handle() return #("a"):rep(1000000000) end
---@case a table that is too large
-- kind: job
-- expect-error: memory -
function handle()
  local t = {}
  for i = 1, 1e9 do t[i] = { i } end
end
---@case a string that doubles
-- expect-error: memory -
function handle()
  local s = "x"
  while true do s = s .. s end
end
---@case closures without an end
-- kind: job
-- expect-error: memory -
function handle()
  local all, n = {}, 0
  while true do
    n = n + 1
    local mine = n
    all[n] = function() return mine end
  end
end
---@case the memory is there again in the next run
-- expect: 1000000
-- runs: 3
function handle()
  local parts = {}
  for i = 1, 10 do parts[i] = ("x"):rep(100000) end
  return #table.concat(parts)
end
---@case an endless loop lets a record through
-- kind: record
-- expect-error: timeout - limit
function handle() while true do end end
---@case a memory bomb lets a record through
-- kind: record
-- expect-error: memory - memory
function handle() return { x = ("a"):rep(1000000000) } end
---@case an endless loop at the top level of a run
-- expect-error: timeout -
if method then while true do end end
function handle() return 1 end
---@case an error object that refuses tostring
-- expect: false
function handle()
  local ok = pcall(function() error(setmetatable({}, { __tostring = function() error("no") end })) end)
  return ok
end
---@case a pattern that backtracks for long enough ends
-- expect-error: timeout -
function handle() return (("a"):rep(40) .. "b"):find(("a?"):rep(40) .. ("a"):rep(40) .. "c") end
