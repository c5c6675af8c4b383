/** The built-in modules of the v3 contract (spec 5.2). */
export const internalModules: Readonly<Record<string, string>> = {
  "internal.logging": String.raw`
local kit = ...
local function at(level)
  return function(message, fields)
    message = tostring(message)
    local more = type(fields) == "table" and next(fields) ~= nil and kit.encode(fields) or nil
    kit.note(level, message, more)
    if kit.context.job and level ~= "debug" then
      kit.call("job.log", level, more and message .. " " .. more or message)
    end
  end
end
return { debug = at("debug"), info = at("info"), warn = at("warn"), error = at("error") }
`,
  "internal.time": String.raw`
local kit = ...
local date, format = os.date, string.format
return {
  now = function() return kit.tids.toUnixMicroseconds(kit.tid()) // 1000 end,
  to_iso8601 = function(ms)
    ms = math.tointeger(ms) or kit.fail("to_iso8601: an integer of milliseconds is expected")
    return date("!%Y-%m-%dT%H:%M:%S", ms // 1000) .. format(".%03dZ", ms % 1000)
  end,
  from_iso8601 = function(text)
    local ok, tid = pcall(kit.tids.fromISO8601, text)
    return ok and kit.tids.toUnixMicroseconds(tid) // 1000 or nil
  end,
}
`,
  "internal.tids": String.raw`
local kit = ...
return {
  create = function() return kit.tid() end,
  to_tid = function(ms)
    ms = math.tointeger(ms) or kit.fail("to_tid: an integer of milliseconds is expected")
    return kit.tids.fromUnixMicroseconds(ms * 1000)
  end,
  from_tid = function(tid) return kit.tids.toUnixMicroseconds(tid) // 1000 end,
}
`,
  "internal.json": String.raw`
local kit = ...
return {
  encode = function(value) return kit.encode(value, "json.encode: ") end,
  decode = kit.decode,
  to_array = kit.toarray,
}
`,
  "internal.async": String.raw`
local kit = ...
local unpack = table.unpack
return {
  all = function(...)
    local count = select("#", ...)
    local work = { ... }
    for i = 1, count do
      if type(work[i]) ~= "function" then kit.fail("all: argument " .. i .. " is not a function") end
    end
    return unpack(kit.all(count, function(i) return work[i]() end), 1, count)
  end,
}
`,
};
