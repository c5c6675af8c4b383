-- spec: 3.2

---@case method of a query
-- expect: "org.example.query"
function handle() return method end
---@case collection is the lexicon's target
-- expect: "org.example.item"
function handle() return collection end
---@case collection is empty without a target
-- trigger: xrpc.query:org.example.plain
-- expect: ["", "string"]
function handle() return { collection, type(collection) } end
---@case an anonymous caller is nil
-- expect: "nil"
function handle() return type(caller_did) end
---@case the caller of a query
-- caller: did:plc:bob
-- expect: "did:plc:bob"
function handle() return caller_did end
---@case what a query does not have
-- expect: "nil nil nil nil nil nil nil nil"
function handle()
  return table.concat({ type(input), type(delegate_did), type(space), type(action), type(uri), type(record), type(event), type(job) }, " ")
end
---@case APIs of a query
-- expect: []
function handle()
  local missing = toarray({})
  for _, name in ipairs({ "db", "http", "xrpc", "atproto", "json", "Record", "jobs", "linked_repos", "env", "TID" }) do
    if type(_G[name]) ~= "table" then missing[#missing + 1] = name end
  end
  for _, name in ipairs({ "now", "log", "toarray" }) do
    if type(_G[name]) ~= "function" then missing[#missing + 1] = name end
  end
  return missing
end
---@case functions of db
-- spec: 4.1
-- expect: ["backend", "backlinks", "count", "get", "query", "raw", "search"]
function handle()
  local names = {}
  for name, value in pairs(db) do
    if type(value) == "function" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end
---@case verbs of http
-- spec: 4.4
-- expect: ["delete", "get", "head", "patch", "post", "put"]
function handle()
  local names = {}
  for name in pairs(http) do names[#names + 1] = name end
  table.sort(names)
  return names
end
---@case functions of xrpc
-- spec: 4.5
-- expect: ["procedure", "query"]
function handle()
  local names = {}
  for name in pairs(xrpc) do names[#names + 1] = name end
  table.sort(names)
  return names
end
---@case a procedure
-- kind: procedure
-- params: limit=2
-- input: {"text": "hi"}
-- expect: {"method": "org.example.procedure", "collection": "org.example.task", "caller": "did:plc:caller", "limit": 2, "text": "hi"}
function handle()
  return { method = method, collection = collection, caller = caller_did, limit = params.limit, text = input.text }
end
---@case what a procedure does not have
-- kind: procedure
-- expect: "nil nil nil nil nil nil nil"
function handle()
  return table.concat({ type(delegate_did), type(space), type(action), type(uri), type(record), type(event), type(job) }, " ")
end
---@case input of a procedure keeps its types
-- kind: procedure
-- input: {"a": 1, "b": 1.5, "c": [], "d": {}, "e": null, "f": [1, null]}
-- expect: {"a": 1, "b": 1.5, "c": [], "d": {}, "e": null, "f": [1, null]}
function handle() return input end
---@case numbers of an input are integers or floats by their form
-- kind: procedure
-- input: {"a": 1, "b": 1.5}
-- expect: ["integer", "float"]
function handle() return { math.type(input.a), math.type(input.b) } end
---@case input may be an array
-- kind: procedure
-- input: [1, 2, 3]
-- expect: 3
function handle() return #input end
---@case input may be a scalar
-- kind: procedure
-- input: "text"
-- expect: ["string", "text"]
function handle() return { type(input), input } end
---@case input may be null
-- kind: procedure
-- input: null
-- expect: "userdata"
function handle() return type(input) end
---@case a null in the input is the sentinel
-- spec: 2.6
-- kind: procedure
-- input: {"x": null}
-- expect: ["userdata", false, "nil"]
function handle() return { type(input.x), input.x == nil, type(input.y) } end
---@case a record event
-- spec: 1.3
-- kind: record
-- event: {"action": "create", "record": {"name": "a"}}
-- expect-outcome: replace {"action": "create", "uri": "at://did:plc:alice/org.example.item/r1", "did": "did:plc:alice", "collection": "org.example.item", "rkey": "r1", "name": "a"}
function handle()
  return { action = action, uri = uri, did = did, collection = collection, rkey = rkey, name = record.name }
end
---@case the table event has the same fields
-- spec: 1.3
-- kind: record
-- event: {"action": "update", "record": {"name": "a"}}
-- expect-outcome: replace {"same": true, "name": "a", "action": "update"}
function handle()
  return {
    same = event.uri == uri and event.did == did and event.collection == collection and event.rkey == rkey,
    name = event.record.name,
    action = event.action,
  }
end
---@case a delete has no record
-- spec: 1.3
-- kind: record
-- event: {"action": "delete"}
-- expect-logs: ["nil userdata"]
-- expect-outcome: proceed
function handle()
  log(type(record) .. " " .. type(event.record))
  return true
end
---@case what a record event does not have
-- spec: 1.3
-- kind: record
-- expect-outcome: replace {"types": "nil nil nil nil nil nil nil"}
function handle()
  return {
    types = table.concat({ type(caller_did), type(input), type(params), type(method), type(delegate_did), type(space), type(job) }, " "),
  }
end
---@case a record keeps nulls, arrays and numbers
-- spec: 2.6
-- kind: record
-- event: {"record": {"a": null, "b": [], "c": {}, "d": 1, "e": [null, 1]}}
-- expect-outcome: replace {"a": null, "b": [], "c": {}, "d": 1, "e": [null, 1], "seen": true}
function handle()
  record.seen = type(record.a) == "userdata"
  return record
end
---@case env of a record event
-- spec: 6.3
-- kind: record
-- env: {"TAG": "blue"}
-- expect-outcome: replace {"tag": "blue"}
function handle() return { tag = env.TAG } end
---@case APIs of a record event
-- spec: 4
-- kind: record
-- expect-outcome: replace {"types": "table table table table table table table table"}
function handle()
  return {
    types = table.concat({ type(db), type(http), type(xrpc), type(atproto), type(json), type(Record), type(jobs), type(linked_repos) }, " "),
  }
end
---@case a label event
-- spec: 1.4
-- kind: label
-- event: {"val": "porn", "exp": "2027-01-01T00:00:00.000Z"}
-- expect-logs: ["did:plc:labeler at://did:plc:alice/org.example.item/r1 porn false 2026-01-01T00:00:00.000Z 2027-01-01T00:00:00.000Z"]
-- expect-outcome: proceed
function handle()
  log(table.concat({ src, uri, val, tostring(neg), cts, tostring(exp) }, " "))
  return true
end
---@case a label without expiry
-- spec: 1.4
-- kind: label
-- expect-logs: ["nil nil"]
-- expect-outcome: proceed
function handle()
  log(type(exp) .. " " .. type(event.exp))
  return true
end
---@case the table event of a label
-- spec: 1.4
-- kind: label
-- event: {"neg": true}
-- expect-logs: ["true true"]
-- expect-outcome: proceed
function handle()
  local same = event.src == src and event.uri == uri and event.val == val and event.cts == cts
  log(tostring(same) .. " " .. tostring(event.neg == true and neg == true))
  return true
end
---@case what a label event does not have
-- spec: 1.4
-- kind: label
-- expect-logs: ["nil nil nil nil nil nil"]
-- expect-outcome: proceed
function handle()
  log(table.concat({ type(caller_did), type(record), type(action), type(params), type(input), type(job) }, " "))
  return true
end
---@case a job
-- spec: 1.7
-- kind: job
-- input: {"n": 4}
-- env: {"A": "b"}
-- expect: {"n": 5, "id": "string", "by": "did:plc:caller", "env": "b"}
function handle() return { n = job.input.n + 1, id = type(job.id), by = caller_did, env = env.A } end
---@case functions of a job
-- spec: 1.7
-- kind: job
-- expect: "function function function function function"
function handle()
  return table.concat({ type(job.progress), type(job.should_stop), type(job.wait), type(job.log), type(job.warn) }, " ")
end
---@case what a job does not have
-- spec: 1.7
-- kind: job
-- expect: "nil nil nil nil nil nil"
function handle()
  return table.concat({ type(input), type(params), type(collection), type(method), type(record), type(event) }, " ")
end
