-- spec: 4.1
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "Test One", "n": 1, "price": 1.5, "active": true, "tags": ["x", "y"], "author": {"handle": "amy", "age": 30}}],
--|  ["did:plc:alice", "org.example.item", "b", {"name": "Test Two", "n": 20, "price": 2.5, "active": false, "tags": ["y"], "author": {"handle": "bo", "age": 7}}],
--|  ["did:plc:bob", "org.example.item", "c", {"name": "other", "n": 3, "price": 10.0, "active": true, "tags": []}],
--|  ["did:plc:bob", "org.example.item", "d", {"name": null, "n": 100}]]

---@case equals is the default
-- expect: ["a"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "name", value = "Test One" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case equals
-- expect: ["c"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "name", op = "=", value = "other" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case nothing matches
-- expect: []
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "name", value = "nobody" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case differs, and a missing or null field never matches
-- expect: ["a", "b"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "name", op = "!=", value = "other" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case a field that nobody has never matches
-- expect: []
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "nothing", op = "!=", value = "x" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case null never matches NOT LIKE
-- expect: ["c"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "name", op = "NOT LIKE", value = "Test%" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case less than a number
-- expect: ["a", "c"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "n", op = "<", value = 20 } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case numbers are compared as numbers
-- expect: ["b", "d"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "n", op = ">", value = 3 } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case at most
-- expect: ["a", "c"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "n", op = "<=", value = 3 } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case at least
-- expect: ["b", "d"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "n", op = ">=", value = 20 } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case equals a number
-- expect: ["b"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "n", value = 20 } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case differs from a number
-- expect: ["a", "c", "d"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "n", op = "!=", value = 20 } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case an integer field equals a float value
-- expect: ["b"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "n", value = 20.0 } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case a float field
-- expect: ["b", "c"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "price", op = ">", value = 2 } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case a fraction
-- expect: ["a"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "price", value = 1.5 } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case a float field equals an integer value
-- expect: ["c"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "price", value = 10 } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case a number does not match text
-- expect: []
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "name", op = ">", value = 0 } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case true
-- expect: ["a", "c"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "active", value = true } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case false
-- expect: ["b"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "active", value = false } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case differs from true
-- expect: ["b"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "active", op = "!=", value = true } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case a text that is a number equals a number field
-- expect: ["b"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "n", value = "20" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case a prefix
-- expect: ["a", "b"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "name", op = "LIKE", value = "Test%" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case a contained text
-- expect: ["c"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "name", op = "LIKE", value = "%the%" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case one character
-- expect: ["b"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "name", op = "LIKE", value = "Test T_o" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case LIKE without wildcards
-- expect: ["c"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "name", op = "LIKE", value = "other" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case NOT LIKE
-- expect: ["b", "c"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "name", op = "NOT LIKE", value = "%One" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case operators in small letters
-- expect: ["a", "b"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "name", op = "like", value = "Test%" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case operators in mixed letters
-- expect: ["c"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "name", op = "Not Like", value = "Test%" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case a nested field
-- expect: ["a"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "author.handle", value = "amy" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case a nested number
-- expect: ["b"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "author.age", op = "<", value = 10 } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case an item of an array
-- expect: ["b"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "tags[0]", value = "y" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case a later item of an array
-- expect: ["a"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "tags[1]", value = "y" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case an item beyond the array
-- expect: []
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "tags[9]", value = "y" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case a group is AND by default
-- expect: ["c"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { { field = "active", value = true }, { field = "n", op = ">", value = 1 } } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case AND
-- expect: ["b"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { combine = "AND", { field = "name", op = "LIKE", value = "Test%" }, { field = "n", op = ">", value = 1 } } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case OR
-- expect: ["a", "d"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { combine = "OR", { field = "n", value = 1 }, { field = "n", value = 100 } } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case combine in small letters
-- expect: ["a", "c"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { combine = "or", { field = "n", value = 1 }, { field = "n", value = 3 } } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case a group of one
-- expect: ["a"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { { field = "n", value = 1 } } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case OR within AND
-- expect: ["a"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { { field = "active", value = true }, { combine = "OR", { field = "n", value = 1 }, { field = "n", value = 20 } } } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case AND within OR
-- expect: ["c", "d"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { combine = "OR", { field = "n", value = 100 }, { { field = "active", value = true }, { field = "n", value = 3 } } } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case five levels
-- expect: ["a"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { { { { { field = "n", value = 1 } } } } } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case with an author
-- expect: ["c"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", did = "did:plc:bob", filter = { field = "active", value = true } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case a filter that is no table is ignored
-- expect: ["a", "b", "c", "d"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = "name = 1" })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case the form of the announcement
-- expect: ["c"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { op = "AND", conditions = { { field = "active", value = true }, { field = "n", op = ">", value = 1 } } } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case the form of the announcement with OR
-- expect: ["a", "c"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { op = "OR", conditions = { { field = "n", value = 1 }, { field = "n", value = 3 } } } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case the form of the announcement at depth
-- expect: ["a"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { op = "AND", conditions = { { field = "active", value = true }, { op = "OR", conditions = { { field = "n", value = 1 }, { field = "n", value = 20 } } } } } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case both forms together
-- expect: ["a", "d"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { combine = "OR", { field = "n", value = 100 }, { op = "AND", conditions = { { field = "n", value = 1 }, { field = "active", value = true } } } } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case values are bound and not pasted
-- expect: []
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "name", value = "x' OR '1'='1" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case a percent sign is a plain character for equals
-- expect: []
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { field = "name", value = "Test%" } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case a text value against a number field, in a group
-- expect: ["b"]
function handle()
  local keys = toarray({})
  local page = db.query({ collection = "org.example.item", sort = "uri", sortDirection = "asc", filter = { combine = "AND", { field = "name", op = "LIKE", value = "Test%" }, { field = "n", op = ">", value = "1" } } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case six levels are too deep
-- expect-error: runtime 1 filter nesting too deep (max 5 levels)
function handle() return db.query({ collection = "org.example.item", filter = { { { { { { field = "n", value = 1 } } } } } } }) end
---@case a bad field
-- expect-error: runtime 1 invalid filter field 'a-b': use alphanumeric names
function handle() return db.query({ collection = "org.example.item", filter = { field = "a-b", value = 1 } }) end
---@case $type is no field
-- expect-error: runtime 1 invalid filter field '$type'
function handle() return db.query({ collection = "org.example.item", filter = { field = "$type", value = "x" } }) end
---@case a field with a quote
-- expect-error: runtime 1 invalid filter field 'a'b'
function handle() return db.query({ collection = "org.example.item", filter = { field = "a'b", value = "x" } }) end
---@case an empty field
-- expect-error: runtime 1 invalid filter field ''
function handle() return db.query({ collection = "org.example.item", filter = { field = "", value = "x" } }) end
---@case a bad operator
-- expect-error: runtime 1 invalid filter op '~': must be one of ["=", "!=", "<", ">", "<=", ">=", "LIKE", "NOT LIKE"]
function handle() return db.query({ collection = "org.example.item", filter = { field = "n", op = "~", value = 1 } }) end
---@case IN is no operator
-- expect-error: runtime 1 invalid filter op 'IN'
function handle() return db.query({ collection = "org.example.item", filter = { field = "n", op = "IN", value = "x" } }) end
---@case no value
-- expect-error: runtime 1 unsupported filter value type for 'n': nil
function handle() return db.query({ collection = "org.example.item", filter = { field = "n" } }) end
---@case a table as value
-- expect-error: runtime 1 unsupported filter value type for 'n': table
function handle() return db.query({ collection = "org.example.item", filter = { field = "n", value = { 1 } } }) end
---@case the null sentinel as value
-- expect-error: runtime 1 unsupported filter value type for 'n': 
function handle() return db.query({ collection = "org.example.item", filter = { field = "n", value = json.decode("null") } }) end
---@case a function as value
-- expect-error: runtime 1 unsupported filter value type for 'n': function
function handle() return db.query({ collection = "org.example.item", filter = { field = "n", value = print } }) end
---@case a bad combine
-- expect-error: runtime 1 invalid filter combine 'XOR': must be 'AND' or 'OR'
function handle() return db.query({ collection = "org.example.item", filter = { combine = "XOR", { field = "n", value = 1 } } }) end
---@case an empty filter
-- expect-error: runtime 1 filter group has no conditions
function handle() return db.query({ collection = "org.example.item", filter = {} }) end
---@case an empty group inside
-- expect-error: runtime 1 filter group has no conditions
function handle() return db.query({ collection = "org.example.item", filter = { { field = "n", value = 1 }, {} } }) end
---@case a condition without a field
-- expect-error: runtime 1 filter group has no conditions
function handle() return db.query({ collection = "org.example.item", filter = { op = "=", value = 1 } }) end
---@case a filter and pages
-- expect: ["b", "a"]
function handle()
  local keys, cursor = {}, nil
  repeat
    local page = db.query({
      collection = "org.example.item", limit = 1, cursor = cursor,
      filter = { field = "name", op = "LIKE", value = "Test%" },
    })
    for _, r in ipairs(page.records) do keys[#keys + 1] = r.uri:match("[^/]+$") end
    cursor = page.cursor
  until not cursor
  return keys
end
---@case a filter and a sort by a field
-- expect: ["d", "b", "c", "a"]
function handle()
  local keys = {}
  local page = db.query({ collection = "org.example.item", sort = "n", filter = { field = "n", op = ">", value = 0 } })
  for i, r in ipairs(page.records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case integers beyond 53 bits are told apart
-- seed: [["did:plc:alice", "org.example.item", "a", {"n": 1}]]
-- expect: 0
function handle()
  return #db.query({ collection = "org.example.item", filter = { field = "n", value = 9007199254740993 } }).records
end
---@case NaN as value is refused or matches nothing
-- expect: 0
function handle()
  local ok, page = pcall(db.query, { collection = "org.example.item", filter = { field = "n", value = 0 / 0 } })
  return ok and #page.records or 0
end
---@case infinity as value
-- expect: 0
function handle()
  local ok, page = pcall(db.query, { collection = "org.example.item", filter = { field = "n", op = ">", value = math.huge } })
  return ok and #page.records or 0
end
---@case LIKE is the same for capitals on SQLite
-- dialect: sqlite
-- expect: 2
function handle()
  return #db.query({ collection = "org.example.item", filter = { field = "name", op = "LIKE", value = "tEST%" } }).records
end
---@case LIKE tells capitals on Postgres
-- dialect: postgres
-- expect: 0
function handle()
  return #db.query({ collection = "org.example.item", filter = { field = "name", op = "LIKE", value = "tEST%" } }).records
end
