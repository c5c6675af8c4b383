import type { LuaApiText } from "../../engine/lua54/machine.ts";

/** `Record`: a table of fields with methods, saved to a PDS or to the local index alone (spec 4.3). */
export const recordApi: LuaApiText = {
  globals: ["Record"],
  text: String.raw`
local kit = ...
local call, fail, encode, array, setmetatable = kit.call, kit.fail, kit.encode, kit.array, kit.setmetatable
local next, type, tostring, rawget, rawset = next, type, tostring, rawget, rawset
local sub, match, tid, getmetatable, text = string.sub, string.match, kit.tid, getmetatable, kit.text

local internal = {
  _collection = true, _uri = true, _cid = true, _schema = true, _key_type = true, _rkey = true, _repo_override = true,
}
local noAuth = "no PDS auth in this script context \u{2014} use :save_local() / :delete_local() / "
  .. "Record.delete_local(uri) for local-only mutation"
local noDid = 'save_local() needs a DID \u{2014} call :set_repo("did:plc:...") or load the record first'
local methods = {}
local meta = { __index = methods }
function meta.__newindex(record, key, value)
  if internal[key] then fail("cannot assign to internal field '" .. key .. "'") end
  rawset(record, key, value)
end
function meta.__tostring(record)
  local uri = rawget(record, "_uri")
  local collection = tostring(rawget(record, "_collection"))
  return "Record(" .. collection .. ") [" .. (uri and "uri=" .. tostring(uri) or "unsaved") .. "]"
end

local known = {}
local function lexicon(collection)
  if known[collection] == nil then known[collection] = call("record.lexicon", collection) or false end
  return known[collection] or {}
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local made = {}
  for key, item in next, value do made[key] = copy(item) end
  return getmetatable(value) == false and setmetatable(made, array) or made
end

local function properties(schema)
  local found = type(schema) == "table" and schema.properties
  return type(found) == "table" and found or nil
end

local function new(collection, fields)
  collection = text("Record", 1, collection)
  local about = lexicon(collection)
  local record = { _collection = collection, _schema = about.schema, _key_type = about.key }
  if type(fields) == "table" then for key, value in next, fields do record[key] = value end end
  for name, property in next, properties(about.schema) or {} do
    if record[name] == nil and type(property) == "table" and property.default ~= kit.null then
      record[name] = copy(property.default)
    end
  end
  return setmetatable(record, meta)
end

local function validate(record)
  local schema = rawget(record, "_schema")
  local required = type(schema) == "table" and schema.required
  for _, name in next, type(required) == "table" and required or {} do
    if rawget(record, name) == nil then fail("missing required field '" .. tostring(name) .. "'") end
  end
end

-- The body as JSON text: it never becomes values of another language, so integers and floats stay apart.
local function body(record)
  local allowed, fields = properties(rawget(record, "_schema")), {}
  for key, value in next, record do
    if type(key) == "string" and sub(key, 1, 1) ~= "_" and (not allowed or allowed[key] ~= nil) then
      fields[key] = value
    end
  end
  fields["$type"] = rawget(record, "_collection")
  return encode(fields)
end

local function mint(record, advice)
  local key = rawget(record, "_key_type")
  if key == "nsid" then fail("cannot auto-generate rkey for nsid key type \u{2014} " .. advice) end
  return type(key) == "string" and match(key, "^literal:(.+)$") or tid()
end

local function requireAuth()
  if not kit.context.has_pds_auth then fail(noAuth) end
end

local function place(record)
  return {
    collection = rawget(record, "_collection"),
    uri = rawget(record, "_uri"),
    rkey = rawget(record, "_rkey"),
    repo = rawget(record, "_repo_override"),
  }
end

local function put(record, where, content)
  local answer = call("record.save", where, content)
  rawset(record, "_uri", answer.uri)
  rawset(record, "_cid", answer.cid)
  return answer
end

function methods.save(record)
  requireAuth()
  validate(record)
  put(record, place(record), body(record))
  return record
end

function methods.delete(record)
  requireAuth()
  local uri = rawget(record, "_uri")
  if uri == nil then fail("cannot delete a Record that has no _uri") end
  call("record.delete", uri, rawget(record, "_repo_override"))
  rawset(record, "_uri", nil)
  rawset(record, "_cid", nil)
  return record
end

function methods.save_local(record)
  validate(record)
  local where = place(record)
  if where.uri == nil then
    where.repo = where.repo or kit.context.caller_did
    if where.repo == nil then fail(noDid) end
    where.rkey = where.rkey or mint(record, "call set_rkey() first")
  end
  rawset(record, "_uri", call("record.save_local", where, body(record)))
  rawset(record, "_cid", "")
  return record
end

function methods.delete_local(record)
  local uri = rawget(record, "_uri")
  if uri == nil then fail("cannot delete_local a Record that has no _uri") end
  call("record.delete_local", uri)
  rawset(record, "_uri", nil)
  rawset(record, "_cid", nil)
  return record
end

function methods.set_key_type(record, key)
  key = text("set_key_type", 1, key)
  if key ~= "tid" and key ~= "any" and key ~= "nsid" and not match(key, "^literal:.") then
    fail("invalid key type '" .. key .. "': expected tid, any, nsid, or literal:*")
  end
  rawset(record, "_key_type", key)
  return record
end

function methods.set_rkey(record, rkey)
  if type(rkey) ~= "string" or rkey == "" then fail("rkey must be a non-empty string") end
  rawset(record, "_rkey", rkey)
  return record
end

function methods.set_repo(record, did)
  if type(did) ~= "string" or did == "" then fail("did must be a non-empty string") end
  rawset(record, "_repo_override", did)
  return record
end

function methods.generate_rkey(record)
  if rawget(record, "_key_type") == nil then
    fail("no _key_type set \u{2014} call set_key_type() first or use a record-type lexicon")
  end
  local rkey = mint(record, "use set_rkey() instead")
  rawset(record, "_rkey", rkey)
  return rkey
end

local function loaded(row)
  local record = {}
  for key, value in next, row.record do if key ~= "$type" then record[key] = value end end
  record._collection, record._uri, record._cid = row.collection, row.uri, row.cid
  record._schema = lexicon(row.collection).schema
  return setmetatable(record, meta)
end

local statics = { new = new }

function statics.load(uri)
  local row = call("record.load", { text("load", 1, uri) })[1]
  return type(row) == "table" and loaded(row) or nil
end

function statics.load_all(uris)
  if type(uris) ~= "table" then fail("bad argument #1 to 'load_all' (table expected, got " .. type(uris) .. ")") end
  local wanted, records = setmetatable({}, array), {}
  for i = 1, #uris do wanted[i] = text("load_all", 1, rawget(uris, i)) end
  for i, row in next, call("record.load", wanted) do
    if type(row) == "table" then records[i] = loaded(row) end
  end
  return records
end

function statics.delete_local(uri) return call("record.delete_local", text("delete_local", 1, uri)) end

function statics.save_all(list)
  requireAuth()
  if type(list) ~= "table" then fail("bad argument #1 to 'save_all' (table expected, got " .. type(list) .. ")") end
  local bodies = {}
  for i = 1, #list do
    if type(list[i]) ~= "table" then fail("bad argument #1 to 'save_all' (a list of Records is expected)") end
    validate(list[i])
    bodies[i] = body(list[i])
  end
  local answers = kit.all(#list, function(i) return put(list[i], place(list[i]), bodies[i]) end)
  return setmetatable(answers, array)
end

kit.solid(methods)
Record = setmetatable(kit.solid(statics), kit.solid({ __call = function(_, ...) return new(...) end }))
kit.record = { encode = body, validate = validate, mint = mint }
`,
};
