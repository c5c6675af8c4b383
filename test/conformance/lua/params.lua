-- spec: 3.3

---@case strings
-- params: did=x&other=5
-- expect: {"did": "x", "other": "5"}
function handle() return params end
---@case none
-- expect: {}
function handle() return params end
---@case a declared integer
-- params: limit=5
-- expect: {"v": 5, "t": "integer"}
function handle() return { v = params.limit, t = math.type(params.limit) } end
---@case a negative integer
-- params: limit=-5
-- expect-text: -5
function handle() return params.limit end
---@case an integer of 64 bits
-- params: limit=9007199254740993
-- expect-text: 9007199254740993
function handle() return params.limit end
---@case an integer that does not parse stays text
-- params: limit=5x
-- expect: ["5x", "string"]
function handle() return { params.limit, type(params.limit) } end
---@case an integer with a fraction stays text
-- params: limit=5.5
-- expect: ["5.5", "string"]
function handle() return { params.limit, type(params.limit) } end
---@case an empty integer stays text
-- params: limit=
-- expect: ["", "string"]
function handle() return { params.limit, type(params.limit) } end
---@case an integer beyond 64 bits stays text
-- params: limit=99999999999999999999
-- expect: "99999999999999999999"
function handle() return params.limit end
---@case bounds are not applied
-- params: page=100
-- expect-text: 100
function handle() return params.page end
---@case defaults are not applied
-- expect: "nil"
function handle() return type(params.page) end
---@case a declared number
-- params: ratio=2.5
-- expect: {"v": 2.5, "t": "float"}
function handle() return { v = params.ratio, t = math.type(params.ratio) } end
---@case a whole number of a declared number is a float
-- params: ratio=2
-- expect: "float"
function handle() return math.type(params.ratio) end
---@case a number that does not parse stays text
-- params: ratio=abc
-- expect: "abc"
function handle() return params.ratio end
---@case boolean true
-- params: flag=true
-- expect: [true, "boolean"]
function handle() return { params.flag, type(params.flag) } end
---@case boolean 1
-- params: flag=1
-- expect: true
function handle() return params.flag end
---@case boolean false
-- params: flag=false
-- expect: false
function handle() return params.flag end
---@case boolean 0
-- params: flag=0
-- expect: false
function handle() return params.flag end
---@case any other boolean stays text
-- params: flag=TRUE
-- expect: "TRUE"
function handle() return params.flag end
---@case a repeated key is an array of strings
-- params: did=a&did=b&did=c
-- expect: ["a", "b", "c"]
function handle() return params.did end
---@case items of an array are not coerced
-- params: limit=1&limit=2
-- expect: ["1", "2"]
function handle() return params.limit end
---@case a declared array given once is a string
-- params: tags=one
-- expect: "one"
function handle() return params.tags end
---@case a key without = is empty
-- params: did
-- expect: ""
function handle() return params.did end
---@case percent decoding
-- params: did=a%20b%2F%C3%BC%26
-- expect: "a b/ü&"
function handle() return params.did end
---@case keys are decoded, too
-- params: a%20b=1
-- expect: {"a b": "1"}
function handle() return params end
---@case plus is not a space
-- params: did=a+b
-- expect: "a+b"
function handle() return params.did end
---@case a value may hold =
-- params: did=a=b==
-- expect: "a=b=="
function handle() return params.did end
---@case an undeclared name stays text
-- params: depth=5
-- expect: ["5", "string"]
function handle() return { params.depth, type(params.depth) } end
---@case tonumber works on both
-- params: limit=5&depth=7
-- expect: 12
function handle() return tonumber(params.limit) + tonumber(params.depth) end
---@case a prototype name is a plain key
-- params: __proto__=x
-- expect-text: {"__proto__":"x"}
function handle() return params end
---@case a missing parameter is nil
-- expect: "default"
function handle() return params.did or "default" end
---@case a limit with clamp as scripts write it
-- params: limit=500
-- expect: 100
function handle()
  local limit = tonumber(params.limit) or 20
  if limit > 100 then limit = 100 end
  return limit
end
---@case params of a procedure come from the query string
-- kind: procedure
-- params: limit=3&x=y
-- input: {"limit": 9}
-- expect: {"params": {"limit": 3, "x": "y"}, "input": {"limit": 9}}
function handle() return { params = params, input = input } end
---@case input: numbers stay what they are
-- kind: procedure
-- input: {"a": 5.0, "b": 9007199254740993, "c": 1e2}
-- expect: ["float", "integer", "9007199254740993", "float"]
function handle()
  return { math.type(input.a), math.type(input.b), tostring(input.b), math.type(input.c) }
end
