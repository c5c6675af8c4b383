/**
 * Runs once while a state is built: takes away what a script must not have and adds what it should. It is loaded
 * without debug information, so that its functions leave no position in a script's error messages.
 */
export const prelude: string = `
local host, wait, encode, decode, setmeta = ...
local next, type, tostring, select, error, rawget = next, type, tostring, select, error, rawget
local match, concat, pack = string.match, table.concat, table.pack
local rawsetmeta = setmetatable

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

for path, f in next, host do
  local owner, name = match(path, "^(%w+)%.(%w+)$")
  if not owner then
    if not _G[path] then _G[path] = f end
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

local array = { __metatable = false }
function toarray(t)
  if type(t) ~= "table" then error("bad argument #1 to 'toarray' (table expected, got " .. type(t) .. ")", 2) end
  local copy, i = {}, 1
  while true do
    local v = rawget(t, i)
    if v == nil then return rawsetmeta(copy, array) end
    copy[i] = v
    i = i + 1
  end
end
json = { encode = encode, decode = decode }
setmetatable = setmeta

-- A host function that waits inside a coroutine yields "wait" to whoever resumed it: pass that on to the host.
local resume, yield, create = coroutine.resume, coroutine.yield, coroutine.create
local function settle(co, ...)
  local ok, first = ...
  if first == wait and ok then
    yield(wait)
    return settle(co, resume(co))
  end
  return ...
end
local function unwrap(ok, ...)
  if ok then return ... end
  error((...), 2)
end
function coroutine.resume(co, ...) return settle(co, resume(co, ...)) end
function coroutine.wrap(f)
  local co = create(f)
  return function(...) return unwrap(settle(co, resume(co, ...))) end
end

return array
`;

/** Turns a state into the one in which a script is checked before it is saved (spec 6.2). */
export const validationPrelude: string = `
local keep = ...
for name in string.gmatch(keep, "%S+") do _G[name] = nil end
env = setmetatable({}, { __index = function() return "" end })
`;
