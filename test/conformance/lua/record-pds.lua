-- spec: 4.3
-- kind: procedure
-- pds: [{"uri": "at://did:plc:caller/org.example.task/k1", "cid": "bafyone"}]

---@case save creates
-- input: {"title": "t"}
-- expect: {"uri": "at://did:plc:caller/org.example.task/k1", "cid": "bafyone"}
-- expect-pds: [["com.atproto.repo.createRecord", {"repo": "did:plc:caller", "collection": "org.example.task", "record": {"$type": "org.example.task", "title": "t", "status": "open", "count": 0}}]]
function handle()
  local r = Record(collection, input)
  r:save()
  return { uri = r._uri, cid = r._cid }
end
---@case save returns the record
-- expect: true
function handle()
  local r = Record(collection, { title = "t" })
  return r:save() == r
end
---@case save writes the local row
-- expect: true
-- expect-rows: [["did:plc:caller", "org.example.task", "k1", {"$type": "org.example.task", "title": "t", "status": "open", "count": 0}]]
function handle()
  Record(collection, { title = "t" }):save()
  return true
end
---@case save with a key
-- expect: true
-- expect-pds: [["com.atproto.repo.createRecord", {"repo": "did:plc:caller", "collection": "org.example.task", "rkey": "k1", "record": {"$type": "org.example.task", "title": "t", "status": "open", "count": 0}}]]
function handle()
  Record(collection, { title = "t" }):set_rkey("k1"):save()
  return true
end
---@case save of a loaded record puts
-- seed: [["did:plc:caller", "org.example.task", "k1", {"title": "old"}]]
-- expect: "bafyone"
-- expect-pds: [["com.atproto.repo.putRecord", {"repo": "did:plc:caller", "collection": "org.example.task", "rkey": "k1", "record": {"$type": "org.example.task", "title": "new"}}]]
function handle()
  local r = Record.load("at://did:plc:caller/org.example.task/k1")
  r.title = "new"
  return r:save()._cid
end
---@case save checks required fields before it asks the PDS
-- expect-error: runtime 1 missing required field 'title'
function handle() Record(collection, {}):save() end
---@case save into another repo
-- expect: true
-- expect-pds: [["com.atproto.repo.createRecord", {"repo": "did:plc:bob", "collection": "org.example.task", "record": {"$type": "org.example.task", "title": "t", "status": "open", "count": 0}}]]
function handle()
  Record(collection, { title = "t" }):set_repo("did:plc:bob"):save()
  return true
end
---@case delete
-- seed: [["did:plc:caller", "org.example.task", "k1", {"title": "t"}]]
-- pds: [{}]
-- expect: ["nil", "nil"]
-- expect-rows: []
-- expect-pds: [["com.atproto.repo.deleteRecord", {"repo": "did:plc:caller", "collection": "org.example.task", "rkey": "k1"}]]
function handle()
  local r = Record.load("at://did:plc:caller/org.example.task/k1")
  r:delete()
  return { type(r._uri), type(r._cid) }
end
---@case delete without a uri
-- expect-error: runtime 1 cannot delete a Record that has no _uri
function handle() Record(collection, {}):delete() end
---@case save_all
-- pds: [{"uri": "at://did:plc:caller/org.example.task/k1", "cid": "c1"}, {"uri": "at://did:plc:caller/org.example.task/k2", "cid": "c2"}]
-- expect: [{"uri": "at://did:plc:caller/org.example.task/k1", "cid": "c1"}, {"uri": "at://did:plc:caller/org.example.task/k2", "cid": "c2"}]
function handle()
  return Record.save_all({ Record(collection, { title = "a" }):set_rkey("k1"), Record(collection, { title = "b" }):set_rkey("k2") })
end
---@case save_all writes uris back
-- pds: [{"uri": "at://did:plc:caller/org.example.task/k1", "cid": "c1"}]
-- expect: ["at://did:plc:caller/org.example.task/k1", "c1"]
function handle()
  local r = Record(collection, { title = "a" })
  Record.save_all({ r })
  return { r._uri, r._cid }
end
---@case save_all checks all of them first
-- expect-error: runtime 1 missing required field 'title'
-- expect-pds: []
function handle() Record.save_all({ Record(collection, { title = "a" }), Record(collection, {}) }) end
---@case save_all of nothing is an empty array
-- expect: []
function handle() return Record.save_all({}) end
---@case a PDS that refuses
-- pds: [{"status": 400, "body": {"error": "InvalidRequest", "message": "no"}}]
-- expect-error: runtime 1 PDS createRecord returned 400: {"error":"InvalidRequest","message":"no"}
function handle() Record(collection, { title = "t" }):save() end
---@case a session that is over is a 401
-- pds: [{"expired": "sign in again"}]
-- expect-status: 401
function handle() Record(collection, { title = "t" }):save() end
---@case a session that is over can be caught
-- pds: [{"expired": "sign in again"}]
-- expect: [false, true]
function handle()
  local r = Record(collection, { title = "t" })
  local ok, e = pcall(r.save, r)
  return { ok, tostring(e):find("AUTH_ERROR:", 1, true) ~= nil }
end
---@case a procedure whose caller has a session says so
-- spec: 5.1
-- expect: true
function handle(_, ctx) return ctx.has_pds_auth end
---@case v3 record.create
-- spec: 5.3
-- expect: "at://did:plc:caller/org.example.task/k1"
-- expect-pds: [["com.atproto.repo.createRecord", {"repo": "did:plc:caller", "collection": "org.example.task", "record": {"$type": "org.example.task", "title": "t", "status": "open", "count": 0}}]]
function handle() return require("happyview.record").create("org.example.task", { title = "t" }).uri end
