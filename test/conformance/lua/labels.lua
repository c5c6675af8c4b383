-- spec: 1.4
-- kind: label

---@case nil drops the label
-- expect-outcome: skip
function handle() return nil end
---@case nothing drops the label
-- expect-outcome: skip
function handle() local x = 1 end
---@case true keeps it
-- expect-outcome: proceed
function handle() return true end
---@case false keeps it
-- expect-outcome: proceed
function handle() return false end
---@case a string keeps it
-- expect-outcome: proceed
function handle() return "x" end
---@case a number keeps it
-- expect-outcome: proceed
function handle() return 1 end
---@case the null sentinel keeps it
-- expect-outcome: proceed
function handle() return json.decode("null") end
---@case an empty table keeps it
-- expect-outcome: proceed
function handle() return {} end
---@case the event keeps it
-- expect-outcome: proceed
function handle() return event end
---@case a value is replaced
-- expect-outcome: replace {"val": "ham"}
function handle() return { val = "ham" } end
---@case every field is replaced
-- expect-outcome: replace {"src": "did:plc:other", "uri": "at://did:plc:bob", "val": "v", "neg": true, "cts": "2025-01-01T00:00:00Z", "exp": "2027-01-01T00:00:00Z"}
function handle()
  return { src = "did:plc:other", uri = "at://did:plc:bob", val = "v", neg = true, cts = "2025-01-01T00:00:00Z", exp = "2027-01-01T00:00:00Z" }
end
---@case a negation is taken back
-- event: {"neg": true}
-- expect-outcome: replace {"neg": false}
function handle() return { neg = false } end
---@case fields of a wrong type are ignored
-- expect-outcome: proceed
function handle() return { val = 5, neg = "yes", src = true, uri = {}, cts = 1.5 } end
---@case unknown fields are ignored
-- expect-outcome: proceed
function handle() return { other = "x" } end
---@case an expiry cannot be cleared
-- event: {"exp": "2027-01-01T00:00:00.000Z"}
-- expect-outcome: proceed
function handle() return { exp = false, src = src } end
---@case an allow list keeps what is on it
-- spec: 8
-- event: {"val": "porn"}
-- expect-outcome: proceed
local allowed = { porn = true, spam = true }
function handle()
  if not allowed[val] then return nil end
  return event
end
---@case an allow list drops the rest
-- spec: 8
-- event: {"val": "rude"}
-- expect-outcome: skip
local allowed = { porn = true, spam = true }
function handle()
  if not allowed[val] then return nil end
  return event
end
---@case a value is rewritten by a part of a table
-- spec: 8
-- event: {"val": "NSFW"}
-- expect-outcome: replace {"val": "nsfw"}
function handle() return { val = val:lower() } end
---@case a label on an account
-- trigger: labeler.apply:_actor
-- event: {"uri": "did:plc:alice"}
-- expect-outcome: replace {"val": "actor"}
function handle() return { val = "actor" } end
---@case a label on the at-uri of an account
-- trigger: labeler.apply:_actor
-- event: {"uri": "at://did:plc:alice"}
-- expect-outcome: replace {"val": "actor"}
function handle() return { val = "actor" } end
---@case a label on the at-uri of an account with a slash
-- trigger: labeler.apply:_actor
-- event: {"uri": "at://did:plc:alice/"}
-- expect-outcome: replace {"val": "actor"}
function handle() return { val = "actor" } end
---@case a label on something else is on an account
-- trigger: labeler.apply:_actor
-- event: {"uri": "https://example.com/a/b"}
-- expect-outcome: replace {"val": "actor"}
function handle() return { val = "actor" } end
---@case a label on a collection without key
-- event: {"uri": "at://did:plc:alice/org.example.item"}
-- expect-outcome: replace {"val": "item"}
function handle() return { val = "item" } end
---@case a label on a record of another collection has no script
-- event: {"uri": "at://did:plc:alice/org.example.task/r1"}
-- expect-outcome: proceed
function handle() return nil end
---@case a label on a record does not run the script of accounts
-- trigger: labeler.apply:_actor
-- expect-outcome: proceed
function handle() return nil end
---@case a failure keeps the label, with a dead letter
-- spec: 1.5
-- expect-error: runtime 1 no luck
function handle() error("no luck") end
---@case four attempts are made
-- spec: 1.5
-- expect-logs: ["try", "try", "try", "try"]
-- expect-error: runtime 2 no luck
function handle() log("try")
  error("no luck") end
---@case a job needs a caller
-- spec: 4.9
-- expect-logs: ["jobs.create requires an authenticated caller"]
-- expect-outcome: proceed
function handle()
  local _, e = pcall(jobs.create, "conformance", {})
  log(tostring(e):match("jobs%.create requires an authenticated caller"))
  return true
end
---@case a label removes the record
-- spec: 9.7
-- seed: [["did:plc:alice", "org.example.item", "r1", {"name": "x"}]]
-- expect-rows: []
-- expect-outcome: proceed
function handle()
  Record.delete_local(uri)
  return true
end
---@case a label redacts the record
-- spec: 9.7
-- seed: [["did:plc:alice", "org.example.item", "r1", {"$type": "org.example.item", "name": "x", "n": 1}]]
-- expect-rows: [["did:plc:alice", "org.example.item", "r1", {"$type": "org.example.item", "name": "[redacted]", "n": 1}]]
-- expect-outcome: proceed
function handle()
  local r = Record.load(uri)
  r.name = "[redacted]"
  r:save_local()
  return true
end
---@case a write to the PDS fails every attempt
-- spec: 9.7
-- seed: [["did:plc:alice", "org.example.item", "r1", {"name": "x"}]]
-- expect-rows: [["did:plc:alice", "org.example.item", "r1", {"name": "x"}]]
-- expect-error: runtime 2 no PDS auth
function handle()
  Record.load(uri):delete()
  return nil
end
---@case env of a label
-- spec: 6.3
-- env: {"VAL": "mine"}
-- expect-outcome: replace {"val": "mine"}
function handle() return { val = env.VAL } end
