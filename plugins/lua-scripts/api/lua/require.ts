import type { LuaApiText } from "../../engine/lua54/machine.ts";

/** `require` for `lib.*` (scripts/lib), `internal.*` and `happyview.*` (spec 5.2, 5.3). */
export const requireApi: LuaApiText = {
  globals: [],
  text: String.raw`
local kit = ...
local fail, source, module = kit.fail, kit.source, kit.module
local type, error, pcall, match, gsub, concat = type, error, pcall, string.match, string.gsub, table.concat
local loaded, loading = {}, {}

-- What the modules of ours use, taken before a script can replace it.
kit.db = {}
for name, f in next, db or {} do kit.db[name] = f end
kit.http, kit.atproto, kit.Record = http, atproto, Record
kit.tids = {}
for name, f in next, TID do kit.tids[name] = f end
kit.toarray = toarray

-- Calls f; what it raises is raised again without its position, behind the name of the function and a code.
local function settle(name, code, ok, ...)
  if ok then return ... end
  local message = ...
  if type(message) ~= "string" then error(message, 0) end
  fail(name .. ": " .. code .. ": " .. (match(message, "^.-:%d+: (.*)$") or message))
end
function kit.guard(name, code, f, ...) return settle(name, code, pcall(f, ...)) end

-- The globals as they are now, for our own modules: a script may have replaced them by the time it requires one.
local pristine = {}
for name, value in next, _G do
  if type(value) == "table" and name ~= "_G" then
    local copy = {}
    for key, item in next, value do copy[key] = item end
    value = copy
  end
  pristine[name] = value
end

local function missing(name)
  if match(name, "^internal%.") then
    return "built-in modules are: internal.async, internal.json, internal.logging, internal.tids, internal.time"
  end
  local own = match(name, "^lib%.(.+)$")
  if own then return "there is no scripts/lib/" .. own .. ".lua" end
  return "is the '" .. name .. "' library plugin installed?"
end

require = kit.solid(function(name)
  if type(name) ~= "string" then
    fail("bad argument #1 to 'require' (string expected, got " .. type(name) .. ")")
  end
  if loaded[name] ~= nil then return loaded[name] end
  for i = 1, #loading do
    if loading[i] == name then
      fail("module '" .. name .. "' requires itself: " .. concat(loading, " -> ", i) .. " -> " .. name)
    end
  end
  local text = module(name)
  if not text then fail("module '" .. name .. "' not found -- " .. missing(name)) end
  local isOwn = match(name, "^lib%.") ~= nil
  local file = isOwn and "scripts/" .. gsub(name, "%.", "/") .. ".lua" or "host"
  local chunk, problem = source(text, file, not isOwn and pristine or nil)
  if not chunk then fail(problem) end
  loading[#loading + 1] = name
  local ok, result = pcall(chunk, isOwn and name or kit)
  loading[#loading] = nil
  if not ok then error(result, 0) end
  if result == nil then result = true end
  if not isOwn and type(result) == "table" then kit.solid(result) end
  loaded[name] = result
  return result
end)
pristine.require = require
`,
};
