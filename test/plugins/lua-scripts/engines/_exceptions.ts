/** Why a case of the common suites does not hold on fengari. `docs/lua-engines.md` is written from this. */
export interface Exception {
  area: "Numbers" | "Language" | "Messages";
  lua54: string;
  fengari: string;
}

export const fengariExceptions: Readonly<Record<string, Exception>> = {
  "returned values: the largest and smallest integer": {
    area: "Numbers",
    lua54: "`math.maxinteger` is 9223372036854775807",
    fengari: "it is 2147483647: integers have 32 bits",
  },
  "sandbox: 64-bit integers": {
    area: "Numbers",
    lua54:
      "`2147483647 + 1` is 2147483648, `1 << 40` is 1099511627776, `os.time() * 1000` is in milliseconds",
    fengari:
      "arithmetic of integers wraps at 32 bits without an error: -2147483648, 0, a wrong number. Write `os.time() * 1000.0`",
  },
  "returned values: an integer beyond 2^53": {
    area: "Numbers",
    lua54: "`9007199254740993` in a script is exact",
    fengari: "a number beyond 32 bits is a float, exact up to 2^53",
  },
  "parameters: a large integer": {
    area: "Numbers",
    lua54: "an integer of 64 bits from a request, a record or the database is exact",
    fengari: "beyond 32 bits it arrives as a float: never wrapped, exact up to 2^53, rounded above",
  },
  "returned values: a float keeps its point": {
    area: "Numbers",
    lua54: "`2^53` is written as 9007199254740992.0",
    fengari:
      "a float that is a whole number beyond 32 bits and up to 2^53 is written as an integer, for that is what it nearly always stands for; below, floats keep their point",
  },
  "json: decode keeps kinds of numbers": {
    area: "Numbers",
    lua54: "`math.type` of a decoded 5000000000 is `integer`; `tostring` prints all digits of it",
    fengari:
      '`math.type` is `float`, `tostring` prints 5000000000.0 and 14 digits at most; -0.0 is printed as "0.0"',
  },
  "utilities: numbers are lossless": {
    area: "Numbers",
    lua54: "`TID.toNumber(tid)` is an integer",
    fengari: "it is the number as a string, which loses nothing and which `TID.fromNumber` takes",
  },
  "sandbox: the libraries": {
    area: "Language",
    lua54: '`_VERSION` is "Lua 5.4"',
    fengari: 'it is "Lua 5.3"',
  },
  "sandbox: 5.4 syntax": {
    area: "Language",
    lua54: "`local x <const> = 6`",
    fengari: "a syntax error: attributes came with 5.4",
  },
  "sandbox: to-be-closed variables": {
    area: "Language",
    lua54: "`local x <close> = …`, `coroutine.close`",
    fengari: "a syntax error; there is no `coroutine.close`",
  },
  "sandbox: setmetatable refuses what it must": {
    area: "Messages",
    lua54: "`bad argument #2 to 'setmetatable' (nil or table expected, got number)`",
    fengari: "`bad argument #2 to 'setmetatable' (nil or table expected)`",
  },
  "failures: an endless chain of C calls": {
    area: "Messages",
    lua54: "`C stack overflow`, without a line",
    fengari: "`JS stack overflow` or `stack overflow`, with the line",
  },
  "failures: too deeply nested text": {
    area: "Messages",
    lua54: "a text nested too deeply: `C stack overflow`, without a line",
    fengari: "`JS stack overflow` or another limit, with the line",
  },
};
