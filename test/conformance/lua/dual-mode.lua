-- spec: 5.4

---@case query in the words of v2
-- params: limit=2
-- seed: [["did:plc:alice", "org.example.item", "a", {"n": 1}], ["did:plc:alice", "org.example.item", "b", {"n": 2}], ["did:plc:alice", "org.example.item", "c", {"n": 3}]]
-- expect: [3, 2]
function handle()
  local ns = {}
  for i, r in ipairs(db.query({ collection = collection, limit = params.limit }).records) do ns[i] = r.n end
  return ns
end
---@case query in the words of v3
-- params: limit=2
-- seed: [["did:plc:alice", "org.example.item", "a", {"n": 1}], ["did:plc:alice", "org.example.item", "b", {"n": 2}], ["did:plc:alice", "org.example.item", "c", {"n": 3}]]
-- expect: [3, 2]
local db = require("happyview.db")
function handle(input, ctx)
  local ns = {}
  for i, row in ipairs(db.records(ctx.collection):limit(input.limit):run().records) do ns[i] = row.record.n end
  return ns
end
---@case record event in the words of v2
-- kind: record
-- event: {"record": {"name": "x"}}
-- expect-logs: ["create x"]
-- expect-outcome: replace {"name": "x", "list": [], "by": "did:plc:alice"}
function handle()
  log(action .. " " .. record.name)
  record.list = toarray({})
  record.by = did
  return record
end
---@case record event in the words of v3
-- kind: record
-- event: {"record": {"name": "x"}}
-- expect-logs: ["create x"]
-- expect-outcome: replace {"name": "x", "list": [], "by": "did:plc:alice"}
local log = require("internal.logging")
local json = require("internal.json")
function handle(input)
  log.info(input.action .. " " .. input.record.name)
  input.record.list = json.to_array({})
  input.record.by = input.did
  return input.record
end
---@case label in the words of v2
-- kind: label
-- event: {"val": "NSFW"}
-- expect-outcome: replace {"val": "nsfw"}
function handle() return { val = val:lower() } end
---@case label in the words of v3
-- kind: label
-- event: {"val": "NSFW"}
-- expect-outcome: replace {"val": "nsfw"}
function handle(input) return { val = input.val:lower() } end
---@case job in the words of v2
-- kind: job
-- input: {"n": 2}
-- expect: {"n": 4}
function handle()
  job.log("start")
  return { n = job.input.n * 2 }
end
---@case job in the words of v3
-- kind: job
-- input: {"n": 2}
-- expect: {"n": 4}
local log = require("internal.logging")
function handle(input, ctx)
  log.info("start")
  return { n = input.n * 2 }
end
---@case procedure in the words of v2
-- kind: procedure
-- params: x=y
-- input: {"a": 1}
-- expect: ["y", 1, "did:plc:caller"]
function handle() return { params.x, input.a, caller_did } end
---@case procedure in the words of v3
-- kind: procedure
-- params: x=y
-- input: {"a": 1}
-- expect: ["y", 1, "did:plc:caller"]
function handle(input, ctx) return { ctx.params.x, input.a, ctx.caller_did } end
---@case nested queries in the words of v2
-- expect: {"a": 1}
function handle() return json.decode(xrpc.query("org.example.inner").body) end
---@script xrpc.query:org.example.inner
function handle() return { a = 1 } end
---@case nested queries in the words of v3
-- expect: {"a": 1}
local xrpc = require("happyview.xrpc")
function handle() return xrpc.query("org.example.inner") end
---@script xrpc.query:org.example.inner
function handle() return { a = 1 } end
---@case local writes in the words of v2
-- caller: did:plc:bob
-- expect: true
-- expect-rows: [["did:plc:bob", "org.example.slug", "k", {"$type": "org.example.slug", "text": "x"}]]
function handle()
  Record("org.example.slug", { text = "x" }):set_rkey("k"):save_local()
  return true
end
---@case local writes in the words of v3
-- caller: did:plc:bob
-- expect: true
-- expect-rows: [["did:plc:bob", "org.example.slug", "k", {"$type": "org.example.slug", "text": "x"}]]
local record = require("happyview.record")
function handle()
  record.save_local("org.example.slug", "k", { text = "x" })
  return true
end
