-- spec: 8

---@case get a record: no uri
-- expect: {"error": "uri is required"}
function handle()
  if not params.uri then return { error = "uri is required" } end
  return { record = db.get(params.uri) }
end
---@case get a record: found
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "x"}]]
-- params: {"uri": "at://did:plc:alice/org.example.item/a"}
-- expect: {"record": {"name": "x", "uri": "at://did:plc:alice/org.example.item/a"}}
function handle()
  local found = db.get(params.uri)
  if not found then return { error = "not found" } end
  return { record = found }
end
---@case get a record: missing
-- params: {"uri": "at://did:plc:alice/org.example.item/none"}
-- expect: {"error": "not found"}
function handle()
  local found = db.get(params.uri)
  if not found then return { error = "not found" } end
  return { record = found }
end
---@case a list with pages: first page
-- seed: [["did:plc:alice", "org.example.item", "a", {"n": 1}], ["did:plc:alice", "org.example.item", "b", {"n": 2}]]
-- params: limit=500
-- expect: {"records": [{"n": 2, "uri": "at://did:plc:alice/org.example.item/b"}, {"n": 1, "uri": "at://did:plc:alice/org.example.item/a"}]}
function handle()
  local limit = math.min(tonumber(params.limit) or 20, 100)
  return db.query({ collection = collection, did = params.did, limit = limit, cursor = params.cursor })
end
---@case a list with pages: an author without records
-- seed: [["did:plc:alice", "org.example.item", "a", {"n": 1}]]
-- params: did=did:plc:bob
-- expect: {"records": []}
function handle()
  local limit = math.min(tonumber(params.limit) or 20, 100)
  return db.query({ collection = collection, did = params.did, limit = limit, cursor = params.cursor })
end
---@case list or fetch: one
-- seed: [["did:plc:alice", "org.example.item", "a", {"n": 1}]]
-- params: {"uri": "at://did:plc:alice/org.example.item/a"}
-- expect: {"record": {"n": 1, "uri": "at://did:plc:alice/org.example.item/a"}}
function handle()
  if params.uri then return { record = db.get(params.uri) } end
  return db.query({ collection = collection, limit = 20 })
end
---@case list or fetch: the list
-- seed: [["did:plc:alice", "org.example.item", "a", {"n": 1}]]
-- expect: {"records": [{"n": 1, "uri": "at://did:plc:alice/org.example.item/a"}]}
function handle()
  if params.uri then return { record = db.get(params.uri) } end
  return db.query({ collection = collection, limit = 20 })
end
---@case an expanded query: profiles of the authors
-- seed: [["did:plc:alice", "org.example.profile", "self", {"$type": "org.example.profile", "displayName": "Alice"}],
--|  ["did:plc:alice", "org.example.item", "a", {"n": 1}], ["did:plc:alice", "org.example.item", "b", {"n": 2}]]
-- expect: {"count": 2, "profiles": [{"did": "did:plc:alice", "name": "Alice"}]}
function handle()
  local page = db.query({ collection = collection, limit = 20 })
  local uris, seen = {}, {}
  for _, item in ipairs(page.records) do
    local author = string.match(item.uri, "^at://([^/]+)/")
    if author and not seen[author] then
      seen[author] = true
      uris[#uris + 1] = "at://" .. author .. "/org.example.profile/self"
    end
  end
  local profiles = {}
  for _, profile in ipairs(Record.load_all(uris)) do
    profiles[#profiles + 1] = { did = profile._uri:match("^at://([^/]+)/"), name = profile.displayName }
  end
  return { count = #page.records, profiles = profiles }
end
---@case an expanded query: without a profile
-- seed: [["did:plc:alice", "org.example.item", "a", {"n": 1}]]
-- expect: {"profiles": {}}
function handle()
  local profiles = {}
  for _, profile in ipairs(Record.load_all({ "at://did:plc:alice/org.example.profile/self" })) do
    profiles[#profiles + 1] = profile
  end
  return { profiles = profiles }
end
---@case an expanded query: a loaded record in the answer has its internal fields
-- seed: [["did:plc:alice", "org.example.open", "a", {"name": "x"}]]
-- expect: {"name": "x", "_collection": "org.example.open", "_uri": "at://did:plc:alice/org.example.open/a", "_cid": "a cid", "_schema": {"type": "object"}}
function handle()
  local r = Record.load("at://did:plc:alice/org.example.open/a")
  if type(r._cid) == "string" then r._cid = "a cid" end
  return r
end
---@case create a record
-- kind: procedure
-- input: {"title": "t", "unknown": 1}
-- pds: [{"uri": "at://did:plc:caller/org.example.task/k1", "cid": "c1"}]
-- expect: {"uri": "at://did:plc:caller/org.example.task/k1", "cid": "c1"}
-- expect-pds: [["com.atproto.repo.createRecord", {"repo": "did:plc:caller", "collection": "org.example.task", "record": {"$type": "org.example.task", "title": "t", "status": "open", "count": 0}}]]
function handle()
  local r = Record(collection, input)
  r:save()
  return { uri = r._uri, cid = r._cid }
end
---@case upsert: there is one already
-- kind: procedure
-- input: {"rkey": "k1", "title": "new"}
-- seed: [["did:plc:caller", "org.example.task", "k1", {"title": "old"}]]
-- pds: [{"uri": "at://did:plc:caller/org.example.task/k1", "cid": "c2"}]
-- expect: {"created": false, "cid": "c2"}
-- expect-pds: [["com.atproto.repo.putRecord", {"repo": "did:plc:caller", "collection": "org.example.task", "rkey": "k1", "record": {"$type": "org.example.task", "title": "new"}}]]
function handle()
  local key = input.rkey or TID()
  local r = Record.load("at://" .. caller_did .. "/" .. collection .. "/" .. key)
  local created = r == nil
  if created then r = Record(collection):set_rkey(key) end
  r.title = input.title
  r:save()
  return { created = created, cid = r._cid }
end
---@case update or delete: what is not there
-- kind: procedure
-- input: {"uri": "at://did:plc:caller/org.example.task/none", "delete": true}
-- expect-error: runtime 3 not found
function handle()
  local r = Record.load(input.uri)
  if not r then error("not found") end
  if input.delete then return { deleted = r:delete() ~= nil } end
  r.title = input.title
  return { cid = r:save()._cid }
end
---@case delete what hangs on it
-- kind: procedure
-- seed: [["did:plc:caller", "org.example.task", "k1", {"title": "a"}], ["did:plc:caller", "org.example.task", "k2", {"title": "b"}]]
-- pds: [{}, {}]
-- expect: {"deleted": 2}
-- expect-rows: []
function handle()
  local deleted = {}
  for _, row in ipairs(db.query({ collection = collection, did = caller_did, limit = 100 }).records) do
    local r = Record.load(row.uri)
    if r then
      r:delete()
      table.insert(deleted, row.uri)
    end
  end
  return { deleted = #deleted }
end
---@case a field that may be nil, an array and gsub
-- kind: procedure
-- input: {"uri": "at://did:plc:caller/org.example.task/k1", "remove": "b"}
-- seed: [["did:plc:caller", "org.example.task", "k1", {"title": "  a title  ", "tags": ["a", "b", "c"]}]]
-- pds: [{"uri": "at://did:plc:caller/org.example.task/k1", "cid": "c2"}]
-- expect: {"count": 1, "tags": ["a", "c"], "title": "a title"}
function handle()
  local r = Record.load(input.uri)
  r.count = (r.count or 0) + 1
  for i = #r.tags, 1, -1 do
    if r.tags[i] == input.remove then table.remove(r.tags, i) end
  end
  local trimmed, replaced = string.gsub(r.title, "^%s*(.-)%s*$", "%1")
  r.title = replaced > 0 and trimmed or r.title
  r:save()
  return { count = r.count, tags = r.tags, title = r.title }
end
---@case a signed record
-- kind: procedure
-- pds: [{"uri": "at://did:plc:caller/org.example.item/1", "cid": "bafyreib2rxk3rybk3aobmv5cjuql3bm2twh4jo5uxgf5kpqcsgz7soitae"}]
-- input: {"title": "hello"}
-- expect: ["at://did:plc:caller/org.example.item/1", true]
function handle()
  local r = Record(collection, { title = input.title, createdAt = now() })
  r:save()
  local sig = nil
  if atproto.sign then sig = atproto.sign({ title = input.title, createdAt = r.createdAt }) end
  local valid = atproto.verify_signature({ title = input.title, createdAt = r.createdAt }, sig, caller_did)
  return { r._uri, valid }
end
---@case a record whose signature is verified
-- kind: query
-- seed: [["did:plc:caller", "org.example.item", "a", {"text": "t", "signature": {"key": "did:web:elsewhere.example#key"}}]]
-- params: uri=at://did:plc:caller/org.example.item/a
-- expect: false
function handle()
  local found = db.get(params.uri)
  if not (atproto.verify_signature and found.signature) then return "nothing to verify" end
  return atproto.verify_signature({ text = found.text }, found.signature, "did:plc:caller")
end
---@case a search service: what is sent on a create
-- kind: record
-- env: {"SEARCH_KEY": "k"}
-- event: {"record": {"name": "x"}}
-- expect-logs: ["PUT /echo/indexes/items/r1 k {\"name\":\"x\"}"]
-- expect-outcome: proceed
function handle()
  local url = env.HTTP .. "/echo/indexes/items/" .. rkey
  local headers = { ["X-Key"] = env.SEARCH_KEY, ["Content-Type"] = "application/json" }
  if action == "delete" then
    http.delete(url, { headers = headers })
  else
    local sent = json.decode(http.put(url, { headers = headers, body = json.encode({ name = record.name }) }).body)
    log(table.concat({ sent.method, sent.path, sent.headers["x-key"], sent.body }, " "))
  end
  return record
end
---@case a search service: a delete that returns the record keeps the row
-- kind: record
-- event: {"action": "delete"}
-- expect-outcome: skip
function handle()
  if action == "delete" then http.delete(env.HTTP .. "/echo/" .. rkey) end
  return record
end
---@case a search service: a delete in the corrected form
-- kind: record
-- event: {"action": "delete"}
-- expect-outcome: proceed
function handle()
  if action == "delete" then http.delete(env.HTTP .. "/echo/" .. rkey) end
  return record or true
end
---@case a search service: a list of documents
-- kind: record
-- event: {"record": {"name": "x"}}
-- expect-logs: ["[{\"name\":\"x\"}]"]
-- expect-outcome: proceed
function handle()
  local body = json.encode(toarray({ { name = record.name } }))
  log(json.decode(http.post(env.HTTP .. "/echo", { body = body }).body).body)
  return record
end
---@case a webhook that fails does not hold the record up
-- kind: record
-- event: {"record": {"name": "x"}}
-- expect-outcome: proceed
function handle()
  local ok = pcall(http.post, "http://127.0.0.1:1/hook", { body = json.encode(record) })
  if not ok then log("the hook is away") end
  return record
end
---@case a linked repo that cannot be written to is caught
-- expect: {"written": false}
function handle()
  local ok = pcall(function()
    local repo = linked_repos.get("did:plc:bob")
    repo:create_record({ collection = "org.example.item", record = { name = "x" } })
  end)
  return { written = ok }
end
---@case work on a page in parts of its own
-- seed: [["did:plc:alice", "org.example.item", "a", {"n": 1, "tags": ["x", "y"]}], ["did:plc:bob", "org.example.item", "b", {"n": 2, "tags": ["y"]}]]
-- expect: {"x": 1, "y": 2}
function handle()
  local counts = {}
  for _, item in ipairs(db.query({ collection = collection, limit = 100 }).records) do
    for _, tag in ipairs(item.tags or {}) do counts[tag] = (counts[tag] or 0) + 1 end
  end
  return counts
end
