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
---@case sign: the signature of a key, a record and a repo is always the same one
-- caller: did:plc:caller
-- expect: {"$type": "org.example.attestation", "key": "did:web:happyview.example#attestation",
--|  "signature": {"$bytes": "Ev4ExTm+qCLw3ykQ/tlz5tPbEFxWvWe6H+PQ2H4B/S8+PygNseM8Tqm2Ak72X4b8ZyLdRk/TLe4e4JlNmmSPxA=="}}
function handle() return atproto.sign({ b = 1, aa = "x", n = { ["$bytes"] = "AAEC" }, f = 3.0 }) end
---@case sign: signatures that are there are not signed
-- caller: did:plc:caller
-- expect: true
function handle()
  local record = { b = 1, signatures = { { key = "other" } } }
  local bare = atproto.sign({ b = 1 }).signature["$bytes"]
  return atproto.sign(record).signature["$bytes"] == bare and #record.signatures == 1
end
---@case sign: what is no object
-- expect-error: runtime - atproto.sign:
function handle() return atproto.sign("text") end
---@case verify_signature: what was signed, and nothing else
-- kind: procedure
-- expect: [true, false, false, false, false]
function handle()
  local sig = atproto.sign({ text = "a", n = 1 })
  local foreign = { ["$type"] = sig["$type"], key = "did:web:elsewhere.example#attestation", signature = sig.signature }
  return {
    atproto.verify_signature({ n = 1, text = "a", signatures = { sig } }, sig, caller_did),
    atproto.verify_signature({ text = "b", n = 1 }, sig, caller_did),
    atproto.verify_signature({ text = "a", n = 1.0 }, sig, caller_did),
    atproto.verify_signature({ text = "a", n = 1 }, sig, "did:plc:other"),
    atproto.verify_signature({ text = "a", n = 1 }, foreign, caller_did),
  }
end
---@case verify_signature: an anonymous query signs for no repo
-- expect: true
function handle() return atproto.verify_signature({ a = 1 }, atproto.sign({ a = 1 }), "") end
---@case verify_signature: a record script signs for no repo
-- kind: record
-- expect-logs: ["true"]
function handle()
  log(tostring(atproto.verify_signature({ a = 1 }, atproto.sign({ a = 1 }), "")))
  return record
end
---@case verify_signature: a job signs for its creator
-- kind: job
-- expect: true
function handle() return atproto.verify_signature({ a = 1 }, atproto.sign({ a = 1 }), "did:plc:caller") end
---@case verify_signature: malformed signatures are not valid
-- expect: [false, false, false, false, false]
function handle()
  local results = {}
  for i, bytes in ipairs({ "", "AAEC", "not base64!", string.rep("A", 86) .. "==" }) do
    local sig = { key = "did:web:happyview.example#attestation", signature = { ["$bytes"] = bytes } }
    results[i] = atproto.verify_signature({ a = 1 }, sig, "")
  end
  results[5] = atproto.verify_signature({ a = 1 }, {}, "")
  return results
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
