/** The libraries of the v3 contract that reach the network, the PDS of the caller or the host (spec 5.3). */
export const networkModules: Readonly<Record<string, string>> = {
  "happyview.http": String.raw`
local kit = ...
local lib = {}
for name, f in pairs(kit.http) do
  lib[name] = function(...) return kit.guard("happyview-http." .. name, "REQUEST_FAILED", f, ...) end
end
return lib
`,
  "happyview.xrpc": String.raw`
local kit = ...
local function call(fn, ...)
  local answer = kit.guard("happyview-xrpc." .. fn, "XRPC_ERROR", kit.call, "xrpc.call", fn, ...)
  local value = kit.guard("happyview-xrpc." .. fn, "XRPC_ERROR", kit.decode, answer.body)
  if value == kit.null then return nil end
  return value
end
local function parameters(params)
  return type(params) == "table" and next(params) ~= nil and kit.encode(params) or "{}"
end
return {
  query = function(method, params) return call("query", method, parameters(params)) end,
  procedure = function(method, input, params)
    if kit.context.caller_did == nil then kit.fail("happyview-xrpc.procedure: NO_SESSION: there is no caller") end
    return call("procedure", method, parameters(params), kit.encode(input))
  end,
}
`,
  "happyview.record": String.raw`
local kit = ...
local function name(fn) return "happyview-record." .. fn end
local function write(fn, ...)
  if not kit.context.has_pds_auth then kit.fail(name(fn) .. ": NO_SESSION: this run has no PDS session") end
  local ok, answer = pcall(kit.call, ...)
  if ok then return answer end
  local code = string.find(tostring(answer), "AUTH_ERROR:", 1, true) and "AUTH_REQUIRED" or "PDS_ERROR"
  return kit.guard(name(fn), code, error, answer, 0)
end
local function body(fn, collection, fields, check)
  if type(collection) ~= "string" then kit.fail(name(fn) .. ": BAD_INPUT: the collection must be a string") end
  if type(fields) ~= "table" then kit.fail(name(fn) .. ": BAD_INPUT: the record must be a table") end
  local record = kit.Record.new(collection, fields)
  if check ~= false then kit.guard(name(fn), "INVALID_RECORD", kit.record.validate, record) end
  return kit.record.encode(record)
end
local function collectionOf(fn, uri)
  return type(uri) == "string" and string.match(uri, "^at://[^/]+/([^/]+)/[^/]+$")
    or kit.fail(name(fn) .. ": BAD_INPUT: invalid AT URI: " .. tostring(uri))
end
local lib = {}
function lib.create(collection, fields, options)
  options = type(options) == "table" and options or {}
  local content = body("create", collection, fields, options.validate)
  return write("create", "record.save", { collection = collection, rkey = options.rkey, repo = options.repo }, content)
end
function lib.put(uri, fields, options)
  options = type(options) == "table" and options or {}
  local collection = collectionOf("put", uri)
  local content = body("put", collection, fields, options.validate)
  return write("put", "record.save", { collection = collection, uri = uri, swap = options.swap_cid }, content)
end
function lib.delete(uri)
  collectionOf("delete", uri)
  write("delete", "record.delete", uri)
end
local byte, char, concat = string.byte, string.char, table.concat
local digits = { byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 1, -1) }
local function toBase64(bytes)
  local parts = {}
  for i = 1, #bytes, 3 do
    local a, b, c = byte(bytes, i, i + 2)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    parts[#parts + 1] = char(digits[(bits >> 18) + 1], digits[(bits >> 12 & 63) + 1],
      b and digits[(bits >> 6 & 63) + 1] or 61, c and digits[(bits & 63) + 1] or 61)
  end
  return concat(parts)
end
function lib.upload_blob(bytes, mime)
  if type(bytes) ~= "string" then kit.fail(name("upload_blob") .. ": BAD_INPUT: the bytes must be a string") end
  if type(mime) ~= "string" then kit.fail(name("upload_blob") .. ": BAD_INPUT: the MIME type must be a string") end
  return write("upload_blob", "blob.write", toBase64(bytes), mime).blob
end
function lib.load(uri) return require("happyview.db").get(uri) end
function lib.save_local(collection, rkey, fields, did)
  local content = body("save_local", collection, fields)
  local where = { collection = collection, rkey = rkey, repo = did or kit.context.caller_did }
  if where.repo == nil then kit.fail(name("save_local") .. ": BAD_INPUT: a DID is needed") end
  return { uri = kit.guard(name("save_local"), "BAD_INPUT", kit.call, "record.save_local", where, content) }
end
function lib.delete_local(uri) return kit.guard(name("delete_local"), "BAD_INPUT", kit.call, "record.delete_local", uri) end
function lib.validate(collection, fields) body("validate", collection, fields) return true end
function lib.lexicon(collection)
  local about = kit.call("record.lexicon", collection)
  return about and about.document or nil
end
return lib
`,
  "happyview.atproto": String.raw`
local kit = ...
local function name(fn) return "happyview-atproto." .. fn end
local byte, char, concat = string.byte, string.char, table.concat
local digits = {}
for i = 1, 64 do digits[byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", i)] = i - 1 end
local function fromBase64(text)
  local parts, padding = {}, #string.match(text, "=*$")
  for i = 1, #text, 4 do
    local a, b, c, d = byte(text, i, i + 3)
    local bits = digits[a] << 18 | digits[b] << 12 | (digits[c] or 0) << 6 | (digits[d] or 0)
    parts[#parts + 1] = char(bits >> 16, bits >> 8 & 255, bits & 255)
  end
  return string.sub(concat(parts), 1, -1 - padding)
end
local function signer(fn) if not kit.has_signer then kit.fail(name(fn) .. ": NO_SIGNER: no signer is configured") end end
return {
  resolve_service_endpoint = kit.atproto.resolve_service_endpoint,
  get_labels = function(uri) return kit.guard(name("get_labels"), "DB_ERROR", kit.atproto.get_labels, uri) end,
  get_labels_batch = function(uris)
    if type(uris) == "table" and #uris > 100 then
      kit.fail(name("get_labels_batch") .. ": BAD_INPUT: at most 100 URIs")
    end
    return kit.guard(name("get_labels_batch"), "DB_ERROR", kit.atproto.get_labels_batch, uris)
  end,
  sign = function(record)
    signer("sign")
    return kit.guard(name("sign"), "BAD_INPUT", kit.sign, record)
  end,
  verify_signature = function(record, signature, repository)
    signer("verify_signature")
    local answer = kit.guard(name("verify_signature"), "BAD_INPUT", kit.verify_signature, record, signature, repository)
    if answer.problem then kit.fail(name("verify_signature") .. ": UNVERIFIABLE: " .. answer.problem) end
    return answer.valid
  end,
  blob_download = function(did, cid)
    local blob = kit.guard(name("blob_download"), "PDS_ERROR", kit.blob_download, did, cid)
    local bytes = fromBase64(kit.guard(name("blob_download"), "PDS_ERROR", kit.blob_text, blob.handle))
    return { bytes = bytes, mime_type = blob.mimeType, size = blob.size }
  end,
}
`,
  "happyview.spaces": String.raw`
local kit = ...
local lib = {}
for _, fn in ipairs({ "create", "accept_invite", "info", "query", "get" }) do
  lib[fn] = function() kit.fail("happyview-spaces." .. fn .. ": SPACES_DISABLED: spaces feature is not enabled") end
end
return lib
`,
  "happyview.linked_repos": String.raw`
local kit = ...
local function get(did)
  local repo = {}
  for _, fn in ipairs({ "create_record", "put_record", "delete_record", "upload_blob", "call" }) do
    repo[fn] = function()
      kit.fail("happyview-linked_repos." .. fn .. ": NOT_LINKED: " .. tostring(did) .. " is not a linked repo")
    end
  end
  return repo
end
return { list = function() return kit.toarray({}) end, get = get }
`,
  "happyview.jobs": String.raw`
local kit = ...
local function name(fn) return "happyview-jobs." .. fn end
local function bad(fn, message) kit.fail(name(fn) .. ": BAD_INPUT: " .. message) end
local function call(fn, ...)
  local ok, answer = pcall(kit.call, "jobs." .. fn, ...)
  if ok then return answer end
  local failed = string.find(tostring(answer), "jobs." .. fn .. " failed", 1, true)
  return kit.guard(name(fn), failed and "HOST_ERROR" or "BAD_INPUT", error, answer, 0)
end
local function text(fn, what, value)
  if type(value) ~= "string" then bad(fn, what .. " must be a string") end
  return value
end
local function table_or_nil(fn, options)
  if options ~= nil and type(options) ~= "table" then bad(fn, "the options must be a table") end
  return options or {}
end
return {
  create = function(kind, input, options)
    local auth = table_or_nil("create", options).auth == true
    return call("create", text("create", "the job type", kind), kit.encode(input == nil and {} or input), auth)
  end,
  get = function(id) return call("get", text("get", "the id", id)) end,
  get_any = function(id) return call("get_any", text("get_any", "the id", id)) end,
  list_any = function(options)
    options = table_or_nil("list_any", options)
    return call("list_any", { status = options.status, job_type = options.job_type, limit = options.limit })
  end,
}
`,
};
