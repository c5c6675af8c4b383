-- spec: 6.2

---@case a syntax error
-- expect-refused: script compilation failed:
function handle( return 1 end
---@case the line of a syntax error
-- expect-refused: 3:
function handle()
  local x = 1
  return }
end
---@case an unfinished string
-- expect-refused: script compilation failed:
function handle() return "abc end
---@case no handle
-- expect-refused: script must define a handle() function
local function handle() return 1 end
---@case an empty script
-- expect-refused: script must define a handle() function

---@case handle that is a table
-- expect-refused: script must define a handle() function
handle = setmetatable({}, { __call = function() return 1 end })
---@case db at the top level
-- expect-refused: script compilation failed:
local rows = db.query({ collection = "org.example.item" })
function handle() return rows end
---@case http at the top level
-- expect-refused: script compilation failed:
local page = http.get("https://example.com")
function handle() return page end
---@case params at the top level
-- expect-refused: script compilation failed:
local limit = params.limit
function handle() return limit end
---@case Record at the top level
-- expect-refused: script compilation failed:
local r = Record("org.example.item")
function handle() return r end
---@case a runtime error at the top level
-- expect-refused: script compilation failed:
error("no")
function handle() return 1 end
---@case an endless loop at the top level
-- expect-refused: script compilation failed:
while true do end
function handle() return 1 end
---@case a prefix that is no trigger
-- trigger: record.made:org.example.item
-- expect-refused: unknown trigger prefix 'record.made'; valid prefixes: record.{index,create,update,delete}, xrpc.{query,procedure}, labeler.apply, job.run
function handle() return 1 end
---@case no separator
-- trigger: record.index
-- expect-refused: must contain a ':' separator
function handle() return 1 end
---@case the valid prefixes are named
-- trigger: nothing
-- expect-refused: valid prefixes: 
function handle() return 1 end
---@case an empty suffix
-- trigger: record.index:
-- expect-refused: trigger id 'record.index:' has empty suffix
function handle() return 1 end
---@case an NSID of one segment
-- trigger: record.index:item
-- expect-refused: invalid NSID 'item': 
function handle() return 1 end
---@case one segment is too few
-- trigger: record.index:item
-- expect-refused: need at least 2 dot-separated segments
function handle() return 1 end
---@case an NSID with an empty segment
-- trigger: record.index:org..item
-- expect-refused: empty segment
function handle() return 1 end
---@case an NSID that ends in a dot
-- trigger: record.index:org.example.
-- expect-refused: empty segment
function handle() return 1 end
---@case a segment that starts with a digit
-- trigger: record.index:org.1example.item
-- expect-refused: must start with a letter
function handle() return 1 end
---@case a segment with a bad character
-- trigger: record.index:org.exam_ple.item
-- expect-refused: contains invalid character '_'
function handle() return 1 end
---@case _actor outside of labels
-- trigger: record.index:_actor
-- expect-refused: invalid NSID '_actor'
function handle() return 1 end
---@case a job type with capitals
-- trigger: job.run:Reindex
-- expect-refused: invalid job type 'Reindex': must match /^[a-z0-9][a-z0-9._-]*$/
function handle() return 1 end
---@case a job type that starts with a dash
-- trigger: job.run:-x
-- expect-refused: invalid job type '-x'
function handle() return 1 end
---@case the jobs of the instance itself
-- trigger: job.run:happyview.backfill
-- expect-refused: reserved
function handle() return 1 end
---@case no top level may wait for the host through a coroutine
-- expect-refused: script compilation failed:
coroutine.wrap(function() db.get("at://did:plc:alice/org.example.item/a") end)()
function handle() return 1 end
---@case what validation lets pass: env at the top level
-- expect: "/path"
local url = (env.NOTHING or "") .. "/path"
function handle() return url end
---@case what validation lets pass: utilities at the top level
-- expect: [13, "[]", true]
local tid, empty, time = TID(), json.encode(toarray({})), now()
function handle() return { #tid, empty, type(time) == "string" } end
---@case what validation lets pass: a table of functions and a metatable
-- expect: 3
local Point = {}
Point.__index = Point
function Point.new(x) return setmetatable({ x = x }, Point) end
function Point:plus(n) return self.x + n end
function handle() return Point.new(1):plus(2) end
