-- spec: 1.7
-- kind: job

---@case a result is stored
-- expect: {"a": [1, 2.5, "x", true]}
function handle() return { a = { 1, 2.5, "x", true } } end
---@case nothing is null
-- expect: null
function handle() end
---@case what is no JSON is null
-- expect: null
function handle() return print end
---@case a cycle is null
-- expect: null
function handle()
  local t = {}
  t.t = t
  return t
end
---@case bytes are null
-- expect: null
function handle() return "\xff" end
---@case a scalar
-- expect: "done"
function handle() return "done" end
---@case the input keeps its types
-- input: {"a": null, "b": [], "n": 1, "f": 1.5}
-- expect: {"a": null, "b": [], "n": 1, "f": 1.5}
function handle() return job.input end
---@case a runtime error has its category and line
-- expect-error: runtime 3 :3: attempt to index a nil value
function handle()
  local x = nil
  return x.y
end
---@case an error text without position
-- expect-error: runtime - no luck
function handle() error("no luck", 0) end
---@case an error at the top level
-- expect-error: syntax 1 early
if job then error("early") end
function handle() end
---@case should_stop is false
-- expect: false
function handle() return job.should_stop() end
---@case a negative wait is free
-- expect: true
function handle()
  job.wait(-5)
  job.wait(0)
  return true
end
---@case a short wait comes back
-- expect: "after"
function handle()
  job.wait(0.01)
  return "after"
end
---@case progress takes a table
-- expect: true
function handle()
  job.progress({ done = 1, total = 2 })
  job.progress({ done = 2, total = 2 })
  return true
end
---@case log and warn
-- expect: true
function handle()
  job.log("one")
  job.warn("two")
  return true
end
---@case no instruction limit
-- expect: 8000000
function handle()
  local n = 0
  for _ = 1, 8000000 do n = n + 1 end
  return n
end
---@case the index is there
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "x"}], ["did:plc:bob", "org.example.item", "b", {"name": "y"}]]
-- expect: [2, 1]
function handle() return { db.count("org.example.item"), db.count("org.example.item", "did:plc:bob") } end
---@case a local write goes to the creator's repo
-- spec: 4.3
-- expect: "at://did:plc:caller/org.example.slug/k"
-- expect-rows: [["did:plc:caller", "org.example.slug", "k", {"$type": "org.example.slug", "text": "x"}]]
function handle() return Record("org.example.slug", { text = "x" }):set_rkey("k"):save_local()._uri end
---@case a write to the PDS has no session
-- spec: 4.3
-- expect-error: runtime 1 no PDS auth in this script context
function handle() Record("org.example.slug", { text = "x" }):save() end
---@case jobs.create gives an id
-- spec: 4.9
-- expect: [36, 4]
function handle()
  local id = jobs.create("later", { n = 1 })
  return { #id, select(2, id:gsub("-", "")) }
end
---@case jobs.create from a query needs a caller
-- spec: 4.9
-- kind: query
-- expect-error: runtime - jobs.create requires an authenticated caller
function handle() return jobs.create("later", {}) end
---@case jobs.create from a query with a caller
-- spec: 4.9
-- kind: query
-- caller: did:plc:bob
-- expect: "string"
function handle() return type(jobs.create("later", { n = 1 })) end
---@case jobs.create from a procedure
-- spec: 4.9
-- kind: procedure
-- expect: "string"
function handle() return type(jobs.create("later", { n = 1 })) end
---@case jobs.create from a record event acts for the author
-- spec: 4.9
-- kind: record
-- expect-outcome: proceed
-- expect-logs: ["string"]
function handle()
  log(type(jobs.create("later", {})))
  return true
end
---@case jobs.create refuses a bad type
-- spec: 4.9
-- expect: [false, true]
function handle()
  local ok, e = pcall(jobs.create, "Bad Type", {})
  return { ok, tostring(e):find("invalid job type 'Bad Type': must match /^[a-z0-9][a-z0-9._-]*$/", 1, true) ~= nil }
end
---@case jobs.create refuses an empty type
-- spec: 4.9
-- expect: [false, true]
function handle()
  local ok, e = pcall(jobs.create, "", {})
  return { ok, tostring(e):find("invalid job type '': must be 1", 1, true) ~= nil }
end
---@case jobs.create refuses a type of 129 characters
-- spec: 4.9
-- expect: [false, true]
function handle() return { (pcall(jobs.create, ("a"):rep(129), {})), (pcall(jobs.create, ("a"):rep(128), {})) } end
---@case an input that is no JSON becomes an empty one
-- spec: 4.9
-- expect: "string"
function handle() return type(jobs.create("later", { f = print })) end
---@case fan out
-- spec: 8
-- input: {"ids": ["a", "b", "c"]}
-- expect: {"queued": 3}
function handle()
  local queued = 0
  for _, id in ipairs(job.input.ids) do
    jobs.create("later", { id = id })
    queued = queued + 1
    job.progress({ queued = queued })
  end
  return { queued = queued }
end
---@case work that looks whether it shall stop
-- spec: 8
-- input: {"items": [1, 2, 3]}
-- expect: {"sum": 6}
function handle()
  local sum = 0
  for i, n in ipairs(job.input.items) do
    if job.should_stop() then return nil end
    sum = sum + n
    job.progress({ at = i })
    job.wait(0)
  end
  return { sum = sum }
end
