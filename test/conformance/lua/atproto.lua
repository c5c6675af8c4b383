-- spec: 4.6

---@case labels of a record in order
-- labels: [{"src": "did:plc:l1", "uri": "at://did:plc:alice/org.example.item/a", "val": "spam", "cts": "2026-01-01T00:00:00Z"},
--|  {"src": "did:plc:l2", "uri": "at://did:plc:alice/org.example.item/a", "val": "rude", "cts": "2026-01-02T00:00:00Z"},
--|  {"src": "did:plc:l1", "uri": "at://did:plc:alice/org.example.item/b", "val": "other", "cts": "2026-01-01T00:00:00Z"}]
-- expect: ["rude", "spam"]
function handle()
  local vals = {}
  for i, label in ipairs(atproto.get_labels("at://did:plc:alice/org.example.item/a")) do vals[i] = label.val end
  table.sort(vals)
  return vals
end
---@case the fields of a label
-- labels: [{"src": "did:plc:l1", "uri": "at://did:plc:alice/org.example.item/a", "val": "spam", "cts": "2026-01-01T00:00:00Z"}]
-- expect: [{"src": "did:plc:l1", "uri": "at://did:plc:alice/org.example.item/a", "val": "spam", "cts": "2026-01-01T00:00:00Z"}]
function handle() return atproto.get_labels("at://did:plc:alice/org.example.item/a") end
---@case a label that is over does not count
-- labels: [{"src": "did:plc:l1", "uri": "at://x/y/z", "val": "old", "cts": "2020-01-01T00:00:00Z", "exp": "2020-02-01T00:00:00Z"},
--|  {"src": "did:plc:l1", "uri": "at://x/y/z", "val": "new", "cts": "2020-01-01T00:00:00Z", "exp": "2999-02-01T00:00:00Z"}]
-- expect: ["new"]
function handle()
  local vals = {}
  for i, label in ipairs(atproto.get_labels("at://x/y/z")) do vals[i] = label.val end
  return vals
end
---@case labels that an author gave
-- seed: [["did:plc:alice", "org.example.item", "a", {"labels": {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "nsfw"}]}}]]
-- expect: [{"src": "did:plc:alice", "uri": "at://did:plc:alice/org.example.item/a", "val": "nsfw", "cts": ""}]
function handle() return atproto.get_labels("at://did:plc:alice/org.example.item/a") end
---@case labels of both kinds
-- seed: [["did:plc:alice", "org.example.item", "a", {"labels": {"values": [{"val": "nsfw"}]}}]]
-- labels: [{"src": "did:plc:l1", "uri": "at://did:plc:alice/org.example.item/a", "val": "spam", "cts": "2026-01-01T00:00:00Z"}]
-- expect: ["spam", "nsfw"]
function handle()
  local vals = {}
  for i, label in ipairs(atproto.get_labels("at://did:plc:alice/org.example.item/a")) do vals[i] = label.val end
  return vals
end
---@case no labels are an empty object
-- spec: 2.6
-- expect: {}
function handle() return atproto.get_labels("at://x/y/none") end
---@case a batch groups by uri
-- labels: [{"src": "did:plc:l1", "uri": "at://x/y/1", "val": "a", "cts": "2026-01-01T00:00:00Z"},
--|  {"src": "did:plc:l2", "uri": "at://x/y/2", "val": "b", "cts": "2026-01-01T00:00:00Z"}]
-- expect: ["a", "b", 0]
function handle()
  local all = atproto.get_labels_batch({ "at://x/y/1", "at://x/y/2", "at://x/y/3" })
  return { all["at://x/y/1"][1].val, all["at://x/y/2"][1].val, #all["at://x/y/3"] }
end
---@case every uri of a batch is there
-- expect: {"at://x/y/1": {}, "at://x/y/2": {}}
function handle() return atproto.get_labels_batch({ "at://x/y/1", "at://x/y/2" }) end
---@case an empty batch
-- expect: {}
function handle() return atproto.get_labels_batch({}) end
---@case a DID that cannot be resolved is nil
-- expect: "nil"
function handle() return type(atproto.resolve_service_endpoint("did:example:nobody")) end
---@case what is no DID is nil
-- expect: "nil"
function handle() return type(atproto.resolve_service_endpoint("hello")) end
---@case no signer, no functions to sign
-- expect: ["nil", "nil"]
function handle() return { type(atproto.sign), type(atproto.verify_signature) } end
---@case scripts ask whether there is a signer
-- spec: 8
-- expect: {"verified": false}
function handle()
  if not atproto.verify_signature then return { verified = false } end
  return { verified = atproto.verify_signature({}, {}, "did:plc:alice") }
end
---@case blob_upload is nil where nothing can be uploaded
-- expect: "nil"
function handle() return type(atproto.blob_upload) end
---@case spaces are disabled
-- spec: 4.7
-- expect: []
function handle()
  local wrong = toarray({})
  local uri = "ats://did:plc:alice/org.example.space/self"
  local calls = {
    is_member = { uri, "did:plc:bob" }, get_access = { uri, "did:plc:bob" }, list_members = { uri },
    query = { { space_uri = uri } }, get = { uri }, create = { { type = "org.example.space", skey = "self" } },
    accept_invite = { { token = "t" } },
  }
  for name, args in pairs(calls) do
    local ok, e = pcall(atproto.spaces[name], table.unpack(args))
    if ok or not tostring(e):find("spaces feature is not enabled", 1, true) then wrong[#wrong + 1] = name end
  end
  return wrong
end
---@case no repos are linked
-- spec: 4.8
-- expect: [0, "nil"]
function handle() return { #linked_repos.list(), type(linked_repos.get("did:plc:bob")) } end
---@case no linked repos are an empty object
-- spec: 2.6
-- expect: {}
function handle() return linked_repos.list() end
