import { expect, test } from "vitest";
import { checkVerification, resolveSources } from "../../../plugins/firehose/sources.ts";

const network = { jetstreamUrl: "wss://jetstream.example", relayUrl: "https://relay.example", plcUrl: "" };

test("one source or several, with the addresses of the config", () => {
  expect(resolveSources({}, network)).toEqual([{ kind: "jetstream", url: "wss://jetstream.example" }]);
  expect(resolveSources({ source: "relay" }, network)).toEqual([
    { kind: "relay", url: "https://relay.example" },
  ]);
  expect(resolveSources({ url: "ws://other" }, network)).toEqual([{ kind: "jetstream", url: "ws://other" }]);
  expect(
    resolveSources({ sources: [{ kind: "jetstream", url: "ws://a" }, { kind: "relay" }] }, network),
  ).toEqual([
    { kind: "jetstream", url: "ws://a" },
    { kind: "relay", url: "https://relay.example" },
  ]);
  expect(resolveSources({ source: "tap", url: "http://tap" }, network)).toEqual([]);
});

test.each([
  [{ sources: [] }, "is empty"],
  [{ source: "relay" as const, sources: [{ kind: "relay" as const }] }, "both"],
  [{ sources: [{ kind: "jetstream" as const }, { kind: "jetstream" as const }] }, "two sources"],
  [{ url: "jetstream.example" }, "no ws:"],
  [{ url: "file:///x" }, "no ws:"],
  [{ source: "tap" as const, url: "ws://tap" }, "no http:"],
  [{ source: "tap" as const, sources: [{ kind: "relay" as const }] }, "both"],
  [{ sources: [{ kind: "carrier-pigeon" as "relay" }] }, "carrier-pigeon"],
])("%j is refused", (options, message) => {
  expect(() => resolveSources(options, network)).toThrow(message);
});

test("what carries no signatures cannot be verified in full", () => {
  checkVerification("full", 0, ["relay"]);
  checkVerification("sampled", 1, ["relay", "jetstream"]);
  expect(() => checkVerification("full", 0, ["relay", "jetstream"])).toThrow("carries no signatures");
  expect(() => checkVerification("sampled", 1.5, ["jetstream"])).toThrow("sampleShare is 1.5");
});
