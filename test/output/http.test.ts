import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect } from "vitest";
import { atUri, type CommitEvent, type SourceEvent } from "../../core/records/change.ts";
import { build } from "../../core/server/build.ts";
import type { JetstreamEvent } from "../../playground/network/event.ts";
import { createNetwork } from "../../playground/network/network.ts";
import { databases } from "../setup/databases.ts";
import { silent } from "../setup/log.ts";
import { testHttp } from "../suites/http.ts";
import { getJson, type RunningSubject } from "../suites/http/subject.ts";
import { adminHeaders, startBuilt, type Runtime } from "./_server.ts";

// What the sources do in one process, their builds must do as well: the bundler can lose things that no other test sees.
const project = fileURLToPath(new URL("../fixture/compat", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "happyview-output-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

for (const runtime of ["node", "bun"] as const) {
  const { outDir } = await build({
    root: project,
    preset: runtime,
    outDir: join(folder, runtime),
    log: silent,
  });
  for (const database of databases())
    testHttp({
      name: `the ${runtime} build on ${database.name}`,
      start: () => start(runtime, outDir, database),
    });
}

async function start(
  runtime: Runtime,
  outDir: string,
  database: ReturnType<typeof databases>[number],
): Promise<RunningSubject> {
  const { url, drop } = await database.open();
  const network = await createNetwork({ seed: runtime, now: Date.now });
  const server = await startBuilt(runtime, outDir, { databaseUrl: url, network });
  const subject: RunningSubject = {
    dialect: database.name,
    admin: adminHeaders,
    request: server.request,
    async ingest(events) {
      for (const event of events) network.jetstream.publish(toJetstream(event, network.clock.micros()));
      for (const event of lastWrites(events)) await served(subject, event);
    },
    async stop() {
      expect(await server.stop()).toBe(0);
      await network.close();
      await drop();
    },
  };
  return subject;
}

function toJetstream(event: SourceEvent, timeUs: number): JetstreamEvent {
  if (event.kind !== "commit") throw new Error("the HTTP suite only brings in commits");
  const { did, action: operation, collection, rkey, rev, record, cid } = event;
  return { did, time_us: timeUs, kind: "commit", commit: { rev, operation, collection, rkey, record, cid } };
}

function lastWrites(events: readonly SourceEvent[]): CommitEvent[] {
  const last = new Map<string, CommitEvent>();
  for (const event of events)
    if (event.kind === "commit") last.set(atUri(event.did, event.collection, event.rkey), event);
  return [...last.values()].slice(-1);
}

async function served(
  subject: RunningSubject,
  { did, collection, rkey, action, cid }: CommitEvent,
): Promise<void> {
  const uri = atUri(did, collection, rkey);
  const path = `/admin/records?collection=${encodeURIComponent(collection)}&limit=100`;
  const expected = action === "delete" ? undefined : cid;
  for (let attempt = 0; attempt < 800; attempt++) {
    const { records } = await getJson<{ records: { uri: string; cid: string }[] }>(
      subject,
      path,
      subject.admin,
    );
    if (records.find((record) => record.uri === uri)?.cid === expected) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`${action} of ${uri} is not served`);
}
