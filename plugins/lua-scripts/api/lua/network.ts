import type { LuaApiText } from "../../engine/lua54/machine.ts";

/** `http`, `xrpc`, `atproto`, `linked_repos`, `jobs`, and the functions of `job` (spec 4.4 to 4.9). */
export const networkApi: LuaApiText = {
  globals: ["http", "xrpc", "atproto", "linked_repos", "jobs"],
  text: String.raw`
local kit = ...
local call, fail, encode, array, setmetatable = kit.call, kit.fail, kit.encode, kit.array, kit.setmetatable
local next, type, tostring, pcall, rawget = next, type, tostring, pcall, rawget

-- A required string: Lua's own rule, numbers are taken too.
local function text(name, position, value)
  if type(value) == "number" then return tostring(value) end
  if type(value) ~= "string" then
    fail("bad argument #" .. position .. " to '" .. name .. "' (string expected, got " .. type(value) .. ")")
  end
  return value
end
kit.text = text

-- Lists that the original does not mark as arrays: an empty one is written as {}.
local function plain(list)
  local made = {}
  for i, item in next, list do made[i] = item end
  return made
end

http = {}
for _, method in next, { "get", "post", "put", "patch", "delete", "head" } do
  local hasBody = method ~= "get" and method ~= "head"
  http[method] = function(url, options)
    local request = { method = method, url = text(method, 1, url), headers = {} }
    if type(options) == "table" then
      if type(options.headers) == "table" then
        for key, value in next, options.headers do
          if type(key) == "string" and (type(value) == "string" or type(value) == "number") then
            request.headers[key] = tostring(value)
          end
        end
      end
      if hasBody and type(options.body) == "string" then request.body = options.body end
    end
    return call("http.request", request)
  end
end

-- An empty table and a list are no parameters.
local function parameters(params)
  return type(params) == "table" and rawget(params, 1) == nil and next(params) ~= nil and encode(params) or "{}"
end

xrpc = {}
function xrpc.query(nsid, params)
  return call("xrpc.call", "query", text("query", 1, nsid), parameters(params))
end
function xrpc.procedure(nsid, input, params)
  nsid = text("procedure", 1, nsid)
  return call("xrpc.call", "procedure", nsid, parameters(params), encode(input, "xrpc procedure failed: "))
end

atproto = { spaces = {} }
function atproto.resolve_service_endpoint(did)
  return call("atproto.endpoint", text("resolve_service_endpoint", 1, did))
end
function atproto.get_labels(uri)
  uri = text("get_labels", 1, uri)
  return plain(call("atproto.labels", { uri })[uri])
end
function atproto.get_labels_batch(uris)
  if type(uris) ~= "table" then
    fail("bad argument #1 to 'get_labels_batch' (table expected, got " .. type(uris) .. ")")
  end
  local wanted, found = setmetatable({}, array), {}
  for i = 1, #uris do wanted[i] = text("get_labels_batch", 1, rawget(uris, i)) end
  for uri, list in next, call("atproto.labels", wanted) do found[uri] = plain(list) end
  return found
end
function kit.sign(record) return call("atproto.sign", encode(record, "atproto.sign: ")) end
atproto.sign = kit.sign
function kit.verify_signature(record, signature, repository)
  local prefix = "atproto.verify_signature: "
  repository = text("verify_signature", 3, repository)
  return call("atproto.verify", encode(record, prefix), encode(signature, prefix), repository)
end
function atproto.verify_signature(...) return kit.verify_signature(...).valid end
local handles = {}
local handle = { __metatable = "BlobHandle", __name = "BlobHandle" }
handle.__index = kit.solid({
  size = function(self) return handles[self] and handles[self].size end,
  mime_type = function(self) return handles[self] and handles[self].mimeType end,
})
function atproto.blob_download(did, cid)
  local blob = call("blob.download", text("blob_download", 1, did), text("blob_download", 2, cid))
  local made = setmetatable({}, handle)
  handles[made] = blob
  return { handle = made, mimeType = blob.mimeType, size = blob.size }
end
function atproto.blob_upload(made, mime)
  local blob = type(made) == "table" and handles[made]
  if not blob then fail("blob_upload: first argument must be a BlobHandle from blob_download()") end
  return call("blob.upload", blob.id, mime ~= nil and text("blob_upload", 2, mime) or nil)
end
kit.blob_download = atproto.blob_download
function kit.blob_text(made) return call("blob.read", handles[made].id) end
for _, name in next, { "is_member", "get_access", "list_members", "query", "get", "create", "accept_invite" } do
  atproto.spaces[name] = function() fail("spaces feature is not enabled") end
end

linked_repos = {}
function linked_repos.list() return {} end
function linked_repos.get(did)
  text("get", 1, did)
  return nil
end

jobs = {}
function jobs.create(kind, input, options)
  kind = text("create", 1, kind)
  local ok, content = pcall(encode, input)
  local auth = type(options) == "table" and options.auth == true
  return call("jobs.create", kind, ok and content or "{}", auth)
end

for _, api in next, { http, xrpc, atproto, atproto.spaces, linked_repos, jobs } do kit.solid(api) end

kit.onbegin(function(input, ctx)
  if not ctx.has_pds_auth then kit.atproto.blob_upload = nil end
  kit.has_signer = ctx.has_signer
  if not kit.has_signer then kit.atproto.sign, kit.atproto.verify_signature = nil, nil end
  ctx.has_signer = nil
  if type(ctx.job) ~= "table" then return end
  local functions = {
    progress = function(value) call("job.progress", encode(value, "job.progress failed: ")) end,
    should_stop = function() return call("job.should_stop") end,
    wait = function(seconds) call("job.wait", type(seconds) == "number" and seconds or 0) end,
    log = function(message) call("job.log", "info", text("log", 1, message)) end,
    warn = function(message) call("job.log", "warn", text("warn", 1, message)) end,
  }
  for name, f in next, kit.solid(functions) do
    input[name] = f
    if name ~= "log" and name ~= "warn" then ctx.job[name] = f end
  end
  return input.input
end)
`,
};
