-- spec: 5.3
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "Ada", "n": 3, "active": true}],
--|  ["did:plc:bob", "org.example.item", "b", {"name": "Bob", "n": 1, "active": false}],
--|  ["did:plc:alice", "org.example.item", "c", {"name": "Cy", "n": 20, "active": true, "ref": "at://did:plc:bob/org.example.item/b"}]]

---@case every library is there
-- expect: []
function handle()
  local missing = toarray({})
  for name in ("db sql backlinks record xrpc atproto spaces linked_repos jobs http"):gmatch("%S+") do
    local ok, lib = pcall(require, "happyview." .. name)
    if not ok or type(lib) ~= "table" then missing[#missing + 1] = name end
  end
  return missing
end
---@case db: a chain runs
-- expect: ["Cy", "Bob", "Ada"]
function handle()
  local names = {}
  for i, row in ipairs(require("happyview.db").records("org.example.item"):run().records) do names[i] = row.record.name end
  return names
end
---@case db: a row is an envelope
-- expect: {"uri": "at://did:plc:bob/org.example.item/b", "did": "did:plc:bob", "collection": "org.example.item", "rkey": "b", "cid": "string", "indexed_at": "string", "record": {"name": "Bob", "n": 1, "active": false}}
function handle()
  local row = require("happyview.db").get("at://did:plc:bob/org.example.item/b")
  row.cid, row.indexed_at = type(row.cid), type(row.indexed_at)
  return row
end
---@case db: get of nothing
-- expect: "nil"
function handle() return type(require("happyview.db").get("at://did:plc:bob/org.example.item/none")) end
---@case db: where
-- expect: ["Cy", "Ada"]
function handle()
  local names = {}
  for i, row in ipairs(require("happyview.db").records("org.example.item"):where("active", "=", true):run().records) do
    names[i] = row.record.name
  end
  return names
end
---@case db: two wheres are AND
-- expect: ["Cy"]
function handle()
  local names = {}
  local chain = require("happyview.db").records("org.example.item"):where("active", "=", true):where("n", ">", 3)
  for i, row in ipairs(chain:run().records) do names[i] = row.record.name end
  return names
end
---@case db: numbers are compared as numbers
-- expect: 1
function handle() return require("happyview.db").records("org.example.item"):where("n", ">", 3):count() end
---@case db: a text does not equal a number
-- expect: 0
function handle() return require("happyview.db").records("org.example.item"):where("n", "=", "3"):count() end
---@case db: like, not like and ilike
-- expect: [1, 2, 1]
function handle()
  local db = require("happyview.db")
  return {
    db.records("org.example.item"):where("name", "like", "A%"):count(),
    db.records("org.example.item"):where("name", "not like", "A%"):count(),
    db.records("org.example.item"):where("name", "ilike", "a%"):count(),
  }
end
---@case db: sort and limit
-- expect: [1, 3]
function handle()
  local ns = {}
  local page = require("happyview.db").records("org.example.item"):sort("n", "asc"):limit(2):run()
  for i, row in ipairs(page.records) do ns[i] = row.record.n end
  return ns
end
---@case db: did
-- expect: 2
function handle() return require("happyview.db").records("org.example.item"):did("did:plc:alice"):count() end
---@case db: pages
-- expect: ["Cy", "Bob", "Ada"]
function handle()
  local db = require("happyview.db")
  local names, cursor = {}, nil
  repeat
    local page = db.records("org.example.item"):limit(1):cursor(cursor):run()
    for _, row in ipairs(page.records) do names[#names + 1] = row.record.name end
    cursor = page.cursor
  until not cursor
  return names
end
---@case db: first
-- expect: ["Bob", "nil"]
function handle()
  local db = require("happyview.db")
  return {
    db.records("org.example.item"):sort("n", "asc"):first().record.name,
    type(db.records("org.example.none"):first()),
  }
end
---@case db: a step given nil is left out
-- expect: 3
function handle()
  return require("happyview.db").records("org.example.item"):did(nil):limit(nil):cursor(nil):where("n", "=", nil):count()
end
---@case db: an operator that is none
-- expect-error: runtime - happyview-db.
function handle() return require("happyview.db").records("org.example.item"):where("n", "~", 1):run() end
---@case db: a field that is none
-- expect: [false, true]
function handle()
  local ok, e = pcall(function() return require("happyview.db").records("org.example.item"):where("a-b", "=", 1):run() end)
  return { ok, tostring(e):find("happyview-db.", 1, true) ~= nil }
end
---@case db: search
-- expect: ["Bob"]
function handle()
  local names = {}
  for i, row in ipairs(require("happyview.db").search("org.example.item", "name", "bo")) do names[i] = row.record.name end
  return names
end
---@case db: an empty search is an array
-- expect: []
function handle() return require("happyview.db").search("org.example.item", "name", "zzz") end
---@case db: backend
-- expect: true
function handle()
  local backend = require("happyview.db").backend()
  return backend == "sqlite" or backend == "postgres"
end
---@case sql: raw
-- expect: [{"rkey": "b"}]
function handle() return require("happyview.sql").raw("SELECT rkey FROM records WHERE did = $1", { "did:plc:bob" }) end
---@case sql: what is forbidden
-- expect-error: runtime - happyview-sql.raw: FORBIDDEN
function handle() return require("happyview.sql").raw("SELECT * FROM happyview_users") end
---@case sql: a broken statement
-- expect-error: runtime - happyview-sql.raw: DB_ERROR
function handle() return require("happyview.sql").raw("SELECT FROM") end
---@case sql: from
-- expect: [[{"k": "b"}], 2]
function handle()
  local sql = require("happyview.sql")
  sql.raw("CREATE TABLE conformance_from (k TEXT, n INTEGER)")
  sql.raw("INSERT INTO conformance_from (k, n) VALUES ('a', 1), ('b', 2)")
  local rows = sql.from("conformance_from"):where("n", ">", 1):limit(5):run()
  local count = sql.from("conformance_from"):count()
  sql.raw("DROP TABLE conformance_from")
  return { { { k = rows[1].k } }, count }
end
---@case backlinks
-- expect: ["c"]
function handle()
  local keys = {}
  local page = require("happyview.backlinks").to("at://did:plc:bob/org.example.item/b"):collection("org.example.item"):run()
  for i, row in ipairs(page.records) do keys[i] = row.rkey end
  return keys
end
---@case backlinks: the collection is mandatory
-- expect-error: runtime - happyview-backlinks.
function handle() return require("happyview.backlinks").to("at://x/y/z"):run() end
---@case record: load
-- expect: ["Ada", "nil"]
function handle()
  local record = require("happyview.record")
  return {
    record.load("at://did:plc:alice/org.example.item/a").record.name,
    type(record.load("at://did:plc:alice/org.example.item/none")),
  }
end
---@case record: save_local and delete_local
-- expect: [1, 0]
function handle()
  local record = require("happyview.record")
  record.save_local("org.example.slug", "k", { text = "x" }, "did:plc:alice")
  local before = db.count("org.example.slug")
  record.delete_local("at://did:plc:alice/org.example.slug/k")
  return { before, db.count("org.example.slug") }
end
---@case record: create without a session
-- expect-error: runtime - happyview-record.create: NO_SESSION
function handle() return require("happyview.record").create("org.example.item", { name = "x" }) end
---@case record: validate
-- expect: [true, false]
function handle()
  local record = require("happyview.record")
  return { (pcall(record.validate, "org.example.task", { title = "t" })), (pcall(record.validate, "org.example.task", {})) }
end
---@case record: the code of an invalid record
-- expect-error: runtime - happyview-record.save_local: INVALID_RECORD
function handle() return require("happyview.record").save_local("org.example.task", "k", {}, "did:plc:alice") end
---@case record: lexicon
-- expect: ["org.example.item", "nil"]
function handle()
  local record = require("happyview.record")
  return { record.lexicon("org.example.item").id, type(record.lexicon("org.example.unknown")) }
end
---@case xrpc: a query gives its decoded result
-- expect: {"hello": "world"}
function handle() return require("happyview.xrpc").query("org.example.inner") end
---@script xrpc.query:org.example.inner
function handle() return { hello = "world" } end
---@case xrpc: null becomes nil
-- spec: 2.6
-- expect: "nil"
function handle() return type(require("happyview.xrpc").query("org.example.inner")) end
---@script xrpc.query:org.example.inner
function handle() return nil end
---@case xrpc: a failure raises with its code
-- expect-error: runtime - happyview-xrpc.query: XRPC_ERROR
function handle() return require("happyview.xrpc").query("org.example.inner") end
---@script xrpc.query:org.example.inner
function handle() error("inner trouble") end
---@case xrpc: a procedure without a caller
-- expect-error: runtime - happyview-xrpc.procedure: NO_SESSION
function handle() return require("happyview.xrpc").procedure("org.example.innerProcedure", {}) end
---@case atproto: labels
-- labels: [{"src": "did:plc:l1", "uri": "at://x/y/z", "val": "spam", "cts": "2026-01-01T00:00:00Z"}]
-- expect: "spam"
function handle() return require("happyview.atproto").get_labels("at://x/y/z")[1].val end
---@case atproto: sign and verify
-- expect: [true, false]
function handle()
  local atproto = require("happyview.atproto")
  local sig = atproto.sign({ a = 1 })
  return { atproto.verify_signature({ a = 1 }, sig, ""), atproto.verify_signature({ a = 2 }, sig, "") }
end
---@case atproto: a signature that is none
-- expect-error: runtime - happyview-atproto.verify_signature: UNVERIFIABLE
function handle() return require("happyview.atproto").verify_signature({ a = 1 }, {}, "") end
---@case the context holds nothing of the host's
-- expect: ["caller_did", "collection", "env", "has_pds_auth", "method", "trigger"]
-- caller: did:plc:bob
function handle(_, ctx)
  local names = {}
  for name in pairs(ctx) do names[#names + 1] = name end
  table.sort(names)
  return names
end
---@case spaces are disabled
-- expect-error: runtime - SPACES_DISABLED
function handle() return require("happyview.spaces").get("at://did:plc:alice/space/org.example.space/self") end
---@case linked_repos: a repo that is not linked
-- expect: [0, "table", true]
function handle()
  local linked = require("happyview.linked_repos")
  local repo = linked.get("did:plc:bob")
  local ok, e = pcall(repo.create_record, { collection = "org.example.item", record = {} })
  return { #linked.list(), type(repo), not ok and tostring(e):find("NOT_LINKED", 1, true) ~= nil }
end
---@case jobs: create and get
-- caller: did:plc:bob
-- expect: ["string", true]
function handle()
  local jobs = require("happyview.jobs")
  local id = jobs.create("later", { n = 1 })
  return { type(id), jobs.get(id).id == id }
end
---@case jobs: list_any
-- caller: did:plc:bob
-- expect: "table"
function handle()
  local jobs = require("happyview.jobs")
  jobs.create("later", { n = 1 })
  return type(jobs.list_any({ job_type = "later" }))
end
---@case http
-- expect: [200, "POST"]
function handle(_, ctx)
  local r = require("happyview.http").post(ctx.env.HTTP .. "/echo", { body = "x" })
  return { r.status, require("internal.json").decode(r.body).method }
end
---@case http: a failure has the library's prefix
-- expect-error: runtime - happyview-http.get: 
function handle() return require("happyview.http").get("http://127.0.0.1:1/") end
---@case in a coroutine
-- expect: 3
function handle()
  local co = coroutine.wrap(function() return require("happyview.db").records("org.example.item"):count() end)
  return co()
end
