// On one line, so that the lines of the test file keep their numbers.
const before = `
local __tests = {}
function test(name, body) __tests[#__tests + 1] = { name = name, body = body } end
local function __call(nsid, input) return json.decode(xrpc.procedure(nsid, input).body) end
function ingest(event) local stored = __call("test.happyview.ingest", event).stored if type(stored) == "userdata" then return nil end return stored end
function query(nsid, params) return json.decode(xrpc.query(nsid, params or {}).body) end
local function __same(a, b)
  if type(a) ~= type(b) then return false end
  if type(a) ~= "table" then return a == b end
  for k, v in pairs(a) do if not __same(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end
function expect(actual, expected)
  if not __same(actual, expected) then error("expected " .. json.encode(expected) .. ", got " .. json.encode(actual), 2) end
end`
  .trim()
  .split("\n")
  .map((line) => line.trim())
  .join(" ");

const after = `
function handle()
  local results = {}
  for i, case in ipairs(__tests) do
    __call("test.happyview.reset", {})
    local ok, failure = pcall(case.body)
    results[i] = { name = case.name, ok = ok, error = not ok and tostring(failure) or nil }
  end
  return toarray(results)
end`;

/** A test file as a script: what it calls `test` with is run by `handle`, each on an empty index. */
export function asScript(text: string): string {
  return `${before} ${text}\n${after}`;
}
