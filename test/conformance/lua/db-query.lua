-- spec: 4.1
-- seed: [["did:plc:alice", "org.example.item", "a", {"$type": "org.example.item", "name": "Ada", "n": 3}],
--|  ["did:plc:bob", "org.example.item", "b", {"$type": "org.example.item", "name": "Bob", "n": 1}],
--|  ["did:plc:alice", "org.example.item", "c", {"$type": "org.example.item", "name": "Cy", "n": 2}],
--|  ["did:plc:alice", "org.example.task", "t", {"$type": "org.example.task", "title": "Task"}]]

---@case all rows of a collection, newest first
-- expect: ["Cy", "Bob", "Ada"]
function handle()
  local names = {}
  for i, r in ipairs(db.query({ collection = "org.example.item" }).records) do names[i] = r.name end
  return names
end
---@case a record is its body and its uri
-- expect: {"$type": "org.example.item", "name": "Cy", "n": 2, "uri": "at://did:plc:alice/org.example.item/c"}
function handle() return db.query({ collection = "org.example.item" }).records[1] end
---@case uri overwrites a field of that name
-- seed: [["did:plc:alice", "org.example.item", "a", {"uri": "mine"}]]
-- expect: [{"uri": "at://did:plc:alice/org.example.item/a"}]
function handle() return db.query({ collection = "org.example.item" }).records end
---@case a number of a record stays an integer
-- expect: "integer"
function handle() return math.type(db.query({ collection = "org.example.item" }).records[1].n) end
---@case nulls and empty arrays of a record survive
-- seed: [["did:plc:alice", "org.example.item", "a", {"tags": [], "x": null, "o": {}}]]
-- expect: [{"tags": [], "x": null, "o": {}, "uri": "at://did:plc:alice/org.example.item/a"}]
function handle() return db.query({ collection = "org.example.item" }).records end
---@case no rows are an empty array without cursor
-- expect: {"records": []}
function handle() return db.query({ collection = "org.example.none" }) end
---@case a page that is not full has no cursor
-- expect: [3, "nil"]
function handle()
  local page = db.query({ collection = "org.example.item", limit = 10 })
  return { #page.records, type(page.cursor) }
end
---@case a full page has a cursor
-- expect: [1, "string", true]
function handle()
  local page = db.query({ collection = "org.example.item", limit = 1 })
  return { #page.records, type(page.cursor), #page.cursor > 0 }
end
---@case a full last page has a cursor to an empty page
-- expect: [3, 0, "nil"]
function handle()
  local page = db.query({ collection = "org.example.item", limit = 3 })
  local rest = db.query({ collection = "org.example.item", limit = 3, cursor = page.cursor })
  return { #page.records, #rest.records, type(rest.cursor) }
end
---@case pages follow each other without a gap or a repetition
-- expect: ["Cy", "Bob", "Ada"]
function handle()
  local names, cursor = {}, nil
  repeat
    local page = db.query({ collection = "org.example.item", limit = 1, cursor = cursor })
    for _, r in ipairs(page.records) do names[#names + 1] = r.name end
    cursor = page.cursor
  until not cursor
  return names
end
---@case a cursor that cannot be read is the first page
-- expect: 3
function handle() return #db.query({ collection = "org.example.item", cursor = "not a cursor" }).records end
---@case an empty cursor is the first page
-- expect: 3
function handle() return #db.query({ collection = "org.example.item", cursor = "" }).records end
---@case a filter by author
-- expect: ["Cy", "Ada"]
function handle()
  local names = {}
  for i, r in ipairs(db.query({ collection = "org.example.item", did = "did:plc:alice" }).records) do names[i] = r.name end
  return names
end
---@case an author nobody is
-- expect: []
function handle() return db.query({ collection = "org.example.item", did = "did:plc:nobody" }).records end
---@case limit zero is an empty page
-- expect: 0
function handle() return #db.query({ collection = "org.example.item", limit = 0 }).records end
---@case a limit as text
-- expect: 2
function handle() return #db.query({ collection = "org.example.item", limit = "2" }).records end
---@case a limit as a whole float
-- expect: 2
function handle() return #db.query({ collection = "org.example.item", limit = 2.0 }).records end
---@case a limit of a wrong type is the default
-- expect: 3
function handle() return #db.query({ collection = "org.example.item", limit = {} }).records end
---@case options of a wrong type are as if they were not there
-- spec: 2.7
-- expect: 3
function handle()
  return #db.query({ collection = "org.example.item", did = 5 == 6, cursor = true, sort = {}, filter = "x" }).records
end
---@case unknown options are ignored
-- expect: 3
function handle() return #db.query({ collection = "org.example.item", colour = "blue" }).records end
---@case the collection is required
-- expect: false
function handle() return (pcall(db.query, {})) end
---@case a table is required
-- expect: [false, false]
function handle() return { (pcall(db.query)), (pcall(db.query, "org.example.item")) } end
---@case what a query returns can be returned as it is
-- expect: {"records": [{"$type": "org.example.task", "title": "Task", "uri": "at://did:plc:alice/org.example.task/t"}]}
function handle() return db.query({ collection = "org.example.task" }) end
---@case sort by a field, ascending
-- expect: [1, 2, 3]
function handle()
  local ns = {}
  for i, r in ipairs(db.query({ collection = "org.example.item", sort = "n", sortDirection = "asc" }).records) do ns[i] = r.n end
  return ns
end
---@case sort by a field is descending by default
-- expect: [3, 2, 1]
function handle()
  local ns = {}
  for i, r in ipairs(db.query({ collection = "org.example.item", sort = "n" }).records) do ns[i] = r.n end
  return ns
end
---@case sort by text
-- expect: ["Ada", "Bob", "Cy"]
function handle()
  local names = {}
  for i, r in ipairs(db.query({ collection = "org.example.item", sort = "name", sortDirection = "asc" }).records) do names[i] = r.name end
  return names
end
---@case sort by author
-- expect: "Bob"
function handle() return db.query({ collection = "org.example.item", sort = "did", limit = 1 }).records[1].name end
---@case sort by uri
-- expect: ["Ada", "Cy", "Bob"]
function handle()
  local names = {}
  for i, r in ipairs(db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc" }).records) do names[i] = r.name end
  return names
end
---@case sort by the time of indexing
-- expect: "Ada"
function handle()
  return db.query({ collection = "org.example.item", sort = "indexed_at", sortDirection = "asc", limit = 1 }).records[1].name
end
---@case sorted pages
-- expect: [1, 2, 3]
function handle()
  local ns, cursor = {}, nil
  repeat
    local page = db.query({ collection = "org.example.item", sort = "n", sortDirection = "asc", limit = 1, cursor = cursor })
    for _, r in ipairs(page.records) do ns[#ns + 1] = r.n end
    cursor = page.cursor
  until not cursor
  return ns
end
---@case an offset with sort
-- expect: [2, 3]
function handle()
  local ns = {}
  for i, r in ipairs(db.query({ collection = "org.example.item", sort = "n", sortDirection = "asc", offset = 1 }).records) do ns[i] = r.n end
  return ns
end
---@case an offset without sort does nothing
-- expect: 3
function handle() return #db.query({ collection = "org.example.item", offset = 1 }).records end
---@case an offset beside a cursor does nothing
-- expect: 2
function handle()
  local sorted = { collection = "org.example.item", sort = "n", sortDirection = "asc", limit = 1 }
  sorted.cursor = db.query(sorted).cursor
  sorted.offset = 2
  return db.query(sorted).records[1].n
end
---@case sort by a nested field
-- seed: [["did:plc:alice", "org.example.item", "a", {"n": 1, "author": {"handle": "zoe"}}],
--|  ["did:plc:alice", "org.example.item", "b", {"n": 2, "author": {"handle": "amy"}}]]
-- expect: [2, 1]
function handle()
  local ns = {}
  for i, r in ipairs(db.query({ collection = "org.example.item", sort = "author.handle", sortDirection = "asc" }).records) do ns[i] = r.n end
  return ns
end
---@case sort by an item of an array
-- seed: [["did:plc:alice", "org.example.item", "a", {"n": 1, "tags": ["z"]}],
--|  ["did:plc:alice", "org.example.item", "b", {"n": 2, "tags": ["a"]}]]
-- expect: [2, 1]
function handle()
  local ns = {}
  for i, r in ipairs(db.query({ collection = "org.example.item", sort = "tags[0]", sortDirection = "asc" }).records) do ns[i] = r.n end
  return ns
end
---@case a direction that is none
-- expect-error: runtime 1 invalid sortDirection 'up': must be 'asc' or 'desc'
function handle() return db.query({ collection = "org.example.item", sort = "n", sortDirection = "up" }) end
---@case a direction in capitals
-- expect-error: runtime 1 invalid sortDirection 'ASC': must be 'asc' or 'desc'
function handle() return db.query({ collection = "org.example.item", sort = "n", sortDirection = "ASC" }) end
---@case a direction that is none, without sort
-- expect-error: runtime 1 invalid sortDirection 'up'
function handle() return db.query({ collection = "org.example.item", sortDirection = "up" }) end
---@case a good direction without sort does nothing
-- expect: "Cy"
function handle() return db.query({ collection = "org.example.item", sortDirection = "asc" }).records[1].name end
---@case paths that are no field
-- expect: []
function handle()
  local accepted = toarray({})
  for _, path in ipairs({ "", ".", ".a", "a.", "a..b", "[0]", "a[]", "a[b]", "a-b", "$type", "a b", "a'b", 'a"b', "a;b", "a[0", "a[-1]" }) do
    if pcall(db.query, { collection = "org.example.item", sort = path }) then accepted[#accepted + 1] = path end
  end
  return accepted
end
---@case paths that are fields
-- expect: []
function handle()
  local refused = toarray({})
  for _, path in ipairs({ "a", "A1", "a_b", "_a", "1", "a.b", "a.b.c", "a[0]", "a[0][1]", "a[0].b", "a.b[12].c" }) do
    if not pcall(db.query, { collection = "org.example.item", sort = path }) then refused[#refused + 1] = path end
  end
  return refused
end
---@case the words about a bad path
-- expect-error: runtime 1 invalid sort field: use alphanumeric names with optional dot notation and array indices (e.g. 'name', 'author.handle', 'tags[0]')
function handle() return db.query({ collection = "org.example.item", sort = "a-b" }) end
---@case a collection is bound and not pasted
-- expect: []
function handle() return db.query({ collection = "x' OR '1'='1" }).records end
---@case it works inside pcall
-- spec: 0.3
-- expect: [true, 3]
function handle()
  local ok, page = pcall(db.query, { collection = "org.example.item" })
  return { ok, #page.records }
end
---@case it works inside a coroutine of the script
-- spec: 0.3
-- expect: 3
function handle()
  local co = coroutine.wrap(function() return #db.query({ collection = "org.example.item" }).records end)
  return co()
end
---@case get
-- spec: 4.2
-- expect: {"$type": "org.example.item", "name": "Ada", "n": 3, "uri": "at://did:plc:alice/org.example.item/a"}
function handle() return db.get("at://did:plc:alice/org.example.item/a") end
---@case get of what is not there
-- spec: 4.2
-- expect: "nil"
function handle() return type(db.get("at://did:plc:alice/org.example.item/zzz")) end
---@case get of what is no uri
-- spec: 4.2
-- expect: "nil"
function handle() return type(db.get("hello")) end
---@case get without a uri
-- spec: 4.2
-- expect: false
function handle() return (pcall(db.get)) end
---@case count
-- spec: 4.2
-- expect: [3, "integer"]
function handle()
  local n = db.count("org.example.item")
  return { n, math.type(n) }
end
---@case count of an author
-- spec: 4.2
-- expect: [2, 1, 0]
function handle()
  return {
    db.count("org.example.item", "did:plc:alice"),
    db.count("org.example.item", "did:plc:bob"),
    db.count("org.example.item", "did:plc:nobody"),
  }
end
---@case count of nothing
-- spec: 4.2
-- expect: 0
function handle() return db.count("org.example.none") end
---@case backend on SQLite
-- spec: 4.2
-- dialect: sqlite
-- expect: "sqlite"
function handle() return db.backend() end
---@case backend on Postgres
-- spec: 4.2
-- dialect: postgres
-- expect: "postgres"
function handle() return db.backend() end
---@case the default limit is twenty and the largest a hundred
-- expect: [20, 100, 100]
function handle()
  for i = 1, 101 do
    Record("org.example.slug", { text = "t" }):set_repo("did:plc:alice"):set_rkey("k" .. i):save_local()
  end
  return {
    #db.query({ collection = "org.example.slug" }).records,
    #db.query({ collection = "org.example.slug", limit = 100 }).records,
    #db.query({ collection = "org.example.slug", limit = 1000 }).records,
  }
end
