import { describe, expect, test } from "vitest";
import { createMask } from "../../../plugins/lua-scripts/mask.ts";

describe("values of script variables are masked", () => {
  const env = {
    KEY: "s3cr3t-key",
    LONGER: "s3cr3t-key-of-another",
    QUOTED: 'with "quotes" & more',
    $1: "dollar-name",
    SIGNS: "a.b*c(d)",
    SHORT: "abc",
    FLAG: "true",
    LEVEL: "error",
    EMPTY: "",
    HALF: "half\ud800pair",
  };
  const mask = createMask(env);

  test.each([
    ["everywhere", "s3cr3t-key and s3cr3t-key!", "<env.KEY> and <env.KEY>!"],
    ["the longest first", "x s3cr3t-key-of-another", "x <env.LONGER>"],
    ["as JSON", JSON.stringify({ a: env.QUOTED }), '{"a":"<env.QUOTED>"}'],
    ["in a URL", `?q=${encodeURIComponent(env.QUOTED)}`, "?q=<env.QUOTED>"],
    ["whatever their name is", "dollar-name", "<env.$1>"],
    ["whatever signs are in them", "a.b*c(d) axb*c(d)", "<env.SIGNS> axb*c(d)"],
    ["also half a surrogate pair", "half\ud800pair", "<env.HALF>"],
    ["but not words and short ones", "abc true error", "abc true error"],
    ["cut in their midst", "the signs are a.b*…", "the signs are <env.SIGNS>…"],
    ["but not an end by chance", "it is s3c…", "it is s3c…"],
  ])("%s", (_name, text, masked) => {
    expect(mask(text)).toBe(masked);
  });

  test("without any, texts stay as they are", () => {
    expect(createMask({})("text…")).toBe("text…");
  });
});
