import { describe, expect, test } from "vitest";
import { definePlugin } from "../../../core/index.ts";
import type { Events } from "../../../core/events.ts";
import { eventLog } from "../../../plugins/event-log/index.ts";
import { adminHeaders, startApp, type TestApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";

interface Listed {
  events: { event_type: string; subject: string; detail: Record<string, unknown> }[];
  cursor?: string;
}

describe.each(databases())("the event log on $name", (subject) => {
  async function start(): Promise<TestApp & { events: Events; list(query: string): Promise<Listed> }> {
    let events: Events | undefined;
    const talker = definePlugin({ name: "talker", setup: (app) => void (events = app.events) });
    const started = await startApp(subject, { plugins: [eventLog(), talker()] });
    if (!events) throw new Error("the talker was not set up");
    return {
      ...started,
      events,
      async list(query) {
        const response = await started.request(`/admin/events?${query}`, { headers: adminHeaders });
        return (await response.json()) as Listed;
      },
    };
  }

  test("finds subjects and categories by LIKE, whatever their case, and a backslash by itself", async () => {
    await using t = await start();
    for (const name of ["Alpha_one", "alphaXone", "beta\\", "gamma%"])
      t.events.emit({ type: "Test.happened", subject: name });
    const found = async (query: string): Promise<string[]> =>
      (await t.list(`category=test&${query}`)).events.map((event) => event.subject).toSorted();
    expect(await found("")).toHaveLength(4);
    expect(await found("subject=ALPHA_ONE")).toEqual(["Alpha_one", "alphaXone"]);
    expect(await found("subject=a%25n")).toEqual(["Alpha_one", "alphaXone"]);
    expect(await found("subject=%5C")).toEqual(["beta\\"]);
    expect(await found("subject=%5C%25")).toEqual(["beta\\"]);
  });

  test("keeps no more than a preview of a large detail", async () => {
    await using t = await start();
    t.events.emit({ type: "large", detail: { text: '"é\n'.repeat(10_000) } });
    t.events.emit({ type: "small", detail: { text: "x".repeat(16_000) } });
    const { events } = await t.list("");
    const of = (type: string): Record<string, unknown> =>
      events.find(({ event_type }) => event_type === type)?.detail ?? {};
    expect(of("large")).toEqual({ truncated: true, preview: expect.stringMatching(/^\{"text":"/) });
    expect(Buffer.byteLength(JSON.stringify(of("large")))).toBeLessThan(16 * 1024);
    expect(of("small")).toEqual({ text: "x".repeat(16_000) });
  });

  test("takes a bounded part of the memory while it waits to write", async () => {
    await using t = await start();
    for (let i = 0; i < 2000; i++) t.events.emit({ type: "burst", detail: { text: "x".repeat(15_000) } });
    await t.list("limit=1");
    const row = await t.app.db.get<{ n: number }>(
      "SELECT count(*) AS n FROM happyview_event_logs WHERE event_type = 'burst'",
    );
    expect(Number(row?.n)).toBeGreaterThan(1000);
    expect(Number(row?.n)).toBeLessThan(1200);
    t.events.emit({ type: "burst", subject: "later" });
    expect((await t.list("subject=later")).events).toHaveLength(1);
  });

  test("pages to the end", async () => {
    await using t = await start();
    for (let i = 0; i < 25; i++) t.events.emit({ type: "page", subject: `s${i}` });
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await t.list(
        `event_type=page&limit=10${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`,
      );
      seen.push(...page.events.map((event) => event.subject));
      cursor = page.cursor;
    } while (cursor);
    expect(seen).toEqual(Array.from({ length: 25 }, (_, i) => `s${24 - i}`));
  });
});
