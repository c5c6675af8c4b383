import { describe, expect, it } from "vitest";
import { FilterError, parseFilter } from "../../../plugins/db-filters/parse.ts";
import { parsePath } from "../../../plugins/db-filters/path.ts";

const leaf = { field: "a", value: 1 };
const rule =
  "use alphanumeric names with optional dot notation and array indices (e.g. 'name', 'author.handle', 'tags[0]')";

describe("field paths", () => {
  it.each([
    ["name", ["name"]],
    ["author.handle", ["author", "handle"]],
    ["tags[0]", ["tags", 0]],
    ["a[1][22].b_2.0", ["a", 1, 22, "b_2", "0"]],
    ["a[99999999999999999999]", ["a", 2 ** 31 - 1]],
  ])("%s", (text, steps) => {
    expect(parsePath(text)?.steps).toEqual(steps);
  });

  it.each([
    "",
    ".a",
    "a.",
    "a..b",
    "[0]",
    "a[]",
    "a[b]",
    "a[0",
    "a.[0]",
    "a[0]b",
    "a-b",
    "$type",
    "a b",
    'a"b',
    "a'",
    "é",
    "a\n",
  ])("refuses %j", (text) => {
    expect(parsePath(text)).toBeUndefined();
  });

  it("bounds a path", () => {
    expect(parsePath("a".repeat(513))).toBeUndefined();
    expect(parsePath(`a${"[0]".repeat(70)}`)).toBeUndefined();
  });
});

describe("filters", () => {
  it.each([
    ["=", "="],
    ["like", "LIKE"],
    ["Not Like", "NOT LIKE"],
    [undefined, "="],
    [5, "="],
  ])("op %j", (op, expected) => {
    expect(parseFilter({ ...leaf, op })).toMatchObject({ kind: "condition", op: expected, value: 1 });
  });

  it.each([
    ["a list", [leaf, leaf], "AND"],
    ["the announcement's form", { op: "or", conditions: [leaf, leaf] }, "OR"],
    ["a combine, which wins over op", { op: "OR", combine: "and", conditions: [leaf, leaf] }, "AND"],
    ["no combine", { conditions: [leaf, leaf] }, "AND"],
  ])("a group: %s", (_, input, combine) => {
    expect(parseFilter(input)).toMatchObject({
      kind: "group",
      combine,
      children: [{ value: 1 }, { value: 1 }],
    });
  });

  it("takes five levels", () => {
    expect(parseFilter([[{ op: "OR", conditions: [[leaf]] }]])).toMatchObject({ kind: "group" });
  });

  it.each([
    [[[[[[leaf]]]]], "filter nesting too deep (max 5 levels)"],
    [[], "filter group has no conditions"],
    [{}, "filter group has no conditions"],
    [[leaf, {}], "filter group has no conditions"],
    [{ op: "AND", conditions: [] }, "filter group has no conditions"],
    [{ op: "XOR", conditions: [leaf] }, "invalid filter combine 'XOR': must be 'AND' or 'OR'"],
    [{ ...leaf, field: "a-b" }, `invalid filter field 'a-b': ${rule}`],
    [
      { ...leaf, op: "IN" },
      `invalid filter op 'IN': must be one of ["=", "!=", "<", ">", "<=", ">=", "LIKE", "NOT LIKE"]`,
    ],
    [{ op: "=", value: 1 }, "filter group has no conditions"],
    [{ op: "OR", combine: "AND", value: 1 }, "filter group has no conditions"],
    [
      { ...leaf, op: "ILIKE" },
      `invalid filter op 'ILIKE': must be one of ["=", "!=", "<", ">", "<=", ">=", "LIKE", "NOT LIKE"]`,
    ],
    [{ field: "a" }, "unsupported filter value type for 'a': nil"],
    [{ field: "a", value: null }, "unsupported filter value type for 'a': null"],
    [{ field: "a", value: [1] }, "unsupported filter value type for 'a': table"],
    [[5], "a filter is a table with `field` and `value`, or a list of such"],
    [Array.from({ length: 501 }, () => leaf), "filter has too many conditions (max 500)"],
  ])("refuses %j", (input, message) => {
    expect(() => parseFilter(input)).toThrow(new FilterError(message));
  });
});
