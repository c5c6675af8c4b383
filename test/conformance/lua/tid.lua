-- spec: 2.3

---@case thirteen characters of the sortable alphabet
-- expect: [13, true]
function handle()
  local tid = TID()
  return { #tid, tid:match("^[234567a-z]+$") == tid }
end
---@case the first character keeps the number positive
-- expect: true
function handle() return TID():match("^[234567abcdefghij]") ~= nil end
---@case many at once are all different
-- expect: 500
function handle()
  local seen, count = {}, 0
  for _ = 1, 500 do seen[TID()] = true end
  for _ in pairs(seen) do count = count + 1 end
  return count
end
---@case arguments are ignored
-- expect: 13
function handle() return #TID("x", 1) end
---@case TID is a table that can be called
-- expect: "table"
function handle() return type(TID) end
---@case a new one is close to now
-- expect: true
function handle() return math.abs(TID.toUnixMicroseconds(TID()) // 1000000 - os.time()) <= 5 end
---@case from a time and back
-- expect: "2024-01-01T00:00:00.000000Z"
function handle() return TID.toISO8601(TID.fromISO8601("2024-01-01T00:00:00Z")) end
---@case from a time with offset and fraction
-- expect: "2024-01-01T00:00:00.123456Z"
function handle() return TID.toISO8601(TID.fromISO8601("2024-01-01T02:00:00.123456+02:00")) end
---@case from a time with a negative offset
-- expect: "2024-01-02T01:30:00.500000Z"
function handle() return TID.toISO8601(TID.fromISO8601("2024-01-01T20:00:00.5-05:30")) end
---@case from milliseconds in a fraction
-- expect: "2023-11-14T22:13:20.123000Z"
function handle() return TID.toISO8601(TID.fromISO8601("2023-11-14T22:13:20.123Z")) end
---@case a real TID as a time
-- expect: "2023-06-30T15:03:01.887007Z"
function handle() return TID.toISO8601("3jzfcijpj2z2a") end
---@case the clock id is dropped in the time
-- expect: true
function handle() return TID.fromISO8601(TID.toISO8601("3jzfcijpj2z2a")) == "3jzfcijpj2z22" end
---@case microseconds of a time
-- expect: true
function handle() return TID.toUnixMicroseconds(TID.fromISO8601("2024-01-01T00:00:00Z")) == 1704067200000000 end
---@case microseconds are an integer
-- expect-text: 1704067200000000
function handle() return TID.toUnixMicroseconds(TID.fromISO8601("2024-01-01T00:00:00Z")) end
---@case the zero TID
-- expect: "2222222222222"
function handle() return TID.fromUnixMicroseconds(0) end
---@case microseconds and back
-- expect: true
function handle() return TID.toUnixMicroseconds(TID.fromUnixMicroseconds(1704067200123456)) == 1704067200123456 end
---@case a known TID of known microseconds
-- expect: "3khuwc44c2222"
function handle() return TID.fromUnixMicroseconds(1704067200000000) end
---@case the order of TIDs is the order of times
-- expect: true
function handle()
  local a, b = TID.fromISO8601("2024-01-01T00:00:00Z"), TID.fromISO8601("2024-01-01T00:00:00.000001Z")
  return a < b and b < TID()
end
---@case number and back without loss
-- expect: true
function handle()
  local tid = "3jzfcijpj2z2a"
  return TID.fromNumber(TID.toNumber(tid)) == tid
end
---@case the number is an integer
-- expect: "integer"
function handle() return math.type(TID.toNumber(TID())) end
---@case the number is microseconds and ten bits of clock id
-- expect: true
function handle()
  local tid = "3jzfcijpj2z2a"
  return TID.toNumber(tid) >> 10 == TID.toUnixMicroseconds(tid)
end
---@case number zero
-- expect: ["2222222222222", 0]
function handle() return { TID.fromNumber(0), TID.toNumber("2222222222222") } end
---@case what is no TID
-- expect: [false, true]
function handle()
  local ok, e = pcall(TID.toISO8601, "garbage")
  return { ok, string.find(tostring(e), "invalid TID: garbage", 1, true) ~= nil }
end
---@case a TID of twelve characters
-- expect: false
function handle() return (pcall(TID.toISO8601, "3jzfcijpj2z2")) end
---@case a TID with a wrong character
-- expect: [false, false, false]
function handle()
  return {
    (pcall(TID.toISO8601, "3jzfcijpj2z21")),
    (pcall(TID.toUnixMicroseconds, "3JZFCIJPJ2Z2A")),
    (pcall(TID.toNumber, "3jzfcijpj2z2-")),
  }
end
---@case what is no time
-- expect: [false, true]
function handle()
  local ok, e = pcall(TID.fromISO8601, "not a date")
  return { ok, string.find(tostring(e), "invalid ISO 8601: not a date", 1, true) ~= nil }
end
---@case a date without a time
-- expect: false
function handle() return (pcall(TID.fromISO8601, "2024-01-01")) end
---@case a month that does not exist
-- expect: false
function handle() return (pcall(TID.fromISO8601, "2024-13-01T00:00:00Z")) end
---@case an uncaught failure is a runtime error of the line
-- expect-error: runtime 2 invalid TID: x
function handle()
  return TID.toISO8601("x")
end
