-- spec: 4

---@case db.get of nothing is one nil
-- expect: [1, "nil"]
function handle() return { select("#", db.get("at://x/y/z")), type((db.get("at://x/y/z"))) } end
---@case Record.load of nothing is one nil
-- expect: 1
function handle() return select("#", Record.load("at://did:plc:alice/org.example.item/none")) end
---@case a DID that cannot be resolved is one nil
-- expect: 1
function handle() return select("#", atproto.resolve_service_endpoint("hello")) end
---@case a repo that is not linked is one nil
-- expect: 1
function handle() return select("#", linked_repos.get("did:plc:bob")) end
---@case tostring of what is not there
-- expect: ["nil", "nil"]
function handle() return { tostring(db.get("at://x/y/z")), tostring(Record.load("at://x/y/z")) } end
