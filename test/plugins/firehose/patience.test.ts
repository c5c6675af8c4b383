import { expect, test } from "vitest";
import { HappyViewError } from "../../../core/errors.ts";
import { createPatience } from "../../../plugins/firehose/patience.ts";
import { alice } from "./fixture.ts";

const away = (): never => {
  throw new HappyViewError("IDENTITY_UNREACHABLE", { message: "away" });
};
const untilStopped = new AbortController().signal;

function patience(stepMs: number) {
  const told: string[] = [];
  let time = 0;
  const patiently = createPatience({
    now: () => (time += stepMs),
    random: () => 0,
    status: { waiting: (reason) => told.push(reason), resumed: () => told.push("resumed") },
  });
  return { patiently, told };
}

test("the directory is asked until it answers", async () => {
  const { patiently, told } = patience(3_600_000);
  let asked = 0;
  const ask = async (): Promise<string> => ((asked += 1) < 4 ? away() : "key");
  await expect(patiently(alice, ask, untilStopped)).resolves.toBe("key");
  expect(told).toEqual(["away", "away", "away", "resumed"]);
});

test("what is not a matter of time is not asked again", async () => {
  const { patiently, told } = patience(1);
  let asked = 0;
  const ask = async (): Promise<string> => {
    asked += 1;
    throw new HappyViewError("IDENTITY_UNRESOLVED", { message: "gone" });
  };
  await expect(patiently(alice, ask, untilStopped)).rejects.toThrow("gone");
  expect([asked, told]).toEqual([1, []]);
});

test("an abort ends the waiting", async () => {
  const { patiently } = patience(1);
  const stop = new AbortController();
  const waiting = patiently(alice, async () => away(), stop.signal);
  stop.abort();
  await expect(waiting).rejects.toThrow("away");
});

test("a stranger's host is not waited for long, and then not asked for a minute", async () => {
  const { patiently, told } = patience(5000);
  let asked = 0;
  const ask = async (): Promise<string> => ((asked += 1), away());
  await expect(patiently("did:web:away.example", ask, untilStopped)).rejects.toThrow("away");
  expect(asked).toBe(2);
  await expect(patiently("did:web:away.example:user", ask, untilStopped)).rejects.toThrow("a moment ago");
  expect(asked).toBe(2);
  await expect(patiently("did:web:other.example", async () => "key", untilStopped)).resolves.toBe("key");
  for (let i = 0; i < 12; i++) await patiently(alice, async () => "time passes", untilStopped);
  await expect(patiently("did:web:away.example", async () => "key", untilStopped)).resolves.toBe("key");
  expect(told.filter((reason) => reason !== "resumed")).toEqual([]);
});
