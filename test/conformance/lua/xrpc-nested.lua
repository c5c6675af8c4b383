-- spec: 4.5

---@case a query with a script
-- expect: {"status": 200, "body": "{\"hello\":\"world\"}"}
function handle()
  local r = xrpc.query("org.example.inner")
  return { status = r.status, body = r.body }
end
---@script xrpc.query:org.example.inner
function handle() return { hello = "world" } end

---@case the status is an integer and the body text
-- expect: ["integer", "string"]
function handle()
  local r = xrpc.query("org.example.inner")
  return { math.type(r.status), type(r.body) }
end
---@script xrpc.query:org.example.inner
function handle() return 1 end

---@case parameters are typed by the inner lexicon
-- expect: {"n": 5, "kind": "integer", "flag": true, "s": "x y&ü"}
function handle() return json.decode(xrpc.query("org.example.inner", { n = 5, flag = true, s = "x y&ü" }).body) end
---@script xrpc.query:org.example.inner
function handle() return { n = params.n, kind = math.type(params.n), flag = params.flag, s = params.s } end

---@case an array of parameters is repeated
-- expect: ["a", "b"]
function handle() return json.decode(xrpc.query("org.example.inner", { did = { "a", "b" } }).body) end
---@script xrpc.query:org.example.inner
function handle() return params.did end

---@case parameters that are no table are none
-- expect: {}
function handle() return json.decode(xrpc.query("org.example.inner", "x").body) end
---@script xrpc.query:org.example.inner
function handle() return params end

---@case the caller is handed on
-- caller: did:plc:bob
-- expect: "did:plc:bob"
function handle() return json.decode(xrpc.query("org.example.inner").body) end
---@script xrpc.query:org.example.inner
function handle() return caller_did end

---@case nobody is handed on, too
-- expect: "nil"
function handle() return json.decode(xrpc.query("org.example.inner").body) end
---@script xrpc.query:org.example.inner
function handle() return type(caller_did) end

---@case a query without a script
-- seed: [["did:plc:alice", "org.example.item", "a", {"name": "x"}], ["did:plc:alice", "org.example.item", "b", {"name": "y"}]]
-- expect: ["y", "integer"]
function handle()
  local page = json.decode(xrpc.query("org.example.listItems", { limit = 1 }).body)
  return { page.records[1].name, math.type(#page.records) }
end

---@case a type that does not fit
-- expect-error: runtime - xrpc query failed: bad request: org.example.innerProcedure is not a query endpoint
function handle() return xrpc.query("org.example.innerProcedure") end

---@case an inner failure raises
-- expect-error: runtime - xrpc query failed: 
function handle() return xrpc.query("org.example.inner") end
---@script xrpc.query:org.example.inner
function handle() error("inner trouble") end

---@case the inner error is named
-- expect-error: runtime - script runtime error in org.example.inner at line 2: inner trouble
function handle() return xrpc.query("org.example.inner") end
---@script xrpc.query:org.example.inner
function handle()
  error("inner trouble")
end

---@case an inner failure can be caught
-- expect: [false, true]
function handle()
  local ok, e = pcall(xrpc.query, "org.example.inner")
  return { ok, tostring(e):find("xrpc query failed: ", 1, true) ~= nil }
end
---@script xrpc.query:org.example.inner
function handle() error("inner trouble") end

---@case a procedure without a caller
-- expect-error: runtime - xrpc.procedure requires authentication (no caller_did)
function handle() return xrpc.procedure("org.example.innerProcedure", {}) end

---@case a procedure with a caller
-- caller: did:plc:bob
-- expect: {"caller": "did:plc:bob", "a": 1, "method": "org.example.innerProcedure"}
function handle() return json.decode(xrpc.procedure("org.example.innerProcedure", { a = 1 }).body) end
---@script xrpc.procedure:org.example.innerProcedure
function handle() return { caller = caller_did, a = input.a, method = method } end

---@case a procedure and its input of nil
-- caller: did:plc:bob
-- expect: "userdata"
function handle() return json.decode(xrpc.procedure("org.example.innerProcedure", nil).body) end
---@script xrpc.procedure:org.example.innerProcedure
function handle() return type(input) end

---@case a procedure with parameters
-- caller: did:plc:bob
-- expect: "y"
function handle() return json.decode(xrpc.procedure("org.example.innerProcedure", {}, { x = "y" }).body) end
---@script xrpc.procedure:org.example.innerProcedure
function handle() return params.x end

---@case a procedure that is a query
-- caller: did:plc:bob
-- expect-error: runtime - xrpc procedure failed: bad request: org.example.inner is not a procedure endpoint
function handle() return xrpc.procedure("org.example.inner", {}) end

---@case a procedure that fails
-- caller: did:plc:bob
-- expect-error: runtime - xrpc procedure failed: 
function handle() return xrpc.procedure("org.example.innerProcedure", {}) end
---@script xrpc.procedure:org.example.innerProcedure
function handle() error("inner trouble") end

---@case from a record event as its author
-- kind: record
-- expect-outcome: replace {"by": "did:plc:alice"}
function handle() return { by = json.decode(xrpc.query("org.example.inner").body) } end
---@script xrpc.query:org.example.inner
function handle() return caller_did end

---@case from a label without a caller
-- kind: label
-- expect-outcome: replace {"val": "nil"}
function handle() return { val = json.decode(xrpc.query("org.example.inner").body) } end
---@script xrpc.query:org.example.inner
function handle() return type(caller_did) end

---@case from a job as its creator
-- kind: job
-- expect: "did:plc:caller"
function handle() return json.decode(xrpc.query("org.example.inner").body) end
---@script xrpc.query:org.example.inner
function handle() return caller_did end

---@case two levels
-- expect: 3
function handle() return json.decode(xrpc.query("org.example.inner", { n = 1 }).body) end
---@script xrpc.query:org.example.inner
function handle() return json.decode(xrpc.query("org.example.plain").body) + params.n end
---@script xrpc.query:org.example.plain
function handle() return 2 end

---@case a script that calls itself without an end is refused and no crash
-- expect: "string"
function handle()
  local ok, e = pcall(xrpc.query, method)
  return type(ok and "bottom" or tostring(e))
end

---@case globals of the inner script stay inside
-- expect: "nil"
function handle()
  xrpc.query("org.example.inner")
  return type(leaked)
end
---@script xrpc.query:org.example.inner
leaked = 5
function handle() return 1 end

---@case a method that nobody knows
-- expect-error: runtime - xrpc query failed: 
function handle() return xrpc.query("invalid.nowhere.getNothing") end

---@case a name is required
-- expect: false
function handle() return (pcall(xrpc.query)) end
