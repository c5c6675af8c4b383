/** Something that Lua 5.3 with integers of 32 bits cannot do. `docs/lua-engines.md` is written from this list. */
export interface Difference {
  area: Area;
  lua54: string;
  fengari: string;
  /**
   * The cases that show it, and fail on fengari: of the corpus by file and name, of the suite of the engines
   * (`test/plugins/lua-scripts/engines`) by `engines`, group and name.
   */
  cases: readonly string[];
}

export type Area = "Numbers" | "Language" | "Messages";

/** What does not hold on fengari, the only place where a case of either suite is excepted. */
export const differences: readonly Difference[] = [
  {
    area: "Numbers",
    lua54: "`math.maxinteger` is 9223372036854775807",
    fengari: "it is 2147483647: integers have 32 bits",
    cases: [
      "values.lua: largest integer",
      "values.lua: smallest integer",
      "engines: returned values: the largest and smallest integer",
    ],
  },
  {
    area: "Numbers",
    lua54:
      "`2147483647 + 1` is 2147483648, `1 << 40` is 1099511627776, `os.time() * 1000` is in milliseconds",
    fengari:
      "arithmetic of integers wraps at 32 bits without an error: -2147483648, 0, a wrong number. Write `os.time() * 1000.0`",
    cases: [
      "sandbox.lua: integers have 64 bits",
      "sandbox.lua: integers wrap at 64 bits",
      "sandbox.lua: time in milliseconds is an integer",
      "engines: sandbox: 64-bit integers",
    ],
  },
  {
    area: "Numbers",
    lua54: "`9007199254740993` in a script is exact",
    fengari: "a number beyond 32 bits is a float, exact up to 2^53",
    cases: [
      "values.lua: integer above 53 bits keeps every digit",
      "engines: returned values: an integer beyond 2^53",
    ],
  },
  {
    area: "Numbers",
    lua54: "an integer of 64 bits from a request, a record or the database is exact",
    fengari: "beyond 32 bits it arrives as a float: never wrapped, exact up to 2^53, rounded above",
    cases: [
      "params.lua: an integer of 64 bits",
      "params.lua: input: numbers stay what they are",
      "json.lua: an integer above 53 bits survives a round trip",
      "engines: parameters: a large integer",
    ],
  },
  {
    area: "Numbers",
    lua54: "`2^53` is written as 9007199254740992.0",
    fengari:
      "a float that is a whole number beyond 32 bits and up to 2^53 is written as an integer, for that is what it nearly always stands for; below, floats keep their point",
    cases: ["engines: returned values: a float keeps its point"],
  },
  {
    area: "Numbers",
    lua54: "`math.type` of a decoded 5000000000 is `integer`; `tostring` prints all digits of it",
    fengari:
      '`math.type` is `float`, `tostring` prints "5000000000.0" and 14 digits at most. `string.format("%d", n)` prints all',
    cases: [
      "json.lua: decode the largest integer",
      "require.lua: time now is an integer of milliseconds",
      "engines: json: decode keeps kinds of numbers",
    ],
  },
  {
    area: "Numbers",
    lua54: "`TID.toNumber(tid)` is an integer",
    fengari: "it is the number as a string, which loses nothing and which `TID.fromNumber` takes",
    cases: [
      "tid.lua: the number is an integer",
      "tid.lua: the number is microseconds and ten bits of clock id",
      "engines: utilities: numbers are lossless",
    ],
  },
  {
    area: "Language",
    lua54: '`_VERSION` is "Lua 5.4"',
    fengari: 'it is "Lua 5.3"',
    cases: ["sandbox.lua: version", "engines: sandbox: the libraries"],
  },
  {
    area: "Language",
    lua54: "`local x <const> = 6`",
    fengari: "a syntax error: attributes came with 5.4",
    cases: ["sandbox.lua: constants", "engines: sandbox: 5.4 syntax"],
  },
  {
    area: "Language",
    lua54: "`local x <close> = …`, `coroutine.close`",
    fengari: "a syntax error; there is no `coroutine.close`",
    cases: [
      "sandbox.lua: variables that are closed",
      "limits.lua: an endless loop in a close",
      "engines: sandbox: to-be-closed variables",
      "engines: the instructions of coroutines: that close",
      "engines: closing what is no coroutine that waits fails at its line",
    ],
  },
  {
    area: "Language",
    lua54: "`for i = math.maxinteger - 1, math.maxinteger` ends",
    fengari: "the counter of Lua 5.3 wraps around: an endless loop",
    cases: ["sandbox.lua: numeric for does not wrap around"],
  },
  {
    area: "Language",
    lua54: "`string.gmatch(text, pattern, start)`",
    fengari: "the third argument came with 5.4 and is ignored. Write `text:sub(start):gmatch(pattern)`",
    cases: ["sandbox.lua: string.gmatch with a start"],
  },
  {
    area: "Messages",
    lua54: "`bad argument #2 to 'setmetatable' (nil or table expected, got number)`",
    fengari: "`bad argument #2 to 'setmetatable' (nil or table expected)`",
    cases: ["engines: sandbox: setmetatable refuses what it must"],
  },
  {
    area: "Messages",
    lua54: "`C stack overflow`, without a line",
    fengari: "`JS stack overflow` or `stack overflow`, with the line",
    cases: ["engines: failures: an endless chain of C calls"],
  },
  {
    area: "Messages",
    lua54: "a text nested too deeply: `C stack overflow`, without a line",
    fengari: "`JS stack overflow` or another limit, with the line",
    cases: ["engines: failures: too deeply nested text"],
  },
];

const excepted: ReadonlySet<string> = new Set(differences.flatMap(({ cases }) => cases));

/** Whether a case is known to fail on the engine. */
export function isExcepted(engine: string, name: string): boolean {
  return engine === "fengari" && excepted.has(name);
}
