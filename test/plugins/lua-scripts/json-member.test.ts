import { expect, test } from "vitest";
import { withoutMember } from "../../../plugins/lua-scripts/json-member.ts";

test.each([
  ["the only one", '{"x":1}', "{}"],
  ["the first", '{"x":"a","b":5.0}', '{"b":5.0}'],
  ["the last", '{"b":9007199254740993,"x":null}', '{"b":9007199254740993}'],
  ["one in the middle", '{ "a": 1 , "x" : {"y":[1,2]} , "b": [ 2 ] }', '{ "a": 1 , "b": [ 2 ] }'],
  ["each of that name", '{"x":1,"a":2,"x":3}', '{"a":2}'],
  ["one whose key is escaped", '{"\\u0078":1,"a":2}', '{"a":2}'],
  ["none inside of others", '{"a":{"x":1},"b":[{"x":2}]}', '{"a":{"x":1},"b":[{"x":2}]}'],
  ["none that is a value", '{"a":"x","b":["x"]}', '{"a":"x","b":["x"]}'],
  ["none in a text", '{"a":"{\\"x\\":1},","b":"\\\\"}', '{"a":"{\\"x\\":1},","b":"\\\\"}'],
  ["none of another name", '{"xx":1}', '{"xx":1}'],
  ["none of nothing", " { } ", "{}"],
])("takes out %s", (_name, text, rest) => {
  expect(withoutMember(text, "x")).toBe(rest);
  expect(JSON.parse(withoutMember(text, "x"))).toEqual(JSON.parse(rest));
});
