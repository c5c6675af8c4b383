/**
 * Runs once while a state is built: takes away what a script must not have and adds what it should. It is loaded
 * without debug information, so that its functions leave no position in a script's error messages.
 */
export const prelude: string = `
local host, wait, encode, decode, setmeta, give, take, solid = ...
local array = { __metatable = false }
local _G, next, type, tostring, error, rawget = _G, next, type, tostring, error, rawget
local match, concat, pack, load, pcall = string.match, table.concat, table.pack, load, pcall
local rawsetmeta = setmetatable
local resume, close, yield = coroutine.resume, coroutine.close, coroutine.yield
local create, running = coroutine.create, coroutine.running

for _, name in next, { "dofile", "loadfile", "load", "collectgarbage", "require", "io", "debug", "package" } do
  _G[name] = nil
end
os = { time = os.time, date = os.date, difftime = os.difftime, clock = os.clock }

local exp, log = math.exp, math.log
local compat = {
  pow = function(x, y) return x ^ y end,
  log10 = function(x) return log(x, 10) end,
  ldexp = function(m, e) return m * 2.0 ^ e end,
  frexp = function(x)
    if x == 0 or x ~= x or x == 1/0 or x == -1/0 then return x, 0 end
    local e = 0
    local m = x < 0 and -x or x
    while m >= 1 do m, e = m / 2, e + 1 end
    while m < 0.5 do m, e = m * 2, e - 1 end
    return x < 0 and -m or m, e
  end,
  cosh = function(x) return (exp(x) + exp(-x)) / 2 end,
  sinh = function(x) return (exp(x) - exp(-x)) / 2 end,
  tanh = function(x)
    if x > 20 then return 1.0 elseif x < -20 then return -1.0 end
    local a, b = exp(x), exp(-x)
    return (a - b) / (a + b)
  end,
}
for name, f in next, compat do math[name] = math[name] or f end

local kit = {
  array = array, decode = decode, null = decode("null"), setmetatable = rawsetmeta,
  tid = host.TID, log = host.log, print = host.print,
}
for path, f in next, host do
  local owner, name = match(path, "^(%w+)%.(%w+)$")
  if not owner then
    if not _G[path] then _G[path] = f end
  elseif owner == "kit" then
    kit[name] = f
  else
    local home = _G[owner]
    if type(home) ~= "table" then
      home = {}
      _G[owner] = home
    end
    home[name] = f
  end
end
if type(TID) == "table" then rawsetmeta(TID, { __call = host.TID, __metatable = false }) end

local write = host.print
local function line(...)
  local parts = pack(...)
  for i = 1, parts.n do parts[i] = tostring(parts[i]) end
  write(concat(parts, "\\t"))
end
function print(...) line(...) end
function warn(...) line(...) end

-- A function of ours, or those of a table in place, as scripts may call them: the line of the call is not lost.
function kit.solid(value)
  if type(value) == "function" then return solid and solid(value) or value end
  for name, f in next, value do if type(f) == "function" then value[name] = kit.solid(f) end end
  return value
end

toarray = kit.solid(function(t)
  if type(t) ~= "table" then kit.fail("bad argument #1 to 'toarray' (table expected, got " .. type(t) .. ")") end
  local copy, i = {}, 1
  while true do
    local v = rawget(t, i)
    if v == nil then return rawsetmeta(copy, array) end
    copy[i] = v
    i = i + 1
  end
end)
json = { encode = encode, decode = decode }
setmetatable = setmeta

-- What the APIs are made of. Each of them keeps what it needs in locals: a script may replace every global.
local fail, begin, finish, drop = kit.fail, kit.start, kit.finish, kit.drop
function kit.encode(value, prefix)
  local ok, text = pcall(encode, value)
  if ok then return text end
  if type(text) == "string" then text = match(text, "json%.encode: (.*)$") or text end
  fail((prefix or "") .. tostring(text))
end
local function arguments(...)
  local list = pack(...)
  for i = 1, list.n do if list[i] == nil then list[i] = kit.null end end
  list.n = nil
  return kit.encode(rawsetmeta(list, array))
end
-- The coroutines of kit.all, whose calls are only begun until all the others have begun theirs.
local tasks = {}
local begun = {}
function kit.call(name, ...)
  local call = begin(name, arguments(...))
  if tasks[running()] then yield(begun, call) end
  return finish(call)
end

-- All coroutines of a run count their instructions together.
local function taken(co, ...)
  take(co)
  return ...
end
local function continue(co, ...)
  give(co)
  return taken(co, resume(co, ...))
end
if close then
  function coroutine.close(co)
    if type(co) ~= "thread" then
      kit.fail("bad argument #1 to 'close' (thread expected, got " .. type(co) .. ")")
    end
    give(co)
    local ok, first, second = pcall(close, co)
    take(co)
    if not ok then kit.fail(first) end
    return first, second
  end
end

-- A host function that waits inside a coroutine yields "wait" to whoever resumed it: pass that on to the host.
local function settle(co, ...)
  local ok, first = ...
  if first == wait and ok then
    yield(wait)
    return settle(co, continue(co))
  end
  return ...
end
local function unwrap(ok, ...)
  if ok then return ... end
  error((...), 2)
end
function coroutine.resume(co, ...) return settle(co, continue(co, ...)) end
function coroutine.wrap(f)
  local co = create(f)
  return function(...) return unwrap(settle(co, continue(co, ...))) end
end

-- Calls work(1) to work(count) and returns their first results; at most so many wait for the host at once.
local atOnce = 32
function kit.all(count, work)
  local results, waiting, first = {}, {}, 1
  local function step(i, co, ok, result, call)
    if not ok then
      for at = first, #waiting do
        drop(waiting[at].call)
        tasks[waiting[at].co] = nil
      end
      error(result, 0)
    end
    if result == wait then
      yield(wait)
      return step(i, co, continue(co))
    end
    if result == begun then
      waiting[#waiting + 1] = { i = i, co = co, call = call }
      return
    end
    tasks[co] = nil
    results[i] = result
  end
  local function proceed()
    local entry = waiting[first]
    waiting[first] = false
    first = first + 1
    step(entry.i, entry.co, resume(entry.co))
  end
  for i = 1, count do
    local co = create(function() return work(i) end)
    tasks[co] = true
    step(i, co, continue(co))
    while #waiting - first + 1 >= atOnce do proceed() end
  end
  while first <= #waiting do proceed() end
  return results
end

local starters = {}
function kit.onbegin(f) starters[#starters + 1] = f end
local function start(input, ctx)
  kit.context = ctx
  for i = 1, #starters do
    local replaced = starters[i](input, ctx)
    if replaced ~= nil then input = replaced end
  end
  return input
end
function kit.source(source, name, env) return load(source, "=" .. name, "t", env or _G) end

return array, kit, start
`;

/** Turns a state into the one in which a script is checked before it is saved (spec 6.2). */
export const validationPrelude: string = `
local keep = ...
for name in string.gmatch(keep, "%S+") do _G[name] = nil end
env = setmetatable({}, { __index = function() return "" end })
local stub
stub = setmetatable({}, {
  __index = function() return stub end,
  __call = function() return stub end,
  __concat = function() return "" end,
  __tostring = function() return "" end,
})
function require() return stub end
`;
