import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode, type Cid } from "@atproto/lex-cbor";
import { lexToJson } from "@atproto/lex-json";
import { readCarWithRoot, verifyRepoCar } from "@atproto/repo";
import { WebSocket } from "ws";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createArchive } from "../../../plugins/firehose/archive/archive.ts";
import { decodeV2 } from "../../../plugins/firehose/jetstream-v2-decode.ts";
import { firehose } from "../../../plugins/firehose/index.ts";
import { freePort } from "../../setup/port.ts";
import { testApp, type TestApp } from "./fixture.ts";

/** Where the two programs of bluesky-social/jetstream (launched v2) are; without them there is nothing to test. */
const { TEST_JETSTREAM: server, TEST_JETSTREAM_SIMULATOR: simulator } = process.env;

const folder = mkdtempSync(join(tmpdir(), "happyview-real-jetstream-"));
const running: ChildProcess[] = [];
const signal = new AbortController().signal;
const lookBackSeconds = 12;

let networkUrl = "";
let jetstreamUrl = "";

function start(program: string, flags: Record<string, string | number>): void {
  const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const env = { PATH: process.env["PATH"], GOMAXPROCS: "1" };
  running.push(spawn(program, ["serve", ...args], { cwd: folder, env, stdio: "ignore" }));
}

const eventually = <T>(check: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(check, { timeout: 15_000, interval: 200 });

async function ask(url: string, body?: object): Promise<unknown> {
  const response = await fetch(url, body ? { method: "POST", body: JSON.stringify(body) } : {});
  expect(response.status).toBe(200);
  return response.json();
}

describe.runIf(server && simulator)("the real Jetstream", () => {
  beforeAll(async () => {
    const [network, jetstream, debug] = [await freePort(), await freePort(), await freePort()];
    networkUrl = `http://127.0.0.1:${network}`;
    jetstreamUrl = `http://127.0.0.1:${jetstream}`;
    start(simulator ?? "", {
      addr: `127.0.0.1:${network}`,
      "data-dir": "network",
      accounts: 60,
      "initial-records-per-account": 15,
      "commits-per-sec": 10,
    });
    await eventually(() => ask(`${networkUrl}/xrpc/com.atproto.sync.listRepos?limit=1`));
    start(server ?? "", {
      addr: `127.0.0.1:${jetstream}`,
      "debug-addr": `127.0.0.1:${debug}`,
      "data-dir": "jetstream",
      "relay-url": networkUrl,
      "plc-url": networkUrl,
      "compaction-interval": "4s",
      "cursor-lookback": `${lookBackSeconds}s`,
      "plan-max-entries": 2,
      "backfill-workers": 2,
      "backfill-async-flush-workers": 1,
      "skip-merge-discovery": "true",
    });
    await eventually(() => ask(`${jetstreamUrl}/xrpc/network.bsky.jetstream.planSnapshot`, {}));
  });
  afterAll(async () => {
    for (const program of running.toReversed()) {
      const exited = once(program, "exit");
      if (program.exitCode === null && program.kill()) await exited;
    }
    rmSync(folder, { recursive: true, force: true });
  });

  test("gives the same events over its archive and its socket", async () => {
    const archive = createArchive({ base: jetstreamUrl });
    const archived = new Map<number, unknown>();
    let end = 0;
    await eventually(async () => {
      for await (const { events, throughSeq } of archive.sweep({ afterSeq: end, signal })) {
        for (const { seq, event } of events) archived.set(seq, event);
        end = throughSeq;
      }
      expect(archived.size).toBeGreaterThan(1000);
    });
    const url = `${jetstreamUrl.replace("http", "ws")}/xrpc/network.bsky.jetstream.subscribeEvents`;
    const socket = new WebSocket(`${url}?cursor=${[...archived.keys()].at(-200)}`, {
      perMessageDeflate: false,
    });
    let compared = 0;
    try {
      await new Promise<void>((done, failed) => {
        socket.on("error", failed);
        socket.on("message", (data: Buffer) => {
          const message = decodeV2(data.toString("utf8"));
          if (message.kind !== "event") return failed(new Error(data.toString("utf8").slice(0, 300)));
          const known = archived.get(message.seq);
          if (known) {
            const { isVerified: _, ...event } = known as { isVerified?: boolean };
            expect(event).toEqual(message.event);
            compared += 1;
          }
          if (message.seq > end) done();
        });
      });
    } finally {
      socket.terminate();
    }
    expect(compared).toBeGreaterThan(150);
  });

  test("after more than its look-back the archive and the socket together give the network as it is", async () => {
    const database = `file:${join(folder, "index.db")}`;
    const name = `jetstream-v2:${new URL(jetstreamUrl).host}`;
    const collections = await collectionsOf();
    const options = { source: "jetstream-v2", url: jetstreamUrl, random: () => 0 } as const;
    {
      // As if it had read nothing, and not as if it began: everything must come.
      await using t = await testApp(firehose(options), { database });
      await t.track(...collections);
      await eventually(async () => expect(await t.app.records.pipeline.position(name)).toBeDefined());
    }
    {
      await using t = await testApp(firehose({ url: "ws://127.0.0.1:9" }), { database });
      await t.app.db.run("DELETE FROM happyview_records");
      await t.app.db.run(
        "UPDATE happyview_stream_positions SET position = '0', time_us = NULL WHERE source = ?",
        [name],
      );
    }
    await eventually(async () => {
      const { segments } = (await ask(`${jetstreamUrl}/xrpc/network.bsky.jetstream.listSegments`)) as {
        segments: { maxWitnessedAt: number }[];
      };
      expect(segments[0]?.maxWitnessedAt).toBeLessThan((Date.now() - (lookBackSeconds + 1) * 1000) * 1000);
    });
    await using t = await testApp(firehose(options), { database });
    await eventually(() => expect(t.log.map(({ type }) => type)).toContain("firehose.sweep_finished"));
    expect(t.log.map(({ type }) => type)).not.toContain("firehose.gap");
    const { repos } = (await ask(`${networkUrl}/xrpc/com.atproto.sync.listRepos?limit=100`)) as {
      repos: { did: string }[];
    };
    expect(repos.length).toBe(60);
    // The network goes on meanwhile: each account is compared by itself.
    for (const { did } of repos)
      await eventually(async () => expect(await indexOf(t, did)).toEqual(await repoOf(did)));
  });
});

async function repoOf(did: string): Promise<Map<string, unknown>> {
  const response = await fetch(`${networkUrl}/xrpc/com.atproto.sync.getRepo?did=${did}`);
  const car = new Uint8Array(await response.arrayBuffer());
  const { creates } = await verifyRepoCar(car);
  const { blocks } = await readCarWithRoot(car);
  const recordOf = (cid: Cid): unknown => lexToJson(decode(blocks.get(cid) ?? new Uint8Array()));
  return new Map(creates.map(({ collection, rkey, cid }) => [`${collection}/${rkey}`, recordOf(cid)]));
}

async function indexOf(t: TestApp, did: string): Promise<Map<string, unknown>> {
  const rows = await t.app.db.all<{ collection: string; rkey: string; record: string }>(
    "SELECT collection, rkey, record FROM happyview_records WHERE did = ?",
    [did],
  );
  return new Map(rows.map(({ collection, rkey, record }) => [`${collection}/${rkey}`, JSON.parse(record)]));
}

async function collectionsOf(): Promise<string[]> {
  const found = new Set<string>();
  for await (const { events } of createArchive({ base: jetstreamUrl }).sweep({ afterSeq: 0, signal }))
    for (const { event } of events) if (event.kind === "commit") found.add(event.collection);
  return [...found];
}
