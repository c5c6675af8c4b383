import { expect, test } from "vitest";
import { shownUrl } from "../../../core/http/shown-url.ts";

test.each([
  ["wss://user:secret@j.example/subscribe?wantedCollections=a.b.c", "wss://j.example/subscribe"],
  ["wss://j.example?token=secret", "wss://j.example"],
  ["https://secret@plc.example/", "https://plc.example/"],
  ["https://plc.example:2582/a#secret", "https://plc.example:2582/a"],
  ["https://plc.example", "https://plc.example"],
  ["https://plc.example/", "https://plc.example/"],
  ["user:secret@nowhere:port", "(not a URL)"],
  ["secret", "(not a URL)"],
])("%s is shown as %s", (address, shown) => {
  expect(shownUrl(address)).toBe(shown);
});
