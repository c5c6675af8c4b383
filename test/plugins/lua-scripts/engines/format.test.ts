import { afterAll, describe, expect, test } from "vitest";
import { createTestEngine, evaluate } from "../engine/_run.ts";
import { createFengari } from "./_engines.ts";

// What printf of C makes of a number, in Lua 5.4, is what our own makes of it for fengari.
const lua54 = createTestEngine();
const fengari = createFengari();
afterAll(() => {
  lua54.close();
  fengari.close();
});

const floats =
  "0.0, -0.0, 5.0, 0.5, 1.5, 2.5, 0.25, 0.125, 1e14, 1e15, 1e16, 1e21, 1e100, 1/3, -1/3, 1e-4, 1e-5, 5e-324, " +
  "1.7976931348623157e308, 1/0, -1/0, 2.0^53, 0.1, 100000.0, 1e6, 999999.5, 9.995, 9.5, 1234567890123.25, -42.0";
const integers = "0, 1, -1, 8, 42, -42, 255, 2147483647, -2147483648, 3.0, '10'";

/** Every flag with every width and precision, refusals included. */
const everyLayout = (conversion: string, values: string): string => `
  local results = {}
  for _, flags in ipairs({ "", "-", "+", " ", "#", "0", "-+", "+0", " 0", "#0" }) do
    for _, width in ipairs({ "", "5", "12", "123" }) do
      for _, precision in ipairs({ "", ".", ".0", ".1", ".3", ".14", ".20", ".123" }) do
        for _, value in ipairs({ ${values} }) do
          local format = "%" .. flags .. width .. precision .. "${conversion}"
          results[#results + 1] = format .. " " .. tostring(select(2, pcall(string.format, format, value)))
        end
      end
    end
  end
  return results`;

const same = async (code: string): Promise<void> => {
  const limits = { instructions: 1e9, milliseconds: 60_000 };
  expect(JSON.parse(await evaluate(fengari, code, { limits }))).toEqual(
    JSON.parse(await evaluate(lua54, code, { limits })),
  );
};

describe("string.format of fengari gives what Lua 5.4 gives", () => {
  test.each(["e", "E", "f", "g", "G"])("for floats by %%%s", (conversion) =>
    same(everyLayout(conversion, floats)),
  );
  test.each(["d", "i", "u", "o", "x", "X"])("for integers by %%%s", (conversion) =>
    same(everyLayout(conversion, integers)),
  );
  test.each(["s", "c"])("for strings and characters by %%%s", (conversion) =>
    same(everyLayout(conversion, conversion === "c" ? "65, 10" : "'', 'a', 'abcdef', 12, 1.5, true")),
  );
  test.each(["q", "y", ""])("by %%%s", (conversion) => same(everyLayout(conversion, "'a'")));
});

test("tostring, .. and table.concat of fengari print floats as Lua 5.4 does", () =>
  same(`local results = {}
    for _, value in ipairs({ ${floats} }) do
      results[#results + 1] = { tostring(value), value .. "", table.concat({ value }), string.format("%s", value) }
    end
    return results`));
