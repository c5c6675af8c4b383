-- spec: 4.3

---@case a new record has its fields
-- expect: ["x", 1, "nil"]
function handle()
  local r = Record("org.example.item", { name = "x", n = 1 })
  return { r.name, r.n, type(r.other) }
end
---@case Record.new is the same
-- expect: "x"
function handle() return Record.new("org.example.item", { name = "x" }).name end
---@case without fields
-- expect: "org.example.item"
function handle() return Record("org.example.item")._collection end
---@case defaults of the lexicon fill what is missing
-- expect: {"title": "t", "status": "open", "count": 0, "done": "nil"}
function handle()
  local r = Record("org.example.task", { title = "t" })
  return { title = r.title, status = r.status, count = r.count, done = type(r.done) }
end
---@case defaults do not overwrite
-- expect: ["closed", 5]
function handle()
  local r = Record("org.example.task", { title = "t", status = "closed", count = 5 })
  return { r.status, r.count }
end
---@case false is a value, not a gap
-- expect: false
function handle() return Record("org.example.task", { title = "t", status = false }).status end
---@case nested defaults are not filled
-- expect: "nil"
function handle() return type(Record("org.example.task", { details = {} }).details.level) end
---@case internal fields of a new record
-- expect: ["org.example.item", "tid", "table", "nil", "nil", "nil", "nil"]
function handle()
  local r = Record("org.example.item")
  return { r._collection, r._key_type, type(r._schema), type(r._uri), type(r._cid), type(r._rkey), type(r._repo_override) }
end
---@case a collection without a lexicon
-- expect: ["x", "nil", "nil"]
function handle()
  local r = Record("org.example.unknown", { name = "x" })
  return { r.name, type(r._schema), type(r._key_type) }
end
---@case the schema is that of the record
-- expect: ["title"]
function handle() return Record("org.example.task")._schema.required end
---@case an internal field that is nil cannot be assigned
-- expect-error: runtime 3 cannot assign to internal field '_uri'
function handle()
  local r = Record("org.example.item")
  r._uri = "at://x/y/z"
end
---@case every internal field is guarded while it is nil
-- expect: []
function handle()
  local accepted = toarray({})
  for _, key in ipairs({ "_uri", "_cid", "_rkey", "_repo_override" }) do
    local r = Record("org.example.item")
    if pcall(function() r[key] = "x" end) then accepted[#accepted + 1] = key end
  end
  return accepted
end
---@case an internal field that has a value can be assigned
-- expect: "org.example.task"
function handle()
  local r = Record("org.example.item")
  r._collection = "org.example.task"
  return r._collection
end
---@case fields with an underscore are copied from the constructor
-- expect: "at://did:plc:alice/org.example.item/a"
function handle() return Record("org.example.item", { _uri = "at://did:plc:alice/org.example.item/a" })._uri end
---@case fields can be set and cleared
-- expect: ["b", "nil"]
function handle()
  local r = Record("org.example.item", { name = "a", n = 1 })
  r.name, r.n = "b", nil
  return { r.name, type(r.n) }
end
---@case as text, unsaved
-- expect: "Record(org.example.item) [unsaved]"
function handle() return tostring(Record("org.example.item")) end
---@case as text, saved
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "x"}]]
-- expect: "Record(org.example.item) [uri=at://did:plc:alice/org.example.item/a]"
function handle() return tostring(Record.load("at://did:plc:alice/org.example.item/a")) end
---@case a field named like a method hides it
-- expect: ["text", "function"]
function handle()
  local r = Record("org.example.item", { save = "text" })
  return { r.save, type(r.delete) }
end
---@case a record is written with its internal fields
-- spec: 2.5
-- expect: {"_collection": "org.example.unknown", "name": "x"}
function handle() return Record("org.example.unknown", { name = "x" }) end
---@case methods are not fields
-- expect: ["_collection", "name"]
function handle()
  local keys = {}
  for key in pairs(Record("org.example.unknown", { name = "x" })) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end
---@case set_key_type
-- expect: ["any", "tid", "nsid", "literal:self", true]
function handle()
  local r = Record("org.example.item")
  local kinds = {}
  for i, kind in ipairs({ "any", "tid", "nsid", "literal:self" }) do
    r:set_key_type(kind)
    kinds[i] = r._key_type
  end
  kinds[5] = r:set_key_type("any") == r
  return kinds
end
---@case set_key_type refuses others
-- expect-error: runtime 1 invalid key type 'uuid': expected tid, any, nsid, or literal:*
function handle() Record("org.example.item"):set_key_type("uuid") end
---@case set_rkey
-- expect: ["k", true]
function handle()
  local r = Record("org.example.item")
  local same = r:set_rkey("k") == r
  return { r._rkey, same }
end
---@case set_rkey refuses an empty key
-- expect-error: runtime 1 rkey must be a non-empty string
function handle() Record("org.example.item"):set_rkey("") end
---@case set_repo
-- expect: ["did:plc:bob", true]
function handle()
  local r = Record("org.example.item")
  local same = r:set_repo("did:plc:bob") == r
  return { r._repo_override, same }
end
---@case set_repo refuses an empty one
-- expect-error: runtime 1 did must be a non-empty string
function handle() Record("org.example.item"):set_repo("") end
---@case generate_rkey of a tid
-- expect: [13, true]
function handle()
  local r = Record("org.example.item")
  local key = r:generate_rkey()
  return { #key, r._rkey == key }
end
---@case generate_rkey of any
-- expect: 13
function handle() return #Record("org.example.slug"):generate_rkey() end
---@case generate_rkey of a literal
-- expect: "self"
function handle() return Record("org.example.profile"):generate_rkey() end
---@case generate_rkey of an nsid
-- expect-error: runtime - cannot auto-generate rkey for nsid key type — use set_rkey() instead
function handle() return Record("org.example.named"):generate_rkey() end
---@case generate_rkey without a key type
-- expect-error: runtime - no _key_type set — call set_key_type() first or use a record-type lexicon
function handle() return Record("org.example.unknown"):generate_rkey() end
---@case generate_rkey of a loaded record
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "x"}]]
-- expect-error: runtime - no _key_type set
function handle() return Record.load("at://did:plc:alice/org.example.item/a"):generate_rkey() end
---@case load
-- seed: [["did:plc:alice", "org.example.item", "a", {"$type": "org.example.item", "name": "x", "tags": []}]]
-- expect: {"name": "x", "type": "nil", "uri": "at://did:plc:alice/org.example.item/a", "collection": "org.example.item", "cid": "string", "schema": "table", "key": "nil", "rkey": "nil", "repo": "nil", "tags": []}
function handle()
  local r = Record.load("at://did:plc:alice/org.example.item/a")
  return {
    name = r.name, type = type(r["$type"]), uri = r._uri, collection = r._collection, cid = type(r._cid), tags = r.tags,
    schema = type(r._schema), key = type(r._key_type), rkey = type(r._rkey), repo = type(r._repo_override),
  }
end
---@case load of what is not there
-- expect: "nil"
function handle() return type(Record.load("at://did:plc:alice/org.example.item/none")) end
---@case load does not fill defaults
-- seed: [["did:plc:alice", "org.example.task", "a", {"title": "x"}]]
-- expect: "nil"
function handle() return type(Record.load("at://did:plc:alice/org.example.task/a").status) end
---@case load_all keeps the places
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "a"}], ["did:plc:alice", "org.example.item", "c", {"name": "c"}]]
-- expect: ["a", "nil", "c"]
function handle()
  local base = "at://did:plc:alice/org.example.item/"
  local all = Record.load_all({ base .. "a", base .. "b", base .. "c" })
  return { all[1].name, type(all[2]), all[3].name }
end
---@case ipairs over load_all stops at the first miss
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "a"}], ["did:plc:alice", "org.example.item", "c", {"name": "c"}]]
-- expect: 1
function handle()
  local base, n = "at://did:plc:alice/org.example.item/", 0
  for _ in ipairs(Record.load_all({ base .. "a", base .. "b", base .. "c" })) do n = n + 1 end
  return n
end
---@case an empty load_all is an object
-- spec: 2.6
-- expect: {}
function handle() return Record.load_all({}) end
---@case save has no session
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "x"}]]
-- expect: [false, true, "x"]
function handle()
  local r = Record.load("at://did:plc:alice/org.example.item/a")
  r.name = "y"
  local ok, e = pcall(r.save, r)
  local words = "no PDS auth in this script context — use :save_local() / :delete_local() / Record.delete_local(uri) for local-only mutation"
  return { ok, tostring(e):find(words, 1, true) ~= nil, db.get(r._uri).name }
end
---@case delete has no session
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "x"}]]
-- expect: [false, true, true]
function handle()
  local r = Record.load("at://did:plc:alice/org.example.item/a")
  local ok, e = pcall(r.delete, r)
  return { ok, tostring(e):find("no PDS auth", 1, true) ~= nil, db.get("at://did:plc:alice/org.example.item/a") ~= nil }
end
---@case save_all has no session
-- expect: [false, true]
function handle()
  local ok, e = pcall(Record.save_all, { Record("org.example.item", { name = "x" }) })
  return { ok, tostring(e):find("no PDS auth", 1, true) ~= nil }
end
---@case save_local creates a row
-- expect: ["at://did:plc:bob/org.example.item/k", "", true]
-- expect-rows: [["did:plc:bob", "org.example.item", "k", {"$type": "org.example.item", "name": "x", "n": 1}]]
function handle()
  local r = Record("org.example.item", { name = "x", n = 1 })
  local same = r:set_repo("did:plc:bob"):set_rkey("k"):save_local() == r
  return { r._uri, r._cid, same }
end
---@case save_local changes a loaded row
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "x", "n": 1}]]
-- expect: 1
-- expect-rows: [["did:plc:alice", "org.example.item", "a", {"$type": "org.example.item", "name": "y", "n": 1}]]
function handle()
  local r = Record.load("at://did:plc:alice/org.example.item/a")
  r.name = "y"
  r:save_local()
  return db.count("org.example.item")
end
---@case save_local twice changes its row
-- expect: 1
-- expect-rows: [["did:plc:alice", "org.example.item", "k", {"$type": "org.example.item", "name": "second"}]]
function handle()
  local r = Record("org.example.item", { name = "first" }):set_repo("did:plc:alice"):set_rkey("k"):save_local()
  r.name = "second"
  r:save_local()
  return db.count("org.example.item")
end
---@case save_local makes a key of thirteen characters
-- expect: 13
function handle()
  return #Record("org.example.item", { name = "x" }):set_repo("did:plc:alice"):save_local()._uri:match("[^/]+$")
end
---@case save_local takes the key of the lexicon
-- expect: "at://did:plc:alice/org.example.profile/self"
function handle() return Record("org.example.profile", { displayName = "A" }):set_repo("did:plc:alice"):save_local()._uri end
---@case save_local makes a key without a key type, too
-- expect: 13
function handle()
  return #Record("org.example.unknown", { name = "x" }):set_repo("did:plc:alice"):save_local()._uri:match("[^/]+$")
end
---@case save_local cannot make an nsid
-- expect-error: runtime 1 cannot auto-generate rkey for nsid key type — call set_rkey() first
function handle() Record("org.example.named", { text = "x" }):set_repo("did:plc:alice"):save_local() end
---@case save_local needs a DID
-- expect-error: runtime 1 save_local() needs a DID — call :set_repo("did:plc:...") or load the record first
function handle() Record("org.example.item", { name = "x" }):save_local() end
---@case the caller is the repo of save_local
-- caller: did:plc:bob
-- expect: "at://did:plc:bob/org.example.item/k"
function handle() return Record("org.example.item", { name = "x" }):set_rkey("k"):save_local()._uri end
---@case save_local checks required fields
-- expect-error: runtime 1 missing required field 'title'
-- expect-rows: []
function handle() Record("org.example.task", { status = "x" }):set_repo("did:plc:alice"):save_local() end
---@case a default counts as the required field
-- expect-rows: [["did:plc:alice", "org.example.task", "k", {"$type": "org.example.task", "title": "t", "status": "open", "count": 0}]]
-- expect: true
function handle()
  Record("org.example.task", { title = "t" }):set_repo("did:plc:alice"):set_rkey("k"):save_local()
  return true
end
---@case only properties of the schema are stored
-- expect-rows: [["did:plc:alice", "org.example.slug", "k", {"$type": "org.example.slug", "text": "x"}]]
-- expect: true
function handle()
  Record("org.example.slug", { text = "x", other = 1 }):set_repo("did:plc:alice"):set_rkey("k"):save_local()
  return true
end
---@case empty properties let nothing through
-- expect-rows: [["did:plc:alice", "org.example.bare", "k", {"$type": "org.example.bare"}]]
-- expect: true
function handle()
  Record("org.example.bare", { text = "x" }):set_repo("did:plc:alice"):set_rkey("k"):save_local()
  return true
end
---@case a schema without properties lets everything through
-- expect-rows: [["did:plc:alice", "org.example.open", "k", {"$type": "org.example.open", "text": "x", "deep": {"a": [1]}}]]
-- expect: true
function handle()
  Record("org.example.open", { text = "x", deep = { a = { 1 } } }):set_repo("did:plc:alice"):set_rkey("k"):save_local()
  return true
end
---@case fields with an underscore are not stored
-- expect-rows: [["did:plc:alice", "org.example.open", "k", {"$type": "org.example.open", "a": 1}]]
-- expect: true
function handle()
  Record("org.example.open", { a = 1, _b = 2 }):set_repo("did:plc:alice"):set_rkey("k"):save_local()
  return true
end
---@case values are not checked against their types
-- expect-rows: [["did:plc:alice", "org.example.task", "k", {"$type": "org.example.task", "title": 5, "status": "open", "count": "many"}]]
-- expect: true
function handle()
  Record("org.example.task", { title = 5, count = "many" }):set_repo("did:plc:alice"):set_rkey("k"):save_local()
  return true
end
---@case an empty array of a record stays one
-- expect-rows: [["did:plc:alice", "org.example.task", "k", {"$type": "org.example.task", "title": "t", "status": "open", "count": 0, "tags": []}]]
-- expect: true
function handle()
  Record("org.example.task", { title = "t", tags = toarray({}) }):set_repo("did:plc:alice"):set_rkey("k"):save_local()
  return true
end
---@case a uri that is none
-- expect-error: runtime 1 invalid AT URI: nonsense
function handle() Record("org.example.item", { _uri = "nonsense", name = "x" }):save_local() end
---@case what save_local stored is there for the next statement
-- expect: "x"
function handle()
  local r = Record("org.example.item", { name = "x" }):set_repo("did:plc:alice"):save_local()
  return db.get(r._uri).name
end
---@case delete_local of an instance
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "x"}]]
-- expect: ["nil", "nil", true]
-- expect-rows: []
function handle()
  local r = Record.load("at://did:plc:alice/org.example.item/a")
  local same = r:delete_local() == r
  return { type(r._uri), type(r._cid), same }
end
---@case delete_local of an instance needs a uri
-- expect-error: runtime 1 cannot delete_local a Record that has no _uri
function handle() Record("org.example.item"):delete_local() end
---@case delete_local of a row that is gone already
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "x"}]]
-- expect: "nil"
function handle()
  local uri = "at://did:plc:alice/org.example.item/a"
  local r = Record.load(uri)
  Record.delete_local(uri)
  return type(r:delete_local()._uri)
end
---@case Record.delete_local says whether there was a row
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "x"}]]
-- expect: [true, false]
-- expect-rows: []
function handle()
  local uri = "at://did:plc:alice/org.example.item/a"
  return { Record.delete_local(uri), Record.delete_local(uri) }
end
---@case Record.delete_local of a bad uri is no error
-- expect: false
function handle() return Record.delete_local("nonsense") end
---@case a record can be saved again after delete_local
-- expect: [true, 1]
function handle()
  local r = Record("org.example.item", { name = "x" }):set_repo("did:plc:alice"):set_rkey("a"):save_local()
  r:delete_local():save_local()
  return { r._uri ~= nil, db.count("org.example.item") }
end
---@case a collection is required
-- expect: false
function handle() return (pcall(Record)) end
