import { expect, test } from "vitest";
import type { DpopAnswer } from "../../../plugins/dpop-sessions/dpop-fetch.ts";
import { createGrants, maxWaiting, type Grant, type Grants } from "../../../plugins/dpop-sessions/grants.ts";
import { createRecordingLog, type LogLine } from "../../setup/log.ts";

const grant = (n: number, issuer = "https://pds.example"): Grant => ({
  issuer,
  clientId: "https://app.example/client.json",
  token: `token-${n}`,
  jwk: {},
});
const many = (count: number, issuer?: string): Grant[] =>
  Array.from({ length: count }, (_, n) => grant(n, issuer));

interface Place {
  grants: Grants;
  /** Requests for metadata, by URL. */
  looked: string[];
  /** Revocations that wait for their answer. */
  asked: (() => void)[];
  warnings(): LogLine[];
  close(): Promise<void>;
}

/** One server answers, `gone.example` does not. */
function place(): Place {
  const { log, lines } = createRecordingLog();
  const [looked, asked]: [string[], (() => void)[]] = [[], []];
  const closers: (() => unknown)[] = [];
  const grants = createGrants({
    app: { log, onClose: (closer) => void closers.push(closer) },
    clients: { get: async () => undefined },
    keys: { many: async () => new Map(), open: () => ({}) },
    async fetch(url) {
      looked.push(String(url));
      if (String(url).includes("gone.example")) throw new Error("no such name");
      return Response.json({
        issuer: "https://pds.example",
        revocation_endpoint: "https://pds.example/revoke",
      });
    },
    send: () =>
      new Promise((resolve) => {
        const answer: DpopAnswer = { status: 200, headers: new Headers(), bytes: new Uint8Array(), body: "" };
        asked.push(() => resolve(answer));
      }),
  });
  return {
    grants,
    looked,
    asked,
    warnings: () => lines.filter(({ level }) => level === "warn"),
    close: async () => void (await Promise.all(closers.map((closer) => closer()))),
  };
}

test("few are revoked at once, and what finds no room is counted in the log", async () => {
  const { grants, looked, asked, warnings } = place();
  const done = grants.revoke(many(maxWaiting + 5));
  let answered = 0;
  while (answered < maxWaiting) {
    await expect.poll(() => asked.length).toBeGreaterThan(0);
    expect(asked.length).toBeLessThanOrEqual(8);
    answered += asked.length;
    for (const answer of asked.splice(0)) answer();
  }
  await done;
  await expect.poll(warnings).toMatchObject([{ count: 5, error: "more than 1000 wait for it" }]);
  expect(looked).toHaveLength(1);
});

test("a server that is away is asked once, and is one line in the log", async () => {
  const { grants, looked, warnings } = place();
  await grants.revoke(many(50, "https://gone.example"));
  expect(looked).toEqual(["https://gone.example/.well-known/oauth-authorization-server"]);
  expect(warnings()).toMatchObject([{ count: 50, error: expect.stringContaining("gone.example") }]);
});

test("an instance that closes waits for those that are under way, and gives up the others", async () => {
  const { grants, asked, warnings, close } = place();
  void grants.revoke(many(20));
  await expect.poll(() => asked.length).toBe(8);
  const closed = close();
  for (const answer of asked.splice(0)) answer();
  await closed;
  await expect.poll(warnings).toMatchObject([{ count: 12, error: "the instance closes" }]);
  expect(asked).toEqual([]);
});
