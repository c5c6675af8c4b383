/** `happyview.db`, `happyview.sql` and `happyview.backlinks` of the v3 contract (spec 5.3). */
export const databaseModules: Readonly<Record<string, string>> = {
  "happyview.envelopes": String.raw`
local kit = ...
return kit.envelopes
`,
  "happyview.db": String.raw`
local kit = ...
local envelopes = require("happyview.envelopes")
local operators = {
  ["="] = true, ["!="] = true, ["<"] = true, [">"] = true, ["<="] = true, [">="] = true,
  like = true, ["not like"] = true, ilike = true,
}
local function name(fn) return "happyview-db." .. fn end
local function bad(fn, message) kit.fail(name(fn) .. ": BAD_CHAIN: " .. message) end

local function uris(rows)
  local list = {}
  for i, row in ipairs(rows) do list[i] = row.uri end
  return list
end

local function page(fn, spec)
  local found = kit.guard(name(fn), "INVALID_SPEC", kit.db.query, spec)
  return { records = kit.guard(name(fn), "DB_ERROR", envelopes, uris(found.records)), cursor = found.cursor }
end

local chain = {}
chain.__index = chain
function chain:where(field, op, value)
  if value == nil then return self end
  if type(field) ~= "string" then bad("where", "the field must be a string") end
  if type(op) ~= "string" or not operators[string.lower(op)] then bad("where", "unknown operator " .. tostring(op)) end
  local filter = self.spec.filter or { combine = "AND", typed = true }
  filter[#filter + 1] = { field = field, op = op, value = value }
  self.spec.filter = filter
  return self
end
function chain:sort(field, direction)
  if field ~= nil then self.spec.sort, self.spec.sortDirection = field, direction or "desc" end
  return self
end
function chain:limit(limit) if limit ~= nil then self.spec.limit = limit end return self end
function chain:cursor(cursor) if cursor ~= nil then self.spec.cursor = cursor end return self end
function chain:did(did) if did ~= nil then self.spec.did = did end return self end
function chain:run() return page("run", self.spec) end
function chain:first()
  self.spec.limit = 1
  return page("first", self.spec).records[1]
end
function chain:count()
  local spec = self.spec
  if not spec.filter then return kit.guard(name("count"), "DB_ERROR", kit.db.count, spec.collection, spec.did) end
  local total = 0
  local counted = { collection = spec.collection, did = spec.did, filter = spec.filter, limit = 100 }
  repeat
    local found = kit.guard(name("count"), "INVALID_SPEC", kit.db.query, counted)
    total, counted.cursor = total + #found.records, found.cursor
  until not found.cursor
  return total
end
kit.solid(chain)

return {
  records = function(collection)
    if type(collection) ~= "string" then bad("records", "the collection must be a string") end
    return setmetatable({ spec = { collection = collection } }, chain)
  end,
  get = function(uri) return kit.guard(name("get"), "DB_ERROR", envelopes, { uri })[1] end,
  search = function(collection, field, query, limit)
    local spec = { collection = collection, field = field, query = query, limit = limit }
    return kit.guard(name("search"), "DB_ERROR", envelopes,
      uris(kit.guard(name("search"), "INVALID_SPEC", kit.db.search, spec).records))
  end,
  backend = function() return kit.db.backend() end,
}
`,
  "happyview.sql": String.raw`
local kit = ...
local operators = {
  ["="] = "=", ["!="] = "<>", ["<"] = "<", [">"] = ">", ["<="] = "<=", [">="] = ">=",
  like = "LIKE", ["not like"] = "NOT LIKE", ilike = "ILIKE",
}
local function name(fn) return "happyview-sql." .. fn end
local function raw(fn, sql, params)
  if type(sql) ~= "string" then kit.fail(name(fn) .. ": BAD_INPUT: the statement must be a string") end
  local ok, result = pcall(kit.db.raw, sql, params)
  if ok then return result end
  local forbidden = type(result) == "string" and string.find(result, "db.raw cannot ", 1, true)
  return kit.guard(name(fn), forbidden and "FORBIDDEN" or "DB_ERROR", error, result, 0)
end
local function identifier(fn, text)
  if type(text) ~= "string" or not string.match(text, "^[%a_][%w_]*$") then
    kit.fail(name(fn) .. ": BAD_INPUT: invalid identifier " .. tostring(text))
  end
  return text
end

local chain = {}
chain.__index = chain
function chain:where(column, op, value)
  if value == nil then return self end
  local operator = type(op) == "string" and operators[string.lower(op)]
  if not operator then kit.fail(name("where") .. ": BAD_INPUT: unknown operator " .. tostring(op)) end
  self.params[#self.params + 1] = value
  local left, mark = identifier("where", column), "$" .. #self.params
  if operator == "ILIKE" then left, operator, mark = "lower(" .. left .. ")", "LIKE", "lower(" .. mark .. ")" end
  self.conditions[#self.conditions + 1] = left .. " " .. operator .. " " .. mark
  return self
end
function chain:sort(column, direction)
  if column == nil then return self end
  local order = string.lower(direction or "desc")
  if order ~= "asc" and order ~= "desc" then kit.fail(name("sort") .. ": BAD_INPUT: the direction is asc or desc") end
  self.order = " ORDER BY " .. identifier("sort", column) .. " " .. order
  return self
end
function chain:limit(limit)
  if limit ~= nil then
    self.rows = math.tointeger(limit) or kit.fail(name("limit") .. ": BAD_INPUT: an integer is expected")
  end
  return self
end
local function clause(query)
  return query.from .. (#query.conditions > 0 and " WHERE " .. table.concat(query.conditions, " AND ") or "")
end
function chain:run()
  local limit = " LIMIT " .. math.max(0, math.min(self.rows or 20, 100))
  return raw("run", "SELECT * FROM " .. clause(self) .. (self.order or "") .. limit, self.params)
end
function chain:count()
  return raw("count", "SELECT count(*) AS n FROM " .. clause(self), self.params)[1].n
end
kit.solid(chain)

return {
  raw = function(sql, params) return raw("raw", sql, params) end,
  from = function(of)
    return setmetatable({ from = identifier("from", of), conditions = {}, params = {} }, chain)
  end,
}
`,
  "happyview.backlinks": String.raw`
local kit = ...
local envelopes = require("happyview.envelopes")
local chain = {}
chain.__index = chain
for _, step in ipairs({ "collection", "did", "limit", "cursor" }) do
  chain[step] = function(self, value)
    if value ~= nil then self.spec[step] = value end
    return self
  end
end
function chain:run()
  if type(self.spec.collection) ~= "string" then
    kit.fail("happyview-backlinks.run: BAD_CHAIN: a collection is required")
  end
  local found = kit.guard("happyview-backlinks.run", "INVALID_SPEC", kit.db.backlinks, self.spec)
  local uris = {}
  for i, row in ipairs(found.records) do uris[i] = row.uri end
  return { records = kit.guard("happyview-backlinks.run", "DB_ERROR", envelopes, uris), cursor = found.cursor }
end
kit.solid(chain)
return { to = function(uri) return setmetatable({ spec = { uri = uri } }, chain) end }
`,
};
