-- spec: 4.2
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "Ada", "n": 3}],
--|  ["did:plc:bob", "org.example.item", "b", {"name": "Bob", "n": 1}]]

---@case select from records
-- expect: [{"did": "did:plc:alice", "rkey": "a"}, {"did": "did:plc:bob", "rkey": "b"}]
function handle() return db.raw("SELECT did, rkey FROM records ORDER BY uri") end
---@case select from the later name
-- expect: 2
function handle() return #db.raw("SELECT uri FROM happyview_records") end
---@case a parameter
-- expect: [{"rkey": "b"}]
function handle() return db.raw("SELECT rkey FROM records WHERE did = $1", { "did:plc:bob" }) end
---@case a question mark on SQLite
-- dialect: sqlite
-- expect: [{"rkey": "b"}]
function handle() return db.raw("SELECT rkey FROM records WHERE did = ?", { "did:plc:bob" }) end
---@case no rows are an empty array
-- expect: []
function handle() return db.raw("SELECT uri FROM records WHERE did = $1", { "did:plc:nobody" }) end
---@case an integer column
-- expect: [2, "integer"]
function handle()
  local n = db.raw("SELECT COUNT(*) AS n FROM records")[1].n
  return { n, math.type(n) }
end
---@case a record is text
-- expect: ["string", "Ada"]
function handle()
  local row = db.raw("SELECT record FROM records WHERE rkey = $1", { "a" })[1]
  return { type(row.record), json.decode(row.record).name }
end
---@case a null column is not there
-- expect: ["nil", 1]
function handle()
  local row = db.raw("SELECT NULL AS x, 1 AS y")[1]
  return { type(row.x), row.y }
end
---@case a float column
-- expect: "float"
-- dialect: sqlite
function handle() return math.type(db.raw("SELECT 1.5 AS x")[1].x) end
---@case a double column
-- dialect: postgres
-- expect: ["float", 1.5]
function handle()
  local x = db.raw("SELECT 1.5::float8 AS x")[1].x
  return { math.type(x), x }
end
---@case a boolean column
-- dialect: postgres
-- expect: [true, false]
function handle()
  local row = db.raw("SELECT true AS a, false AS b")[1]
  return { row.a, row.b }
end
---@case values of many types as parameters
-- dialect: sqlite
-- expect: {"a": "text", "b": 5, "c": 1.5, "d": 1, "e": 0}
function handle() return db.raw("SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e", { "text", 5, 1.5, true, false })[1] end
---@case text and integers as parameters
-- dialect: postgres
-- expect: {"a": "text", "b": 5}
function handle() return db.raw("SELECT $1::text AS a, $2::bigint AS b", { "text", 5 })[1] end
---@case a table as parameter
-- expect-error: runtime 1 unsupported parameter type: table
function handle() return db.raw("SELECT $1 AS a", { {} }) end
---@case a function as parameter
-- expect-error: runtime 1 unsupported parameter type: function
function handle() return db.raw("SELECT $1 AS a", { print }) end
---@case a broken statement
-- expect-error: runtime 1 db.raw query failed: 
function handle() return db.raw("SELECT FROM WHERE") end
---@case a table that is not there
-- expect-error: runtime 1 db.raw query failed: 
function handle() return db.raw("SELECT * FROM nothing_here") end
---@case a failure can be caught
-- expect: [false, true, 2]
function handle()
  local ok, e = pcall(db.raw, "SELECT * FROM nothing_here")
  return { ok, tostring(e):find("db.raw query failed: ", 1, true) ~= nil, db.count("org.example.item") }
end
---@case a table of its own: create, insert, select, drop
-- expect: [[], [], [{"k": "a", "n": 1}], []]
function handle()
  local created = db.raw("CREATE TABLE conformance_own (k TEXT PRIMARY KEY, n INTEGER)")
  local inserted = db.raw("INSERT INTO conformance_own (k, n) VALUES ($1, $2)", { "a", 1 })
  local rows = db.raw("SELECT k, n FROM conformance_own")
  local dropped = db.raw("DROP TABLE conformance_own")
  return { created, inserted, rows, dropped }
end
---@case an upsert
-- spec: 8
-- expect: [{"k": "a", "n": 3}]
function handle()
  db.raw("CREATE TABLE conformance_counts (k TEXT PRIMARY KEY, n INTEGER)")
  for _ = 1, 3 do
    db.raw("INSERT INTO conformance_counts (k, n) VALUES ($1, 1) ON CONFLICT (k) DO UPDATE SET n = conformance_counts.n + 1", { "a" })
  end
  local rows = db.raw("SELECT k, n FROM conformance_counts")
  db.raw("DROP TABLE conformance_counts")
  return rows
end
---@case an update and a delete of records
-- expect: ["did:plc:alice", 1]
function handle()
  db.raw("UPDATE records SET cid = $1 WHERE rkey = $2", { "mine", "a" })
  db.raw("DELETE FROM records WHERE rkey = $1", { "b" })
  return { db.raw("SELECT did FROM records WHERE cid = $1", { "mine" })[1].did, db.count("org.example.item") }
end
---@case columns of records
-- expect: {"uri": "at://did:plc:alice/org.example.item/a", "did": "did:plc:alice", "collection": "org.example.item", "rkey": "a", "times": true, "cid": "string"}
function handle()
  local r = db.raw("SELECT uri, did, collection, rkey, record, cid, indexed_at, created_at FROM records WHERE rkey = $1", { "a" })[1]
  return {
    uri = r.uri, did = r.did, collection = r.collection, rkey = r.rkey, cid = type(r.cid),
    times = r.indexed_at ~= nil and r.created_at ~= nil,
  }
end
---@case labels and record_refs under both names
-- expect: [0, 0, 0, 0]
function handle()
  local counts = {}
  for i, name in ipairs({ "labels", "happyview_labels", "record_refs", "happyview_record_refs" }) do
    counts[i] = db.raw("SELECT COUNT(*) AS n FROM " .. name)[1].n
  end
  return counts
end
---@case a JSON field on SQLite
-- dialect: sqlite
-- expect: [{"name": "Bob"}, {"name": "Ada"}]
function handle()
  return db.raw("SELECT json_extract(record, '$.name') AS name FROM records ORDER BY json_extract(record, '$.n')")
end
---@case a branch by backend
-- spec: 8
-- expect: [{"name": "Ada"}]
function handle()
  local field = db.backend() == "postgres" and "(record::jsonb)->>'name'" or "json_extract(record, '$.name')"
  return db.raw("SELECT " .. field .. " AS name FROM records WHERE rkey = $1", { "a" })
end
---@case text beyond ASCII in and out
-- expect: "☃ é 𝄞"
function handle() return db.raw("SELECT CAST($1 AS TEXT) AS t", { "☃ é 𝄞" })[1].t end
---@case guard: the scripts
-- expect-error: runtime 1 db.raw cannot reference the protected internal HappyView table 'happyview_scripts'
function handle() return db.raw("SELECT * FROM happyview_scripts") end
---@case guard: the variables
-- expect-error: runtime 1 db.raw cannot reference the protected internal HappyView table
function handle() return db.raw("SELECT value FROM happyview_script_variables") end
---@case guard: capitals
-- expect-error: runtime 1 db.raw cannot reference the protected internal HappyView table
function handle() return db.raw("SELECT * FROM HAPPYVIEW_USERS") end
---@case guard: quoted
-- expect-error: runtime 1 db.raw cannot reference the protected internal HappyView table
function handle() return db.raw("SELECT * FROM \"happyview_users\"") end
---@case guard: with a schema
-- expect-error: runtime 1 db.raw cannot reference the protected internal HappyView table
function handle() return db.raw("SELECT * FROM main.happyview_users") end
---@case guard: a subquery
-- expect-error: runtime 1 db.raw cannot reference the protected internal HappyView table
function handle() return db.raw("SELECT 1 AS x WHERE EXISTS (SELECT 1 FROM happyview_api_keys)") end
---@case guard: a join
-- expect-error: runtime 1 db.raw cannot reference the protected internal HappyView table
function handle() return db.raw("SELECT 1 FROM records r JOIN happyview_users u ON true") end
---@case guard: the second of two statements
-- expect-error: runtime 1 db.raw cannot reference the protected internal HappyView table
function handle() return db.raw("SELECT 1; DROP TABLE happyview_users") end
---@case guard: an insert
-- expect-error: runtime 1 db.raw cannot reference the protected internal HappyView table
function handle() return db.raw("INSERT INTO happyview_users (did) VALUES (1)") end
---@case guard: behind a comment
-- expect-error: runtime 1 db.raw cannot reference the protected internal HappyView table
function handle() return db.raw("SELECT * FROM /* x */ happyview_users") end
---@case guard: within a common table expression
-- expect-error: runtime 1 db.raw cannot reference the protected internal HappyView table
function handle() return db.raw("WITH x AS (SELECT * FROM happyview_users) SELECT * FROM x") end
---@case guard: the migrations of sqlx
-- expect-error: runtime 1 db.raw cannot reference the protected internal HappyView table '_sqlx_migrations'
function handle() return db.raw("SELECT * FROM _sqlx_migrations") end
---@case guard: dead letters
-- expect-error: runtime 1 db.raw cannot reference the protected internal HappyView table
function handle() return db.raw("SELECT * FROM happyview_dead_letter_scripts") end
---@case guard: unicode identifiers
-- expect-error: runtime 1 db.raw does not allow unicode-escaped identifiers
function handle() return db.raw("SELECT * FROM U&\"happyview\\005fusers\"") end
---@case guard: unicode strings
-- expect-error: runtime 1 db.raw does not allow unicode-escaped identifiers
function handle() return db.raw("SELECT U&'a' AS x") end
---@case guard: a string that does not end
-- expect-error: runtime 1 db.raw could not parse SQL: 
function handle() return db.raw("SELECT 'abc") end
---@case guard lets a text pass
-- expect: [{"t": "happyview_users"}]
function handle() return db.raw("SELECT 'happyview_users' AS t") end
---@case guard lets a comment pass
-- expect: [{"n": 1}]
function handle() return db.raw("SELECT 1 AS n -- happyview_users") end
---@case guard lets a comment in the middle pass
-- expect: [{"n": 1}]
function handle() return db.raw("SELECT /* happyview_users */ 1 AS n") end
---@case guard lets an escaped quote pass
-- expect: [{"t": "it's happyview_users"}]
function handle() return db.raw("SELECT 'it''s happyview_users' AS t") end
---@case guard lets the tables of the index pass
-- expect: []
function handle()
  local refused = toarray({})
  for _, name in ipairs({ "records", "record_refs", "labels", "lexicons", "jobs" }) do
    local ok, e = pcall(db.raw, "SELECT COUNT(*) AS n FROM happyview_" .. name)
    if not ok and tostring(e):find("protected", 1, true) then refused[#refused + 1] = name end
  end
  return refused
end
---@case what the guard refuses does not run
-- expect: [false, 2]
function handle()
  local ok = pcall(db.raw, "DELETE FROM records; SELECT * FROM happyview_users")
  return { ok, db.count("org.example.item") }
end
