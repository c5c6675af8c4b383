-- spec: 1.3
-- kind: record

---@case create: nil skips
-- expect-outcome: skip
function handle() return nil end
---@case create: nothing skips
-- expect-outcome: skip
function handle() local x = 1 end
---@case create: a table replaces
-- event: {"record": {"name": "a", "n": 1}}
-- expect-outcome: replace {"n": 2}
function handle() return { n = record.n + 1 } end
---@case create: true lets it through
-- expect-outcome: proceed
function handle() return true end
---@case create: false lets it through
-- expect-outcome: proceed
function handle() return false end
---@case create: a string lets it through
-- expect-outcome: proceed
function handle() return "skip" end
---@case create: a number lets it through
-- expect-outcome: proceed
function handle() return 0 end
---@case create: a float lets it through
-- expect-outcome: proceed
function handle() return 1.5 end
---@case create: the null sentinel lets it through
-- expect-outcome: proceed
function handle() return json.decode("null") end
---@case create: a function lets it through
-- expect-outcome: proceed
function handle() return print end
---@case create: the record itself
-- event: {"record": {"name": "a", "tags": [], "x": null}}
-- expect-outcome: proceed
function handle() return record end
---@case create: the record changed
-- event: {"record": {"name": "a"}}
-- expect-outcome: replace {"name": "A", "n": 1}
function handle()
  record.name = record.name:upper()
  record.n = 1
  return record
end
---@case create: a field removed
-- event: {"record": {"name": "a", "secret": "s"}}
-- expect-outcome: replace {"name": "a"}
function handle()
  record.secret = nil
  return record
end
---@case create: the table is stored as it is, without a type or a schema check
-- event: {"record": {"name": "a"}}
-- expect-outcome: replace {"anything": {"deep": [1, 2.5, true]}, "name": 5}
function handle() return { anything = { deep = { 1, 2.5, true } }, name = 5 } end
---@case create: a type of its own is kept
-- expect-outcome: replace {"$type": "org.example.other", "x": 1}
function handle() return { ["$type"] = "org.example.other", x = 1 } end
---@case create: only the first result counts
-- expect-outcome: skip
function handle() return nil, { a = 1 } end
---@case create: an empty table is stored
-- expect-outcome: replace {}
function handle() return {} end
---@case update: nil leaves the row as it was
-- event: {"action": "update"}
-- expect-outcome: skip
function handle() return nil end
---@case update: a table replaces
-- event: {"action": "update", "record": {"name": "new"}}
-- expect-outcome: replace {"name": "NEW"}
function handle() return { name = record.name:upper() } end
---@case update: true stores the event's record
-- event: {"action": "update"}
-- expect-outcome: proceed
function handle() return true end
---@case update: the script sees the old row in the index
-- event: {"action": "update", "record": {"name": "new"}}
-- expect-outcome: replace {"before": "old", "after": "new"}
function handle() return { before = db.get(uri).name, after = record.name } end
---@case create: the script runs before the row is stored
-- expect-outcome: replace {"there": false}
function handle() return { there = db.get(uri) ~= nil } end
---@case delete: nil keeps the row
-- event: {"action": "delete"}
-- expect-outcome: skip
function handle() return nil end
---@case delete: returning the record, which there is not, keeps the row
-- event: {"action": "delete"}
-- expect-outcome: skip
function handle() return record end
---@case delete: true deletes
-- event: {"action": "delete"}
-- expect-outcome: proceed
function handle() return true end
---@case delete: false deletes
-- event: {"action": "delete"}
-- expect-outcome: proceed
function handle() return false end
---@case delete: a table deletes
-- event: {"action": "delete"}
-- expect-outcome: proceed
function handle() return { x = 1 } end
---@case delete: a string deletes
-- event: {"action": "delete"}
-- expect-outcome: proceed
function handle() return "x" end
---@case delete: record or true deletes
-- event: {"action": "delete"}
-- expect-outcome: proceed
function handle() return record or true end
---@case delete: the script still sees the row
-- event: {"action": "delete"}
-- expect-logs: ["old"]
-- expect-outcome: proceed
function handle()
  log(db.get(uri).name)
  return true
end
---@case the script of the action comes before the index script
-- spec: 1.2
-- trigger: record.create:org.example.item
-- expect-outcome: replace {"by": "create"}
function handle() return { by = "create" } end
---@script record.index:org.example.item
function handle() return { by = "index" } end
---@case exactly one script runs
-- spec: 1.2
-- trigger: record.create:org.example.item
-- expect-logs: ["create"]
-- expect-outcome: proceed
function handle() log("create") return true end
---@script record.index:org.example.item
function handle() log("index") return nil end
---@case another action falls back to the index script
-- spec: 1.2
-- event: {"action": "update", "record": {"name": "a"}}
-- expect-outcome: replace {"by": "index", "action": "update"}
function handle() return { by = "index", action = action } end
---@script record.create:org.example.item
function handle() return { by = "create" } end
---@case a delete script does not see a create
-- spec: 1.2
-- trigger: record.delete:org.example.item
-- event: {"action": "create"}
-- expect-outcome: proceed
function handle() return nil end
---@case an update script sees an update
-- spec: 1.2
-- trigger: record.update:org.example.item
-- event: {"action": "update"}
-- expect-outcome: replace {"name": "updated"}
function handle() return { name = "updated" } end
---@case a script of another collection does not run
-- spec: 1.2
-- trigger: record.index:org.example.task
-- event: {"collection": "org.example.item"}
-- expect-outcome: proceed
function handle() return nil end
---@case required fields as a filter
-- spec: 8
-- event: {"record": {"name": ""}}
-- expect-outcome: skip
function handle()
  if action == "delete" then return true end
  if not record.name or record.name == "" then return nil end
  return record
end
---@case required fields as a filter let a good record through
-- spec: 8
-- event: {"record": {"name": "x"}}
-- expect-outcome: proceed
function handle()
  if action == "delete" then return true end
  if not record.name or record.name == "" then return nil end
  return record
end
---@case a slug, with the first of two results only
-- spec: 8
-- event: {"record": {"name": "Hello, Big World"}}
-- expect-outcome: replace {"name": "Hello, Big World", "slug": "hello-big-world"}
function handle()
  record.slug = string.lower((string.gsub(record.name, "[^%w]+", "-")))
  return record
end
---@case gsub hands two values to lower, which takes one
-- spec: 8
-- event: {"record": {"name": "A B"}}
-- expect-outcome: replace {"name": "A B", "slug": "a-b"}
function handle()
  record.slug = string.lower(string.gsub(record.name, " ", "-"))
  return record
end
---@case a runtime error lets a create through, with a dead letter
-- spec: 1.5
-- expect-error: runtime 1 no luck
function handle() error("no luck") end
---@case a runtime error lets an update through
-- spec: 1.5
-- event: {"action": "update"}
-- expect-error: runtime 1 attempt to index a nil value
function handle() return missing.field end
---@case a runtime error lets a delete through
-- spec: 1.5
-- event: {"action": "delete"}
-- expect-error: runtime 1 no luck
function handle() error("no luck") end
---@case an error at the top level lets the record through
-- spec: 1.5
-- expect-error: syntax 1 early
if did then error("early") end
function handle() return nil end
---@case a table that is no JSON lets the record through
-- spec: 1.5
-- expect-error: runtime - unsupported value type `function`
function handle() return { f = print } end
---@case a bad key lets the record through
-- spec: 1.5
-- expect-error: runtime - expected a string key
function handle() return { [true] = 1 } end
---@case four attempts are made
-- spec: 1.5
-- expect-logs: ["try", "try", "try", "try"]
-- expect-error: runtime 3 no luck
function handle()
  log("try")
  error("no luck")
end
---@case an attempt that succeeds ends the tries
-- spec: 1.5
-- expect-logs: ["create"]
-- expect-outcome: replace {"ok": true}
function handle()
  log(action)
  return { ok = true }
end
---@case a script may remove another record
-- spec: 4.3
-- seed: [["did:plc:alice", "org.example.item", "other", {"name": "x"}]]
-- event: {"record": {"name": "new"}}
-- expect-outcome: proceed
-- expect-rows: [["did:plc:alice", "org.example.item", "r1", {"name": "new"}]]
function handle()
  Record.delete_local("at://did:plc:alice/org.example.item/other")
  return true
end
---@case a script may write a record of another collection
-- spec: 4.3
-- event: {"record": {"name": "new"}}
-- expect-outcome: proceed
-- expect-rows: [["did:plc:alice", "org.example.item", "r1", {"name": "new"}],
--|  ["did:plc:alice", "org.example.slug", "copy", {"$type": "org.example.slug", "text": "new"}]]
function handle()
  Record("org.example.slug", { text = record.name }):set_repo(did):set_rkey("copy"):save_local()
  return true
end
---@case a write to the PDS has no session
-- spec: 4.3
-- expect-logs: ["no PDS auth"]
-- expect-outcome: proceed
function handle()
  local _, e = pcall(function() Record("org.example.item", { name = "x" }):save() end)
  log(e:match("no PDS auth"))
  return true
end
---@case the author is the repo of a local write
-- spec: 1.3
-- expect-outcome: replace {"did": "did:plc:alice"}
function handle()
  local saved = Record("org.example.slug", { text = "x" }):set_rkey("mine"):save_local()
  return { did = saved._uri:match("^at://([^/]+)/") }
end
---@case the array marker survives a change
-- spec: 2.6
-- event: {"record": {"tags": ["a"]}}
-- expect-outcome: replace {"tags": []}
function handle()
  table.remove(record.tags)
  return record
end
