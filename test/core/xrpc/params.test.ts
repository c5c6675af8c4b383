import { describe, expect, test } from "vitest";
import { parseParams } from "../../../core/xrpc/params.ts";

const types = new Map([
  ["i", "integer"],
  ["n", "number"],
  ["b", "boolean"],
] as const);

// sync-and-xrpc §4.4
describe("a query string", () => {
  test.each<[string, Record<string, unknown>]>([
    ["", {}],
    ["&&", {}],
    ["a=1", { a: "1" }],
    ["a", { a: "" }],
    ["a=", { a: "" }],
    ["=x", { "": "x" }],
    ["a=b=c", { a: "b=c" }],
    ["a=1+2", { a: "1+2" }],
    ["a%20b=%C3%BC%26", { "a b": "ü&" }],
    ["a=%zz%", { a: "%zz%" }],
    ["a=%ff", { a: "\ufffd" }],
    ["a=1&a=2&a=3", { a: ["1", "2", "3"] }],
    ["__proto__=1&constructor=2", { ["__proto__"]: "1", constructor: "2" }],
    ["i=5", { i: 5 }],
    ["i=-5", { i: -5 }],
    ["i=%2B5", { i: 5 }],
    ["i=007", { i: 7 }],
    ["i=5.0", { i: "5.0" }],
    ["i=", { i: "" }],
    ["i=1e3", { i: "1e3" }],
    ["i=9223372036854775807", { i: 9223372036854775807n }],
    ["i=9223372036854775808", { i: "9223372036854775808" }],
    ["i=-9223372036854775808", { i: -9223372036854775808n }],
    ["i=1&i=2", { i: ["1", "2"] }],
    ["n=2.5", { n: 2.5 }],
    ["n=1e3", { n: 1000 }],
    ["n=Infinity&b=yes", { n: "Infinity", b: "yes" }],
    ["n=NaN", { n: "NaN" }],
    ["n=0x10", { n: "0x10" }],
    ["n=", { n: "" }],
    ["b=true", { b: true }],
    ["b=1", { b: true }],
    ["b=false", { b: false }],
    ["b=0", { b: false }],
    ["b=True", { b: "True" }],
  ])("%s", (query, expected) => {
    expect(Object.entries(parseParams(query, types))).toEqual(Object.entries(expected));
  });

  test("has a bounded number of parameters", () => {
    const query = Array.from({ length: 5000 }, (_, i) => `k${i}=1`).join("&");
    expect(Object.keys(parseParams(query, types))).toHaveLength(1000);
  });
});
