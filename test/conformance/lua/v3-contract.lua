-- spec: 5.1

---@case input of a query
-- params: limit=5&did=x
-- expect: {"limit": 5, "did": "x"}
function handle(input, ctx) return input end
---@case ctx of a query
-- env: {"A": "b"}
-- params: limit=5
-- expect: {"trigger": "xrpc.query:org.example.query", "method": "org.example.query", "collection": "org.example.item", "auth": false, "env": "b", "caller": "nil", "space": "nil", "job": "nil"}
function handle(input, ctx)
  return {
    trigger = ctx.trigger, method = ctx.method, collection = ctx.collection, auth = ctx.has_pds_auth, env = ctx.env.A,
    caller = type(ctx.caller_did), space = type(ctx.space), job = type(ctx.job),
  }
end
---@case the caller of a query
-- caller: did:plc:bob
-- expect: "did:plc:bob"
function handle(_, ctx) return ctx.caller_did end
---@case input of a procedure
-- kind: procedure
-- input: {"text": "hi", "n": 1}
-- expect: {"text": "hi", "n": 1}
function handle(input) return input end
---@case ctx of a procedure
-- kind: procedure
-- params: limit=5
-- expect: {"trigger": "xrpc.procedure:org.example.procedure", "method": "org.example.procedure", "collection": "org.example.task", "caller": "did:plc:caller", "limit": 5, "delegate": "nil"}
function handle(input, ctx)
  return {
    trigger = ctx.trigger, method = ctx.method, collection = ctx.collection, caller = ctx.caller_did,
    limit = ctx.params.limit, delegate = type(ctx.delegate_did),
  }
end
---@case input of a record event
-- kind: record
-- event: {"record": {"name": "x"}}
-- expect-outcome: replace {"action": "create", "uri": "at://did:plc:alice/org.example.item/r1", "did": "did:plc:alice", "collection": "org.example.item", "rkey": "r1", "name": "x", "keys": 6}
function handle(input, ctx)
  local keys = 0
  for _ in pairs(input) do keys = keys + 1 end
  return {
    action = input.action, uri = input.uri, did = input.did, collection = input.collection, rkey = input.rkey,
    name = input.record.name, keys = keys,
  }
end
---@case ctx of a record event
-- kind: record
-- env: {"A": "b"}
-- expect-outcome: replace {"trigger": "record.index:org.example.item", "caller": "did:plc:alice", "collection": "org.example.item", "auth": false, "env": "b", "method": "nil"}
function handle(input, ctx)
  return {
    trigger = ctx.trigger, caller = ctx.caller_did, collection = ctx.collection, auth = ctx.has_pds_auth, env = ctx.env.A,
    method = type(ctx.method),
  }
end
---@case the trigger is the one that ran
-- kind: record
-- trigger: record.create:org.example.item
-- expect-outcome: replace {"trigger": "record.create:org.example.item"}
function handle(_, ctx) return { trigger = ctx.trigger } end
---@case nil skips
-- kind: record
-- expect-outcome: skip
function handle(input, ctx) return nil end
---@case input.record changed and returned
-- kind: record
-- event: {"record": {"name": "x"}}
-- expect-outcome: replace {"name": "X"}
function handle(input)
  input.record.name = input.record.name:upper()
  return input.record
end
---@case a delete in the words of v3
-- kind: record
-- event: {"action": "delete"}
-- expect-outcome: proceed
function handle(input) return input.action == "delete" and true or input.record end
---@case a returned null sentinel is something else
-- kind: record
-- expect-outcome: proceed
function handle() return require("internal.json").decode("null") end
---@case input of a label
-- kind: label
-- event: {"val": "x", "exp": "2027-01-01T00:00:00Z"}
-- expect-logs: ["did:plc:labeler at://did:plc:alice/org.example.item/r1 x false 2026-01-01T00:00:00.000Z 2027-01-01T00:00:00Z"]
-- expect-outcome: proceed
function handle(input, ctx)
  local log = require("internal.logging")
  log.info(table.concat({ input.src, input.uri, input.val, tostring(input.neg), input.cts, input.exp }, " "))
  return true
end
---@case ctx of a label
-- kind: label
-- expect-outcome: replace {"val": "labeler.apply:org.example.item nil false"}
function handle(_, ctx)
  return { val = table.concat({ ctx.trigger, type(ctx.caller_did), tostring(ctx.has_pds_auth) }, " ") }
end
---@case input of a job is the job's input
-- kind: job
-- input: {"n": 4, "list": [1]}
-- expect: {"n": 4, "list": [1]}
function handle(input, ctx) return input end
---@case ctx of a job
-- kind: job
-- expect: {"trigger": "job.run:conformance", "caller": "did:plc:caller", "id": "string", "functions": "function function function", "auth": false}
function handle(input, ctx)
  return {
    trigger = ctx.trigger, caller = ctx.caller_did, id = type(ctx.job.id), auth = ctx.has_pds_auth,
    functions = table.concat({ type(ctx.job.progress), type(ctx.job.should_stop), type(ctx.job.wait) }, " "),
  }
end
---@case the job of ctx works
-- kind: job
-- expect: false
function handle(_, ctx)
  ctx.job.progress({ at = 1 })
  ctx.job.wait(0)
  return ctx.job.should_stop()
end
---@case the globals of v2 are there as well
-- spec: 0.2
-- params: limit=5
-- expect: [true, true]
function handle(input, ctx) return { input.limit == params.limit, ctx.method == method } end
---@case a local may have the name of a global of v2
-- spec: 0.2
-- params: limit=5
-- expect: [5, "function", "function"]
local log = require("internal.logging")
local db = require("happyview.db")
function handle(params, ctx) return { params.limit, type(log.info), type(db.records) } end
---@case errors have the same form
-- expect-error: runtime 3 no luck
function handle(input, ctx)
  local n = 1
  error("no luck")
end
