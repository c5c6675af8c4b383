-- spec: 4.2
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "say alpha", "author": {"handle": "amy"}}],
--|  ["did:plc:alice", "org.example.item", "b", {"name": "Alpha"}],
--|  ["did:plc:alice", "org.example.item", "c", {"name": "alphabet"}],
--|  ["did:plc:bob", "org.example.item", "d", {"name": "beta"}],
--|  ["did:plc:bob", "org.example.item", "e", {"n": 1}]]

---@case a contained text, exact before prefix before the rest
-- expect: ["b", "c", "a"]
function handle()
  local keys = {}
  for i, r in ipairs(db.search({ collection = "org.example.item", field = "name", query = "alpha" }).records) do keys[i] = r.uri:match("[^/]+$") end
  return keys
end
---@case capitals do not matter
-- expect: 3
function handle() return #db.search({ collection = "org.example.item", field = "name", query = "ALPHA" }).records end
---@case nothing found
-- expect: {"records": []}
function handle() return db.search({ collection = "org.example.item", field = "name", query = "omega" }) end
---@case a result is a body with its uri, and there is no cursor
-- expect: {"records": [{"name": "beta", "uri": "at://did:plc:bob/org.example.item/d"}]}
function handle() return db.search({ collection = "org.example.item", field = "name", query = "beta" }) end
---@case a limit
-- expect: 2
function handle() return #db.search({ collection = "org.example.item", field = "name", query = "alpha", limit = 2 }).records end
---@case a limit as text
-- expect: 1
function handle() return #db.search({ collection = "org.example.item", field = "name", query = "alpha", limit = "1" }).records end
---@case equals of one rank are in the order of the field
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "x b"}], ["did:plc:alice", "org.example.item", "b", {"name": "x a"}]]
-- expect: ["x a", "x b"]
function handle()
  local names = {}
  for i, r in ipairs(db.search({ collection = "org.example.item", field = "name", query = "x" }).records) do names[i] = r.name end
  return names
end
---@case a percent sign is a wildcard
-- expect: 3
function handle() return #db.search({ collection = "org.example.item", field = "name", query = "a%a" }).records end
---@case an underscore is a wildcard
-- expect: 3
function handle() return #db.search({ collection = "org.example.item", field = "name", query = "al_ha" }).records end
---@case another collection
-- expect: 0
function handle() return #db.search({ collection = "org.example.task", field = "name", query = "alpha" }).records end
---@case a bad field
-- expect-error: runtime 1 invalid search field: use alphanumeric
function handle() return db.search({ collection = "org.example.item", field = "na-me", query = "x" }) end
---@case a quote is a plain character
-- expect: 0
function handle() return #db.search({ collection = "org.example.item", field = "name", query = "' OR 1=1 --" }).records end
---@case a nested field
-- expect: 1
function handle() return #db.search({ collection = "org.example.item", field = "author.handle", query = "am" }).records end
---@case what is missing raises
-- expect: [false, false, false]
function handle()
  return {
    (pcall(db.search, { field = "name", query = "x" })),
    (pcall(db.search, { collection = "org.example.item", query = "x" })),
    (pcall(db.search, { collection = "org.example.item", field = "name" })),
  }
end
---@case the default limit is ten
-- expect: 10
function handle()
  for i = 1, 12 do
    Record("org.example.slug", { text = "same" }):set_repo("did:plc:alice"):set_rkey("k" .. i):save_local()
  end
  return #db.search({ collection = "org.example.slug", field = "text", query = "same" }).records
end
---@case backlinks by the exact text
-- seed: [["did:plc:alice", "org.example.item", "a", {"ref": "at://did:plc:bob/org.example.task/1"}],
--|  ["did:plc:bob", "org.example.item", "b", {"deep": {"list": [{"uri": "at://did:plc:bob/org.example.task/1"}]}}],
--|  ["did:plc:alice", "org.example.item", "c", {"ref": "at://did:plc:bob/org.example.task/12"}],
--|  ["did:plc:alice", "org.example.item", "d", {"ref": "see at://did:plc:bob/org.example.task/1"}],
--|  ["did:plc:alice", "org.example.task", "e", {"ref": "at://did:plc:bob/org.example.task/1"}]]
-- expect: ["b", "a"]
function handle()
  local keys = {}
  for i, r in ipairs(db.backlinks({ collection = "org.example.item", uri = "at://did:plc:bob/org.example.task/1" }).records) do
    keys[i] = r.uri:match("[^/]+$")
  end
  return keys
end
---@case backlinks of an author
-- seed: [["did:plc:alice", "org.example.item", "a", {"ref": "at://x/y/1"}], ["did:plc:bob", "org.example.item", "b", {"ref": "at://x/y/1"}]]
-- expect: {"records": [{"ref": "at://x/y/1", "uri": "at://did:plc:bob/org.example.item/b"}]}
function handle() return db.backlinks({ collection = "org.example.item", uri = "at://x/y/1", did = "did:plc:bob" }) end
---@case pages of backlinks
-- seed: [["did:plc:alice", "org.example.item", "a", {"ref": "at://x/y/1"}], ["did:plc:bob", "org.example.item", "b", {"ref": "at://x/y/1"}]]
-- expect: ["b", "a"]
function handle()
  local keys, cursor = {}, nil
  repeat
    local page = db.backlinks({ collection = "org.example.item", uri = "at://x/y/1", limit = 1, cursor = cursor })
    for _, r in ipairs(page.records) do keys[#keys + 1] = r.uri:match("[^/]+$") end
    cursor = page.cursor
  until not cursor
  return keys
end
---@case no backlinks
-- expect: {"records": []}
function handle() return db.backlinks({ collection = "org.example.item", uri = "at://x/y/none" }) end
---@case backlinks need a collection and a uri
-- expect: [false, false]
function handle()
  return { (pcall(db.backlinks, { uri = "at://x/y/1" })), (pcall(db.backlinks, { collection = "org.example.item" })) }
end
---@case backlinks follow a local write and its removal
-- expect: [1, 0]
function handle()
  local r = Record("org.example.open", { ref = "at://x/y/2" }):set_repo("did:plc:alice"):set_rkey("k"):save_local()
  local before = #db.backlinks({ collection = "org.example.open", uri = "at://x/y/2" }).records
  r:delete_local()
  return { before, #db.backlinks({ collection = "org.example.open", uri = "at://x/y/2" }).records }
end
