-- spec: 4.4

---@case get
-- expect: [200, "plain ☃ text", "text/plain; charset=utf-8"]
function handle()
  local r = http.get(env.HTTP .. "/text")
  return { r.status, r.body, r.headers["content-type"] }
end
---@case what get sends
-- expect: ["GET", "/echo/a%20b?x=1&y=%C3%BC", ""]
function handle()
  local sent = json.decode(http.get(env.HTTP .. "/echo/a%20b?x=1&y=%C3%BC").body)
  return { sent.method, sent.path, sent.body }
end
---@case headers of a request
-- expect: ["Bearer t", "1"]
function handle()
  local sent = json.decode(http.get(env.HTTP .. "/echo", { headers = { Authorization = "Bearer t", ["X-One"] = "1" } }).body)
  return { sent.headers.authorization, sent.headers["x-one"] }
end
---@case names of headers in a response are in small letters
-- expect: ["Yes", "nil"]
function handle()
  local headers = http.get(env.HTTP .. "/echo").headers
  return { headers["x-echo"], type(headers["X-Echo"]) }
end
---@case post
-- expect: ["POST", "{\"a\":1}", "application/json"]
function handle()
  local sent = json.decode(http.post(env.HTTP .. "/echo", {
    body = json.encode({ a = 1 }),
    headers = { ["Content-Type"] = "application/json" },
  }).body)
  return { sent.method, sent.body, sent.headers["content-type"] }
end
---@case post without options
-- expect: ["POST", ""]
function handle()
  local sent = json.decode(http.post(env.HTTP .. "/echo").body)
  return { sent.method, sent.body }
end
---@case put
-- expect: ["PUT", "text ☃"]
function handle()
  local sent = json.decode(http.put(env.HTTP .. "/echo", { body = "text ☃" }).body)
  return { sent.method, sent.body }
end
---@case patch
-- expect: ["PATCH", "x"]
function handle()
  local sent = json.decode(http.patch(env.HTTP .. "/echo", { body = "x" }).body)
  return { sent.method, sent.body }
end
---@case delete
-- expect: [200, "DELETE"]
function handle()
  local r = http.delete(env.HTTP .. "/echo")
  return { r.status, json.decode(r.body).method }
end
---@case delete with 204
-- expect: [204, ""]
function handle()
  local r = http.delete(env.HTTP .. "/status/204")
  return { r.status, r.body }
end
---@case head has no body
-- expect: [200, "", "Yes"]
function handle()
  local r = http.head(env.HTTP .. "/echo")
  return { r.status, r.body, r.headers["x-echo"] }
end
---@case the body of a get is ignored
-- expect: ["GET", ""]
function handle()
  local sent = json.decode(http.get(env.HTTP .. "/echo", { body = "x" }).body)
  return { sent.method, sent.body }
end
---@case a body that is no string is ignored
-- spec: 2.7
-- expect: ""
function handle() return json.decode(http.post(env.HTTP .. "/echo", { body = { a = 1 } }).body).body end
---@case 404 is a result
-- expect: [404, "status 404"]
function handle()
  local r = http.get(env.HTTP .. "/status/404")
  return { r.status, r.body }
end
---@case 500 is a result
-- expect: 500
function handle() return http.post(env.HTTP .. "/status/500", { body = "x" }).status end
---@case the status is an integer
-- expect: "integer"
function handle() return math.type(http.get(env.HTTP .. "/text").status) end
---@case redirects are followed
-- expect: [200, "plain ☃ text"]
function handle()
  local r = http.get(env.HTTP .. "/redirect/3")
  return { r.status, r.body }
end
---@case too many redirects
-- expect-error: runtime - HTTP request failed: 
function handle() return http.get(env.HTTP .. "/redirect/20") end
---@case nobody listens
-- expect-error: runtime - HTTP request failed: 
function handle() return http.get("http://127.0.0.1:1/") end
---@case a server that hangs up
-- expect-error: runtime - HTTP request failed: 
function handle() return http.get(env.HTTP .. "/hang-up") end
---@case a failure can be caught
-- expect: [false, true]
function handle()
  local ok, e = pcall(http.get, "http://127.0.0.1:1/")
  return { ok, tostring(e):find("HTTP request failed: ", 1, true) ~= nil }
end
---@case what is no address
-- expect-error: runtime - HTTP request failed: 
function handle() return http.get("not a url") end
---@case another protocol
-- expect-error: runtime - HTTP request failed: 
function handle() return http.get("file:///etc/passwd") end
---@case an address is required
-- expect: false
function handle() return (pcall(http.get)) end
---@case in a record event
-- kind: record
-- event: {"record": {"name": "x"}}
-- expect-outcome: replace {"name": "x", "sent": "{\"name\":\"x\"}"}
function handle()
  local sent = json.decode(http.post(env.HTTP .. "/echo", { body = json.encode({ name = record.name }) }).body)
  record.sent = sent.body
  return record
end
---@case in a job
-- kind: job
-- expect: 200
function handle() return http.get(env.HTTP .. "/text").status end
---@case several one after another
-- expect: 5
function handle()
  local n = 0
  for i = 1, 5 do n = n + (http.get(env.HTTP .. "/echo/" .. i).status == 200 and 1 or 0) end
  return n
end
